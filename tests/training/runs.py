"""Running `pretrain` on the tiny catalogue, and reading what it wrote."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from item_embed.catalog.store import Catalog
from item_embed.training.run import RunSummary, pretrain
from tests.tiny import tiny_config


class StoppedError(Exception):
    """Raised from outside to stop a run."""


def train(catalog: Catalog, run: Path, *overrides: str, resume: bool = False, stop_at: int = 0) -> RunSummary:
    """Pre-train; `stop_at` stops the run from outside once that step is done."""

    def on_progress(done: int, total: int | None) -> None:
        if done == stop_at:
            raise StoppedError

    return pretrain(catalog, run, tiny_config(*overrides), resume=resume, on_progress=on_progress)


def records(run: Path, split: str | None = None) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl`, without the one number that depends on the clock."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf8").splitlines()
    everything: list[dict[str, Any]] = [json.loads(line) for line in lines]
    for record in everything:
        record.pop("samples_per_second", None)
    return [record for record in everything if split in (None, record["split"])]


def weights(run: Path) -> bytes:
    """The trained model's weights."""
    return (run / "model" / "model.safetensors").read_bytes()


def compare(together: Path, alone: Path) -> None:
    """Two runs are equal to rounding."""
    lines, others = records(together), records(alone)
    assert [(line["step"], line["split"]) for line in lines] == [(line["step"], line["split"]) for line in others]
    for line, other in zip(lines, others, strict=True):
        where = f"{together.name}, step {line['step']}"
        for key in ("losses", "metrics", "objective_gradient_norms"):
            assert line.get(key, {}) == pytest.approx(other.get(key, {}), rel=1e-4, abs=1e-6), where
        assert line.get("gradient_norm", 0) == pytest.approx(other.get("gradient_norm", 0), rel=1e-4), where
    weights, of_one = (load_file(run / "model" / "model.safetensors") for run in (together, alone))
    for name, expected in of_one.items():
        keys = name.endswith("qkv.bias")  # the softmax does not see the bias of keys: rounding alone moves it
        found, weight = (of.view(3, -1)[[0, 2]] if keys else of for of in (weights[name], expected))
        torch.testing.assert_close(found, weight, rtol=1e-3, atol=1e-5, msg=f"{together.name}: {name}")
