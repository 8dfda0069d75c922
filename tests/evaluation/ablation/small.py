"""A catalogue that can be trained on and asked, and grids of runs that take a moment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from item_embed.catalog.store import Catalog
from tests.catalogs import Row, write_catalog
from tests.tiny import COLOURS, THINGS, pattern, tiny_config

STEPS = 4


def small_catalog(path: Path, *, labels: bool = True) -> Catalog:
    """36 products of two listings in two leaves; a third each for training, validation and test."""
    rows = [
        Row(
            id=f"{number}-{listing}",
            title=f"{COLOURS[number % 7].title()} {THINGS[number % 5]}, model {number}{', new' * listing}",
            image=pattern(number),
            category=f"Things > {'large' if number % 2 else 'small'}" if labels else None,
            product_id=f"product {number}",
            group=number,
            split=("train", "validation", "test")[number % 3],
        )
        for number in range(36)
        for listing in range(2)
    ]
    return write_catalog(path, rows)


def write_grid(path: Path, axes: Mapping[str, Any], **more: Any) -> Path:
    """A grid of tiny runs; the configuration lies beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tiny_config(f"training.steps={STEPS}", "training.validation_rows=4").save(path.parent / "tiny-run.yaml")
    grid = {"config": "tiny-run.yaml", "axes": dict(axes), **more}
    path.write_text(yaml.safe_dump(grid, sort_keys=False, allow_unicode=True), encoding="utf8")
    return path
