import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from item_embed.catalog.store import Catalog
from item_embed.errors import ConfigError, ModelError
from item_embed.model.folder import provenance
from item_embed.training.checkpoints import latest_checkpoint
from item_embed.training.run import pretrain
from tests.catalogs import folder, write_catalog
from tests.tiny import tiny_catalog, tiny_config, tiny_rows, white_catalog
from tests.training.runs import StoppedError, records, train, weights

# Nothing divides anything: lines, validation, checkpoints and epochs all come at different steps.
SETTINGS = (
    "model.dropout=0.2",
    "training.steps=11",
    "training.batch_size=12",
    "training.accumulation=2",
    "training.log_every=3",
    "training.validate_every=4",
    "training.checkpoint_every=2",
)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny_catalog(tmp_path_factory.mktemp("resume") / "catalog")


@pytest.fixture(scope="module")
def uninterrupted(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("uninterrupted") / "run"
    train(catalog, run, *SETTINGS)
    assert [(r["step"], r["split"]) for r in records(run)] == [
        (3, "train"),
        (4, "validation"),
        (6, "train"),
        (8, "validation"),
        (9, "train"),
        (11, "validation"),
    ]
    return run


@pytest.fixture(scope="module")
def stopped_once(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.raises(StoppedError):
        train(catalog, run, *SETTINGS, stop_at=5)
    return run


@pytest.fixture
def stopped(stopped_once: Path, tmp_path: Path) -> Path:
    """A stopped run of the test's own, to resume or to damage."""
    return shutil.copytree(stopped_once, tmp_path / "run")


@pytest.mark.parametrize("stop_at", [1, 5, 10, *(pytest.param(step, marks=pytest.mark.slow) for step in (2, 9, 11))])
def test_a_stopped_run_goes_on_bit_for_bit(stop_at: int, catalog: Catalog, uninterrupted: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(StoppedError):
        train(catalog, run, *SETTINGS, stop_at=stop_at)
    summary = train(catalog, run, *SETTINGS, resume=True)
    assert records(run) == records(uninterrupted)
    assert weights(run) == weights(uninterrupted)
    assert summary.validation == records(uninterrupted)[-1]


def test_a_run_begun_before_a_setting_existed_goes_on_bit_for_bit(
    stopped: Path, catalog: Catalog, uninterrupted: Path
) -> None:
    file = stopped / "config.yaml"
    config = yaml.safe_load(file.read_text())
    del config["objectives"]["itm_input"], config["objectives"]["global_head"]
    file.write_text(yaml.safe_dump(config))
    with pytest.raises(ConfigError, match="begun with another configuration"):
        train(catalog, stopped, *SETTINGS, "objectives.itm_input=whole", resume=True)
    train(catalog, stopped, *SETTINGS, resume=True)
    assert records(stopped) == records(uninterrupted)
    assert weights(stopped) == weights(uninterrupted)


@pytest.mark.slow
def test_a_stopped_run_that_drops_patches_goes_on_bit_for_bit(tmp_path: Path) -> None:
    catalog = white_catalog(tmp_path / "catalog")
    settings = (*SETTINGS, "objectives.patch_masking=drop", "model.background=drop")
    train(catalog, tmp_path / "whole", *settings)
    with pytest.raises(StoppedError):
        train(catalog, tmp_path / "run", *settings, stop_at=5)
    with pytest.raises(ConfigError, match="begun with another configuration"):
        train(catalog, tmp_path / "run", *settings[:-1], resume=True)
    train(catalog, tmp_path / "run", *settings, resume=True)
    assert records(tmp_path / "run") == records(tmp_path / "whole")
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


AGREEMENT = "objectives.weights={itm: 0, mlm: 0, mim: 0, gmlm: 0, gmim: 0, agreement: 1}"


@pytest.mark.parametrize("weights_of_tasks", [AGREEMENT, "objectives.weights.agreement=1"])
def test_a_stopped_run_of_agreement_goes_on_bit_for_bit(
    weights_of_tasks: str, catalog: Catalog, tmp_path: Path
) -> None:
    settings = (*SETTINGS, weights_of_tasks, "model.patch_embedding=convolutional")
    summary = train(catalog, tmp_path / "whole", *settings)
    assert summary.validation["metrics"]["view_top1"] >= 0
    with pytest.raises(StoppedError):
        train(catalog, tmp_path / "run", *settings, stop_at=5)
    train(catalog, tmp_path / "run", *settings, resume=True)
    assert records(tmp_path / "run") == records(tmp_path / "whole")
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_a_run_may_be_stopped_again_and_again(catalog: Catalog, uninterrupted: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for stop_at in (3, 5, 8):
        with pytest.raises(StoppedError):
            train(catalog, run, *SETTINGS, resume=stop_at > 3, stop_at=stop_at)
    train(catalog, run, *SETTINGS, resume=True)
    assert records(run) == records(uninterrupted)
    assert weights(run) == weights(uninterrupted)


def test_resuming_a_finished_run_changes_nothing(catalog: Catalog, uninterrupted: Path, tmp_path: Path) -> None:
    run = shutil.copytree(uninterrupted, tmp_path / "run")
    (run / "model" / "README.md").write_text("mine")
    told: list[str] = []
    pretrain(catalog, run, tiny_config(*SETTINGS), resume=True, on_remark=told.append)
    assert told == [f"{run} made all its 11 steps before: its model stays as it is"]
    assert records(run) == records(uninterrupted)
    assert weights(run) == weights(uninterrupted)
    assert provenance(run / "model") == provenance(uninterrupted / "model")
    assert (run / "model" / "README.md").read_text() == "mine"


def test_resuming_a_finished_run_brings_back_a_model_that_lacks_a_file(
    catalog: Catalog, uninterrupted: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(uninterrupted, tmp_path / "run")
    (run / "model" / "config.json").unlink()
    train(catalog, run, *SETTINGS, resume=True)
    assert weights(run) == weights(uninterrupted)
    assert (run / "model" / "config.json").is_file()


def test_a_resumed_run_tells_how_many_steps_its_time_is_of(catalog: Catalog, stopped: Path) -> None:
    summary = train(catalog, stopped, *SETTINGS, resume=True)
    assert provenance(summary.model)["timed_steps"] == 7  # of 11: the newest checkpoint is that of step 4


def test_what_a_kill_leaves_behind_is_tolerated(catalog: Catalog, uninterrupted: Path, stopped: Path) -> None:
    partial = stopped / "checkpoints" / ".step-00000006.partial"
    partial.mkdir()
    (partial / "model.safetensors").write_bytes(b"half of it")
    with (stopped / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "samples": 72, "spl')
    train(catalog, stopped, *SETTINGS, resume=True)
    assert records(stopped) == records(uninterrupted)
    assert weights(stopped) == weights(uninterrupted)


def test_a_run_that_died_before_its_first_checkpoint_starts_again(
    catalog: Catalog, uninterrupted: Path, stopped: Path
) -> None:
    shutil.rmtree(stopped / "checkpoints")
    shutil.rmtree(stopped / "tokenizer")
    train(catalog, stopped, *SETTINGS, resume=True)
    assert records(stopped) == records(uninterrupted)
    assert weights(stopped) == weights(uninterrupted)


def test_another_configuration_is_refused(catalog: Catalog, stopped: Path) -> None:
    with pytest.raises(ConfigError, match=r"was begun with another configuration \(.*config\.yaml\)"):
        train(catalog, stopped, *SETTINGS, "training.seed=1", resume=True)


def test_another_catalogue_is_refused(stopped: Path, tmp_path: Path) -> None:
    rows = [replace(row, title=f"{row.title} x") if row.title else row for row in tiny_rows()]
    other = write_catalog(tmp_path / "other", rows)
    with pytest.raises(ConfigError, match="was begun on other rows"):
        train(other, stopped, *SETTINGS, resume=True)


def test_a_catalogue_that_only_moved_is_accepted(
    catalog: Catalog, uninterrupted: Path, stopped: Path, tmp_path: Path
) -> None:
    moved = Catalog(shutil.copytree(folder(catalog), tmp_path / "moved"))
    train(moved, stopped, *SETTINGS, resume=True)
    assert weights(stopped) == weights(uninterrupted)


def test_other_groups_left_out_are_refused_even_if_they_are_as_many(catalog: Catalog, tmp_path: Path) -> None:
    files = []
    for item in ("item 4", "item 8"):
        files.append(tmp_path / f"{item}.parquet")
        pq.write_table(pa.table({"item_id": [item]}), files[-1])
    pretrain(catalog, tmp_path / "run", tiny_config(), exclude_groups=files[0])
    pretrain(catalog, tmp_path / "run", tiny_config(), exclude_groups=files[0], resume=True)
    with pytest.raises(ConfigError, match="was begun on other rows"):
        pretrain(catalog, tmp_path / "run", tiny_config(), exclude_groups=files[1], resume=True)


def test_nothing_to_resume_is_one_sentence(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no run to resume; start it without --resume"):
        train(catalog, tmp_path / "run", resume=True)


def test_a_damaged_checkpoint_is_one_sentence_and_the_one_before_it_serves(
    catalog: Catalog, uninterrupted: Path, stopped: Path
) -> None:
    newest = latest_checkpoint(stopped / "checkpoints")
    assert newest is not None
    (newest / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="remove it to go on from the one before"):
        train(catalog, stopped, *SETTINGS, resume=True)
    shutil.rmtree(newest)
    train(catalog, stopped, *SETTINGS, resume=True)
    assert records(stopped) == records(uninterrupted)
    assert weights(stopped) == weights(uninterrupted)


_VICTIM = """
import sys, time
from pathlib import Path
import torch
from item_embed.catalog.store import Catalog
from item_embed.training.run import pretrain
from tests.tiny import tiny_config
torch.set_num_threads(1)
catalog, run, *settings = sys.argv[1:]
pretrain(
    Catalog(catalog),
    Path(run),
    tiny_config(*settings),
    on_progress=lambda done, total: time.sleep(0.3 if done < 6 else 600),  # it never comes to an end
)
"""


@pytest.mark.slow
def test_a_run_killed_with_signal_9_goes_on_bit_for_bit(catalog: Catalog, uninterrupted: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-c", _VICTIM, str(catalog.path), str(run), *SETTINGS]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2]) as victim:
        deadline = time.monotonic() + 300  # a busy machine takes minutes to import torch
        while latest_checkpoint(run / "checkpoints") is None and time.monotonic() < deadline:
            assert victim.poll() is None
            time.sleep(0.02)
        victim.send_signal(signal.SIGKILL)
    assert victim.returncode == -signal.SIGKILL
    assert latest_checkpoint(run / "checkpoints") is not None
    assert not (run / "model").exists()
    train(catalog, run, *SETTINGS, resume=True)
    assert records(run) == records(uninterrupted)
    assert weights(run) == weights(uninterrupted)
