"""The benchmark of training compares like with like."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from item_embed.config import RunConfig
from item_embed.model import encoder, heads
from tests.tiny import tiny_config, white_catalog

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # scripts, not a package
from models import Ours, Vilt  # noqa: E402

from training import SWITCHES, Stage  # noqa: E402

SQUARE = "model.image_size=[32, 32]"  # ViLT's photos are


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    catalog = white_catalog(tmp_path_factory.mktemp("benchmark") / "catalog")
    return Stage.build(catalog, batch=8, count=2, device=torch.device("cpu"))


def vilt(stage: Stage, config: RunConfig, *, shipped: bool) -> Vilt:
    torch.manual_seed(0)
    length = config.model.max_title_tokens if shipped else None
    return Vilt(config.model, stage.vocab_size, 1e-4, shipped=shipped, title_length=length)


def test_all_contestants_see_the_same_titles_tokens_masks_and_photos(stage: Stage) -> None:
    config = tiny_config(SQUARE)
    keep = stage.batches(config)
    for switches in SWITCHES.values():
        for ours, batch in zip(stage.batches(tiny_config(SQUARE, *switches)), keep, strict=True):
            for name in ("input_ids", "masked_tokens", "matched", "pixels"):
                assert torch.equal(getattr(ours, name), getattr(batch, name))
    for batch in keep:
        (theirs,) = vilt(stage, config, shipped=True).ready(batch, stage.device)
        length = batch.tokens.shape[1]
        assert torch.equal(theirs.input_ids[:, :length], batch.input_ids)
        assert torch.equal(theirs.attended[:, :length] == 0, batch.token_padding)
        assert torch.equal(theirs.labels[:, :length] >= 0, batch.predicted_tokens)
        assert not theirs.attended[:, length:].any()


def test_vilt_at_its_best_has_the_loss_of_vilt_as_shipped(stage: Stage) -> None:
    config = tiny_config(SQUARE)
    for batch in stage.batches(config):
        losses = []
        for shipped in (True, False):
            model = vilt(stage, config, shipped=shipped)
            losses.append(model(*model.ready(batch, stage.device)))
        torch.testing.assert_close(losses[0], losses[1])


@pytest.mark.parametrize("switches", [*SWITCHES.values(), None])
def test_the_operations_are_those_that_torch_counts(
    stage: Stage, switches: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (encoder, heads):  # torch does not count those of its kernel for a CPU
        monkeypatch.setattr(module, "attention", encoder.plain_attention)
    config = tiny_config(SQUARE, "training.batch_size=1", *(switches or []))  # so that nothing is padded
    model = vilt(stage, config, shipped=False) if switches is None else Ours(config, stage.vocab_size)
    whole = [batch for batch in replace(stage, count=4).batches(config) if int(batch.predicted_patches.sum())]
    with FlopCounterMode(display=False) as counter:
        for batch in whole:
            model(*model.ready(batch, stage.device))
    decoder = 2 * config.model.patches * config.model.hidden_size**2  # its queries are projected once for a batch
    neglected = 4 * config.model.hidden_size + decoder * (config.objectives.patch_masking == "drop")  # and ITM
    ours = sum(map(model.flops, whole))
    assert ours <= counter.get_total_flops() <= ours + neglected * len(whole)


@pytest.mark.slow  # it imports everything anew
def test_the_benchmark_of_a_gpu_says_in_a_sentence_that_there_is_none() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    ran = subprocess.run([sys.executable, BENCHMARKS / "gpu.py"], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1
    assert "CUDA" in ran.stderr
