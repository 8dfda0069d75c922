import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from item_embed.catalog.store import Catalog
from item_embed.errors import ConfigError
from item_embed.objectives.agreement import nt_xent
from item_embed.training.batches import PretrainingData
from item_embed.training.checkpoints import latest_checkpoint
from item_embed.training.distributed import ALONE, Processes, joined
from item_embed.training.run import pretrain
from tests.tiny import tiny_catalog, tiny_config, tiny_processor, white_catalog
from tests.training.gang import ROOT, environment, run_gang
from tests.training.runs import compare, records, train

ONLY_AGREEMENT = "objectives.weights={itm: 0, mlm: 0, mim: 0, gmlm: 0, gmim: 0, agreement: 1}"

# 22 pairs are 6, 6, 5 and 5 of four processes, and 11 of a part 3, 3, 3 and 2; an epoch of 32 rows ends within a step.
SHARED = ("training.batch_size=22", "training.steps=4", "training.validate_every=3")
RUNS = {
    "five tasks": (),
    "in parts": ("training.accumulation=2",),
    "dropped": ("objectives.patch_masking=drop", "model.background=drop", "training.accumulation=2"),
    "with agreement": ("objectives.weights.agreement=1", "model.patch_embedding=convolutional"),
    "agreement alone": (ONLY_AGREEMENT,),
    "whole pairs": ("objectives.itm_input=whole",),
    "whole pairs alone": (
        "objectives.weights={itm: 1, mlm: 0, mim: 0, gmlm: 0, gmim: 0}",
        "objectives.itm_input=whole",
    ),
    "few whole pairs": ("objectives.itm_input=whole", "training.accumulation=5", "training.batch_size=20"),
}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return white_catalog(tmp_path_factory.mktemp("distributed") / "catalog")


@given(st.integers(0, 50), st.integers(1, 9))
def test_shares_are_the_whole_in_order(rows: int, count: int) -> None:
    shares = [Processes(rank, count).share(np.arange(rows)) for rank in range(count)]
    assert np.concatenate(shares).tolist() == list(range(rows))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_shares_of_a_step_are_its_batch(count: int, catalog: Catalog) -> None:
    config = tiny_config(*SHARED, "training.accumulation=2", "objectives.weights.agreement=1")
    processor, rows = tiny_processor(catalog, config), catalog.rows("train")
    whole = PretrainingData(catalog, rows, processor, config)
    shares = [PretrainingData(catalog, rows, processor, config, Processes(rank, count)) for rank in range(count)]
    for step in range(3):
        for number, part in enumerate(whole[step]):
            parts = [data[step][number] for data in shares]
            assert part.views is not None
            for name in ("pixels", "matched", "masked_patches", "photo_missing"):
                assert torch.equal(torch.cat([getattr(share, name) for share in parts]), getattr(part, name)), name
            kinds = [share.views.kinds for share in parts if share.views is not None]
            assert torch.equal(torch.cat(kinds), part.views.kinds)
            counts = [share.counts() for share in parts]
            assert {name: sum(of[name] for of in counts) for name in counts[0]} == part.counts()


def test_alone_everything_is_as_it_was() -> None:
    rows = torch.randn(3, 2, requires_grad=True)
    gathered, begin = ALONE.gather(rows)
    assert gathered is rows
    assert begin == 0
    assert ALONE.total(rows) is rows
    assert ALONE.totals({"itm": 3, "mlm": 0}) == {"itm": 3, "mlm": 0}
    with joined() as processes:
        assert processes is ALONE


