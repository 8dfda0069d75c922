import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from item_embed.config import Precision, RunConfig
from item_embed.embedding.embedder import Embedder
from item_embed.errors import ConfigError
from item_embed.evaluation import relisting
from item_embed.evaluation.ablation import running
from item_embed.evaluation.ablation.grid import read_grid
from item_embed.evaluation.ablation.plan import Plan, Run, make_plan
from item_embed.evaluation.ablation.results import AblationResult, gather
from item_embed.evaluation.ablation.running import Ablation, make_runs, read_about, state
from item_embed.evaluation.asked import Asked
from item_embed.evaluation.attempts import State
from item_embed.evaluation.learners import resuming
from item_embed.evaluation.measured import FIGURES, read_measured, write_measured
from item_embed.progress import OnProgress
from item_embed.training.run import RunSummary, pretrain
from tests.catalogs import folder, write_catalog
from tests.evaluation.ablation.small import STEPS, small_catalog, write_grid
from tests.tiny import pattern, tiny_rows

OBJECTIVES = {"five": {}, "no gmlm": {"objectives.weights.gmlm": 0}}
RATES = {"key": "objectives.patch_mask_rate", "values": [0.25, 0.5]}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(small_catalog(tmp_path_factory.mktemp("small") / "catalog"))


@pytest.fixture(scope="module")
def made(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Ablation:
    """Two points with one seed; tests copy the folder and go on there."""
    ablation = Ablation(tmp_path_factory.mktemp("made") / "out", catalog, Asked())
    run_all(ablation, write_grid(ablation.out.parent / "grid.yaml", {"objectives": OBJECTIVES}))
    return ablation


@pytest.fixture
def copied(made: Ablation, tmp_path: Path) -> Ablation:
    shutil.copytree(made.out, tmp_path / "out")
    return Ablation(tmp_path / "out", made.path, made.asked)


def plan_of(grid: Path) -> Plan:
    return make_plan(read_grid(grid))


def run_all(ablation: Ablation, grid: Path, jobs: int = 1) -> AblationResult:
    ablation.begin(grid)
    plan = plan_of(grid)
    list(make_runs(ablation, plan.runs, jobs=jobs))
    return gather(ablation, plan)


class Trained:
    """Counts what is trained."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs: list[tuple[str, bool]] = []
        monkeypatch.setattr(resuming, "pretrain", self)

    def __call__(self, catalog: object, run: Path, config: RunConfig, **more: object) -> RunSummary:
        self.runs.append((run.name.rpartition("-seed")[0], bool(more["resume"])))
        return pretrain(catalog, run, config, **more)  # type: ignore[arg-type]


def test_each_run_is_trained_and_measured_as_it_says(made: Ablation) -> None:
    plan = plan_of(made.out.parent / "grid.yaml")
    found = gather(made, plan)
    assert (found.made, found.planned, found.failures) == (2, 2, ())
    for point, run in zip(found.axes[0].points, plan.runs, strict=True):
        folder = made.folder(run)
        assert RunConfig.load(folder / "config.yaml") == run.config
        assert set(point.figures) == set(FIGURES)
        assert point.samples == (STEPS * 8,)
        assert point.minutes > 0
        assert not (folder / "checkpoints").exists()
        assert (folder / "model" / "model.safetensors").is_file()
        assert state(made, run) == (State.MEASURED, STEPS)
    assert found.axes[0].points[1].minus_base
    assert (made.out / "grid.yaml").read_bytes() == (made.out.parent / "grid.yaml").read_bytes()


def test_what_is_there_is_not_made_again(copied: Ablation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = Trained(monkeypatch)
    run_all(copied, write_grid(tmp_path / "grid.yaml", {"objectives": OBJECTIVES}))
    assert trained.runs == []


def test_a_grid_that_grows_adds_runs(copied: Ablation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = Trained(monkeypatch)
    axes = {"rate": RATES, "renamed": {"without": OBJECTIVES["no gmlm"], "all": {}}}
    found = run_all(copied, write_grid(tmp_path / "grid.yaml", axes, seeds=[1, 0]))
    new = [("base", False), ("rate-0.25", False), ("renamed-without", False)]  # with the new seed
    assert sorted(trained.runs) == sorted([*new, ("rate-0.25", False)])
    assert (found.made, found.planned) == (6, 6)
    assert [len(point.made) for axis in found.axes for point in axis.points] == [2, 2, 2, 2]


def test_a_killed_run_goes_on_and_ends_as_one_that_was_not(
    made: Ablation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = write_grid(tmp_path / "grid.yaml", {"objectives": OBJECTIVES})
    ablation = Ablation(tmp_path / "out", made.path, made.asked)

    class KilledError(Exception):
        pass

    def killed(catalog: object, run: Path, config: RunConfig, on_progress: OnProgress, **more: object) -> RunSummary:
        def stop(step: int, total: int | None) -> None:
            on_progress(step, total)
            if step == 3:
                raise KilledError

        return pretrain(catalog, run, config, on_progress=stop, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(resuming, "pretrain", killed)
    with pytest.raises(KilledError):
        run_all(ablation, grid)
    [first, second] = plan_of(grid).runs
    assert state(ablation, first) == (State.BEGUN, 2)
    assert state(ablation, second) == (State.MISSING, 0)
    trained = Trained(monkeypatch)
    # How often is written down what has been done may change meanwhile: the run goes on as it was begun.
    run_all(
        ablation, write_grid(tmp_path / "grid.yaml", {"objectives": OBJECTIVES}, settings={"training.log_every": 2})
    )
    assert trained.runs == [("base", True), ("objectives-no-gmlm", False)]
    for run in (first, second):
        one, other = (read_measured(a.folder(run) / "measured.parquet") for a in (ablation, made))
        assert {name: sums.value for name, sums in one.items()} == {name: sums.value for name, sums in other.items()}


def test_a_run_that_was_trained_is_only_measured(copied: Ablation, monkeypatch: pytest.MonkeyPatch) -> None:
    run = _first(copied)
    (copied.folder(run) / "measured.parquet").unlink()
    assert state(copied, run)[0] is State.TRAINED
    trained = Trained(monkeypatch)
    assert [reason for _, reason in make_runs(copied, [run])] == [None]
    assert trained.runs == []
    assert state(copied, run)[0] is State.MEASURED


def test_a_run_that_was_made_by_other_defaults_stands_for_nothing(copied: Ablation) -> None:
    run = _first(copied)
    file = copied.folder(run) / "config.yaml"
    made = RunConfig.load(file)
    made.model_copy(update={"training": made.training.model_copy(update={"weight_decay": 0.3})}).save(file)
    with pytest.raises(ConfigError, match="was made when other settings were the default, and cannot stand for 'base'"):
        copied.folder(run)


def _first(ablation: Ablation) -> Run:
    """The first run of the grid that the folder was made by."""
    write_grid(ablation.out.parent / "grid.yaml", {"objectives": OBJECTIVES})
    return plan_of(ablation.out.parent / "grid.yaml").runs[0]


def test_leaf_category_that_is_asked_for_later_is_measured_later(
    copied: Ablation, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _first(copied)
    file = copied.folder(run) / "measured.parquet"
    without = {name: sums for name, sums in read_measured(file).items() if name != "accuracy"}
    write_measured(file, without)
    assert state(copied, run)[0] is State.TRAINED
    plain = Ablation(copied.out, copied.path, copied.asked, leaf_category=False)
    assert state(plain, run)[0] is State.MEASURED
    trained = Trained(monkeypatch)
    list(make_runs(copied, [run]))
    assert "accuracy" in read_measured(file)
    assert trained.runs == []


def test_a_run_that_diverges_is_told_and_tried_again_and_the_others_go_on(
    catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = {"key": "training.learning_rate", "values": [1e30, 1e-3]}
    grid = write_grid(tmp_path / "grid.yaml", {"rate": rates})
    ablation = Ablation(tmp_path / "out", catalog, Asked(), leaf_category=False)
    found = run_all(ablation, grid)
    [(run, reason)] = found.failures
    assert run.label == "rate 1e+30"
    assert "training stopped at step" in reason
    assert [(len(point.made), point.failed) for point in found.axes[0].points] == [(0, 1), (1, 0)]
    assert state(ablation, run)[0] is State.FAILED
    trained = Trained(monkeypatch)
    assert run_all(ablation, grid).failures == found.failures
    assert [name for name, _ in trained.runs] == ["rate-1e-30"]


def test_memory_that_runs_out_fails_one_run(copied: Ablation, monkeypatch: pytest.MonkeyPatch) -> None:
    run = _first(copied)
    (copied.folder(run) / "measured.parquet").unlink()

    def measure(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA out of memory.\nTried to allocate 20 GiB")

    monkeypatch.setattr(running, "measure", measure)
    assert [reason for _, reason in make_runs(copied, [run])] == ["RuntimeError: CUDA out of memory."]
    assert state(copied, run)[0] is State.TRAINED  # what it has learnt is not lost


def test_runs_are_trained_and_measured_on_the_device_asked_for(
    made: Ablation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[str] = []

    def trains(catalog: object, run: Path, config: RunConfig, **more: object) -> RunSummary:
        used.append(str(more["device"]))
        return pretrain(catalog, run, config, **more | {"device": None})  # type: ignore[arg-type]

    def loads(path: Path, device: str | None = None, precision: Precision = "fp32") -> Embedder:
        used.append(str(device))
        return Embedder.from_pretrained(path, precision=precision)

    monkeypatch.setattr(resuming, "pretrain", trains)
    monkeypatch.setattr(running, "Embedder", SimpleNamespace(from_pretrained=loads))
    monkeypatch.setattr(running, "find_device", lambda device: torch.device(device or "cpu"))
    for number, device in enumerate(("cuda:1", None)):
        ablation = Ablation(tmp_path / str(number), made.path, made.asked, leaf_category=False, device=device)
        assert [reason for _, reason in make_runs(ablation, [_first(made)])] == [None]
    assert used == ["cuda:1", "cuda:1", "cpu", "cpu"]


def test_groups_of_given_queries_are_left_out_of_training(catalog: Path, tmp_path: Path) -> None:
    file = tmp_path / "queries.parquet"
    rows = {"query_id": ["q"], "title": ["Red mug"], "image": [pattern(0)], "product_id": ["p"], "item_id": ["0-0"]}
    pq.write_table(pa.table(rows), file)
    ablation = Ablation(tmp_path / "out", catalog, Asked(file=file), leaf_category=False)
    grid = write_grid(tmp_path / "grid.yaml", {"objectives": {"five": {}}})
    run_all(ablation, grid)
    begun = json.loads((ablation.folder(plan_of(grid).runs[0]) / "run.json").read_text(encoding="utf8"))
    assert begun["excluded_rows"] == 2
    assert ablation.about.remarks == ("Only 1 query: the figures say little.",)


def test_relistings_are_rendered_once(catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = write_grid(tmp_path / "grid.yaml", {"objectives": {"five": {}}})
    ablation = Ablation(tmp_path / "out", catalog, Asked(relist=50), leaf_category=False)
    ablation.begin(grid)
    about = ablation.about
    assert any("of 50 relistings could be made: the test split" in remark for remark in about.remarks)
    file = tmp_path / "out" / "relistings.parquet"
    before = file.stat().st_mtime_ns
    monkeypatch.setattr(relisting, "_relisted_photo", lambda *_: pytest.fail("a photo was rendered"))
    found = run_all(Ablation(tmp_path / "out", catalog, Asked(relist=50), leaf_category=False), grid)
    assert (found.made, read_about(tmp_path / "out")) == (1, about)
    assert file.stat().st_mtime_ns == before


def test_an_ablation_that_was_begun_without_a_file_of_relistings_gets_one(catalog: Path, tmp_path: Path) -> None:
    grid = write_grid(tmp_path / "grid.yaml", {"objectives": {"five": {}}})
    ablation = Ablation(tmp_path / "out", catalog, Asked(relist=3), leaf_category=False)
    ablation.begin(grid)
    file = tmp_path / "out" / "relistings.parquet"
    kept = file.read_bytes()
    file.unlink()
    ablation.begin(grid)
    assert file.read_bytes() == kept


def test_another_catalogue_or_other_queries_are_refused(copied: Ablation, tmp_path: Path) -> None:
    other = write_catalog(tmp_path / "other", tiny_rows())
    grid = write_grid(tmp_path / "grid.yaml", {"objectives": OBJECTIVES})
    with pytest.raises(ConfigError, match="was begun with another catalogue, and figures of both"):
        Ablation(copied.out, other.path, Asked()).begin(grid)
    for asked in (Asked(split="validation"), Asked(relist=3)):
        with pytest.raises(ConfigError, match="was begun with other queries"):
            Ablation(copied.out, copied.path, asked).begin(grid)


def test_a_folder_of_something_else_is_refused(catalog: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(ConfigError, match="exists and holds no ablation; choose another --out"):
        Ablation(tmp_path / "out", catalog, Asked()).check()
    with pytest.raises(ConfigError, match="holds no ablation yet"):
        read_about(tmp_path / "out")
    (tmp_path / "out" / "setup.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"setup\.json cannot be read"):
        Ablation(tmp_path / "out", catalog, Asked()).check()


def test_what_figures_are_of_is_kept(made: Ablation) -> None:
    about = read_about(made.out)
    assert about == made.about
    assert (about.queries, about.listings, about.leaf_rows, about.protocol) == (24, 72, 24, "listings")


def test_without_labels_the_other_figures_are_there(tmp_path: Path) -> None:
    catalog = small_catalog(tmp_path / "catalog", labels=False)
    ablation = Ablation(tmp_path / "out", catalog.path, Asked())
    [remark] = ablation.about.remarks
    assert remark.startswith("Leaf category is not measured: ")
    assert "has no categories" in remark
    assert ablation.questions.leaves is None


@pytest.mark.slow
def test_runs_side_by_side_are_those_of_one_after_the_other(made: Ablation, tmp_path: Path) -> None:
    too_fast = {"key": "training.learning_rate", "values": [1e30]}
    grid = write_grid(tmp_path / "grid.yaml", {"objectives": OBJECTIVES, "rate": too_fast})
    found = run_all(Ablation(tmp_path / "out", made.path, made.asked), grid, jobs=2)
    alone = gather(made, plan_of(made.out.parent / "grid.yaml"))
    for one, other in zip(found.axes[0].points, alone.axes[0].points, strict=True):
        assert list(one.figures) == list(other.figures)
        for name, spread in one.figures.items():  # several threads add up in another order, and a near tie may turn
            assert spread.figure.value == pytest.approx(other.figures[name].figure.value, abs=0.1), name
    assert len(found.failures) == 1
