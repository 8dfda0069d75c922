"""Running `pretrain` on the tiny catalogue, and reading what it wrote."""

import json
from pathlib import Path
from typing import Any

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
