import json
from pathlib import Path

import pytest
import torch

from item_embed.objectives.loss import Loss
from item_embed.training.metrics import Means, MetricsLog


def loss(total: float, count: int, right: float) -> Loss:
    return Loss(torch.tensor(total, requires_grad=True), count, {"mlm_top1": torch.tensor(right)})


def test_means_are_over_predictions_and_not_over_batches() -> None:
    means = Means()
    means.add({"mlm": loss(6.0, 3, 1), "mim": Loss(torch.tensor(1.0), 4)})
    means.add({"mlm": loss(1.0, 1, 1), "mim": Loss(torch.tensor(0.0), 0)})
    assert means.result() == {"losses": {"mlm": 7 / 4, "mim": 1 / 4}, "metrics": {"mlm_top1": 2 / 4}}


def test_what_had_no_prediction_is_left_out() -> None:
    means = Means()
    means.add({"mlm": loss(0.0, 0, 0)})
    assert means.result() == {"losses": {}, "metrics": {}}


def test_means_are_exact_after_json() -> None:
    means = Means()
    for value in (0.1, 1 / 3, 1e-7):
        means.add({"mlm": loss(value, 7, 0.3)})
    again = Means(**json.loads(json.dumps(means.state())))
    assert again.state() == means.state()
    assert again.result() == means.result()


def written(run: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def write(run: Path, after: int, steps: list[int]) -> None:
    log = MetricsLog(run, after)
    for step in steps:
        log.write({"step": step, "split": "train", "losses": {"mlm": 0.5}, "learning_rate": 0.1})
    log.close()


def test_lines_after_the_checkpoint_are_dropped_and_those_before_stay_as_they_are(tmp_path: Path) -> None:
    write(tmp_path, 0, [2, 4, 6])
    before = (tmp_path / "metrics.jsonl").read_text().splitlines()
    write(tmp_path, 4, [6, 8])
    assert written(tmp_path) == [2, 4, 6, 8]
    assert (tmp_path / "metrics.jsonl").read_text().splitlines()[:2] == before[:2]


@pytest.mark.parametrize("tail", ['{"step": 4, "los', '{"step": 4', "{"])
def test_a_line_cut_short_by_a_kill_is_dropped(tail: str, tmp_path: Path) -> None:
    write(tmp_path, 0, [2])
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(tail)
    write(tmp_path, 4, [6])
    assert written(tmp_path) == [2, 6]


def test_a_new_run_starts_with_an_empty_log(tmp_path: Path) -> None:
    write(tmp_path, 0, [1])
    write(tmp_path, 0, [])
    assert written(tmp_path) == []


def test_tensorboard_gets_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = MetricsLog(tmp_path, 0)
    seen: dict[str, tuple[float, int]] = {}
    monkeypatch.setattr(log._board, "add_scalar", lambda tag, value, step: seen.update({tag: (value, step)}))
    log.write({"step": 3, "split": "train", "losses": {"mlm": 0.5}, "learning_rate": 0.1})
    log.close()
    assert seen == {"train/losses/mlm": (0.5, 3), "train/learning_rate": (0.1, 3)}
    assert list((tmp_path / "tensorboard").glob("events*"))
