"""What learners are given in tests: the tiny catalogue, and a stop from outside."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from item_embed.catalog.store import Catalog
from item_embed.evaluation.learners.learner import Fitted, Learner, Material
from item_embed.model.tokenizer import train_tokenizer
from tests.tiny import tiny_config


class StoppedError(Exception):
    """Raised from outside to stop a learner."""


def material(catalog: Catalog, *overrides: str) -> Material:
    """The training rows of a catalogue, with the tiny configuration."""
    config, rows = tiny_config(*overrides), catalog.rows("train")
    tokenizer = train_tokenizer([title for title in catalog.titles.at(rows) if title], config.model.vocab_size)
    return Material(catalog, rows, config, lambda: tokenizer)


def stop_at(step: int) -> Callable[[int, int | None], None]:
    """Progress that stops once a step is done."""

    def on_progress(done: int, total: int | None) -> None:
        if done == step:
            raise StoppedError

    return on_progress


def never(done: int, total: int | None) -> None:
    """Progress of what must not train."""
    raise AssertionError("a step was trained")


def fit(learner: Learner, given: Material, folder: Path) -> Fitted:
    return learner.fit(given, folder, "cpu")


def records(folder: Path) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl`."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf8").splitlines()]
