import itertools
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from item_embed.evaluation.ablation import running, timing
from item_embed.evaluation.ablation.grid import read_grid
from item_embed.evaluation.ablation.plan import make_plan
from item_embed.evaluation.ablation.running import Ablation, make_runs
from item_embed.evaluation.ablation.timing import estimate, makespan
from item_embed.evaluation.asked import Asked
from item_embed.evaluation.attempts import State
from item_embed.training.batches import PretrainingData
from item_embed.training.loop import Trainer
from tests.evaluation.ablation.small import STEPS, small_catalog, write_grid


@pytest.fixture
def ablation(tmp_path: Path) -> Ablation:
    return Ablation(tmp_path / "out", small_catalog(tmp_path / "catalog").path, Asked())


AXES = {
    "size": {"key": "model.hidden_size", "values": [16, 32]},
    "rate": {"key": "training.learning_rate", "values": [1e-3, 1e-2]},
}


class Tries:
    """Writes down what is timed, and with how many threads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.threads: list[int] = []
        self.sizes: list[int] = []
        self._steps = timing._steps
        monkeypatch.setattr(timing, "_steps", self)

    def __call__(self, trainer: Trainer, data: PretrainingData, *, ahead: bool) -> tuple[float, float]:
        self.threads.append(torch.get_num_threads())
        self.sizes.append(len(data[0][0]))
        return self._steps(trainer, data, ahead=ahead)


def test_runs_are_tried_and_nothing_is_written(
    ablation: Ablation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = Tries(monkeypatch)
    plan = make_plan(read_grid(write_grid(tmp_path / "grid.yaml", AXES, seeds=[0, 1])))
    costs = estimate(ablation, plan.runs, one_thread=True)
    assert tries.threads == [1, 1]  # two shapes: neither another seed nor another learning rate is one
    assert [cost.run for cost in costs] == list(plan.runs)
    assert all(cost.state is State.MISSING and cost.steps == STEPS for cost in costs)
    assert not ablation.out.exists()
    base, wide = costs[0].shape, costs[1].shape
    assert base is not None
    assert wide is not None
    assert wide.parameters > base.parameters
    assert wide.flops > base.flops
    for cost in costs:
        assert cost.shape is not None
        trained = STEPS * min(cost.shape.first_step, cost.shape.later_step)
        assert trained + cost.shape.measuring < cost.seconds < 60


def test_only_what_is_left_counts(ablation: Ablation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = write_grid(tmp_path / "grid.yaml", {"rate": AXES["rate"]})
    ablation.begin(grid)
    plan = make_plan(read_grid(grid))
    list(make_runs(ablation, plan.runs[:1]))
    monkeypatch.setattr(
        timing, "state", lambda _, run: (State.TRAINED, STEPS) if run is plan.runs[1] else running.state(_, run)
    )
    done, trained = estimate(ablation, plan.runs)
    assert (done.state, done.steps, done.seconds, done.shape) == (State.MEASURED, 0, 0.0, None)
    assert trained.shape is not None
    assert (trained.steps, trained.seconds) == (0, trained.shape.measuring)


def test_the_parameters_are_those_of_the_trained_model(ablation: Ablation, tmp_path: Path) -> None:
    grid = write_grid(tmp_path / "grid.yaml", {"size": {"key": "model.hidden_size", "values": [32]}})
    [run] = make_plan(read_grid(grid)).runs
    [cost] = estimate(ablation, [run])
    ablation.begin(grid)
    list(make_runs(ablation, [run]))
    done = (ablation.folder(run) / "done.json").read_text(encoding="utf8")
    assert cost.shape is not None
    assert f'"parameters": {cost.shape.parameters},' in done


def test_a_shape_that_cannot_be_tried_says_why(
    ablation: Ablation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory\nmore")

    monkeypatch.setattr(timing, "_steps", too_large)
    plan = make_plan(read_grid(write_grid(tmp_path / "grid.yaml", AXES)))
    for cost in estimate(ablation, plan.runs):
        assert cost.problem == "RuntimeError: DefaultCPUAllocator: can't allocate memory"
        assert cost.shape is None
        assert math.isnan(cost.seconds)


def test_a_large_step_is_tried_in_part(ablation: Ablation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = Tries(monkeypatch)
    plan = make_plan(read_grid(write_grid(tmp_path / "grid.yaml", {"rate": AXES["rate"]})))
    [whole, *_] = estimate(ablation, plan.runs)
    assert whole.shape is not None
    monkeypatch.setattr(timing, "_WORK", whole.shape.flops * 2.5)
    estimate(ablation, plan.runs)
    assert tries.sizes == [8, 2]


@given(st.lists(st.floats(0, 9), max_size=6), st.integers(1, 4))
def test_the_whole_takes_as_long_as_runs_that_go_to_whoever_is_free(seconds: list[float], jobs: int) -> None:
    free = [0.0] * jobs
    for one in seconds:
        first = free.index(min(free))
        free[first] += one
    assert makespan(seconds, jobs) == pytest.approx(max(free))
    assert makespan(seconds, 1) == pytest.approx(sum(seconds))


def test_the_makespan_is_no_shorter_than_the_best_schedule() -> None:
    seconds = [3.0, 1.0, 4.0, 1.0, 5.0]
    best = min(
        max(sum(s for s, where in zip(seconds, places, strict=True) if where == job) for job in range(2))
        for places in itertools.product(range(2), repeat=len(seconds))
    )
    assert best <= makespan(seconds, 2) <= 2 * best