@pytest.mark.parametrize("cut", [0, 2, 6])
def test_agreement_of_own_products_adds_up_to_that_of_all(cut: int) -> None:
    torch.manual_seed(0)
    first, second = (torch.randn(6, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    kinds, alike = torch.tensor([0, 1, 0, 2, 0, 1]), torch.zeros(6, 6, dtype=torch.bool)
    alike[0, 4] = alike[4, 0] = True
    whole = nt_xent(first, second, 0.3, kinds, alike)
    parts = [nt_xent(first, second, 0.3, kinds, alike, own=own) for own in (slice(0, cut), slice(cut, 6))]
    assert [part.count for part in parts] == [2 * cut, 12 - 2 * cut]
    torch.testing.assert_close(parts[0].total + parts[1].total, whole.total, rtol=1e-5, atol=0)
    assert sum(int(part.metrics["view_top1"]) for part in parts) == int(whole.metrics["view_top1"])
    together = torch.autograd.grad(parts[0].total + parts[1].total, (first, second))
    for gradient, expected in zip(together, torch.autograd.grad(whole.total, (first, second)), strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_processes_together_train_as_one_does(count: int, catalog: Catalog, tmp_path: Path) -> None:
    jobs = [
        {"catalog": str(catalog.path), "run": str(tmp_path / name), "overrides": [*SHARED, *settings]}
        for name, settings in RUNS.items()
    ]
    run_gang(count, jobs)
    for name, settings in RUNS.items():
        alone = tmp_path / "of one process" / name
        train(catalog, alone, *SHARED, *settings)
        compare(tmp_path / name, alone)


def test_fewer_pairs_than_processes_are_one_sentence(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("item_embed.training.run.joined", lambda: _Among(9))
    with pytest.raises(ConfigError, match=r"training\.batch_size=16 in 2 parts leaves some of the 9 processes without"):
        train(catalog, tmp_path / "run", "training.batch_size=16", "training.accumulation=2")
    assert not (tmp_path / "run").exists()


class _Among:
    """In place of `joined()`: the first of so many processes."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __enter__(self) -> Processes:
        return Processes(0, self.count)

    def __exit__(self, *_: object) -> None: ...


LONG = ("training.batch_size=11", "training.steps=40", "training.checkpoint_every=2", "training.log_every=5")


ENDS = """
import os, socket, sys, torch
from item_embed.training.distributed import joined

os.environ |= {"MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": "2"}
for attempt in range(40):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        os.environ["MASTER_PORT"] = str(free.getsockname()[1])
    children = []
    for rank in range(2):
        if not (child := os.fork()):
            os.environ["RANK"] = str(rank)
            sys.setswitchinterval(100)  # other threads get Python's lock only where this one waits or ends
            with joined() as processes:
                processes.wait()
            sys.exit()
        children.append(child)
    ends = [os.waitpid(child, 0)[1] for child in children]
    assert ends == [0, 0], (attempt, ends)
"""


@pytest.mark.slow
def test_processes_that_have_met_end_quietly() -> None:
    """Threads of gloo that hold the last tensor when Python ends would abort it: else, one pair in ten or so."""
    done = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, text=True, check=False, timeout=240)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["none", "full"])
def test_a_killed_process_ends_the_others_in_a_sentence_and_other_numbers_go_on(sharding: str, tmp_path: Path) -> None:
    catalog, run, config = tiny_catalog(tmp_path / "catalog"), tmp_path / "run", tmp_path / "config.yaml"
    tiny_config(*LONG, f"training.sharding={sharding}").save(config)
    command = [sys.executable, "-m", "item_embed.cli.torchrun", "--nproc-per-node"]
    asked = ["pretrain", str(catalog.path), "--out", str(run), "--config", str(config)]
    with subprocess.Popen(
        [*command, "3", *asked], cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True
    ) as gang:
        while latest_checkpoint(run / "checkpoints") is None:
            assert gang.poll() is None
            time.sleep(0.02)
        [victim] = [child for child in psutil.Process(gang.pid).children() if child.environ().get("RANK") == "1"]
        victim.send_signal(signal.SIGKILL)
        _, told = gang.communicate(timeout=300)
    assert gang.returncode == 1
    assert re.findall("error: .*", told) == [
        "error: process 1 was ended by SIGKILL, as happens where memory runs out, and the others were stopped; "
        "go on with the same command and --resume."
    ]
    assert "Traceback" not in told
    assert not (run / "model").exists()
    again = subprocess.run(
        [*command, "2", *asked, "--resume"], check=False, cwd=ROOT, env=environment(), capture_output=True, text=True
    )
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("440 samples of 32 rows in 40 steps") == 1
    pretrain(catalog, tmp_path / "alone", tiny_config(*LONG))
    lines, expected = records(run, "train"), records(tmp_path / "alone", "train")
    assert [line["step"] for line in lines] == [line["step"] for line in expected]
    for line, other in zip(lines, expected, strict=True):
        assert line["losses"] == pytest.approx(other["losses"], rel=1e-3)
