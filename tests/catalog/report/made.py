"""Catalogue folders for tests of the report, written straight as files: as clean or as dirty as a test says."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from item_embed.catalog.schema import REJECTED_SCHEMA, ROW_SCHEMA, Counts, Manifest
from item_embed.hashing import text_hash

COLOURS = (
    *("red", "blue", "green", "black", "white", "grey", "pink", "brown", "olive", "navy"),
    *("teal", "cream", "gold", "lilac", "coral", "mint", "sand", "rust", "plum"),
)
THINGS = (
    *("mug", "lamp", "chair", "scarf", "jacket", "kettle", "basket", "cushion"),
    *("clock", "mirror", "vase", "towel", "bowl", "tray", "bench"),
)


@dataclass(frozen=True)
class Row:
    """A row of a catalogue; `pixels` is the hash of its photo, by default one of its own."""

    id: str
    title: str | None = None
    image: bytes | None = None
    size: tuple[int, int] = (400, 500)
    pixels: int | None = None
    category: str | None = None
    product_id: str | None = None
    repairs: Sequence[str] = ()
    group: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Rejected:
    """A row set aside."""

    reason: str
    row: int = 1
    source: str = "feed.csv"
    content: str = "{}"


def noise(seed: int, size: tuple[int, int] = (48, 60)) -> bytes:
    """A photo without empty background."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    return jpeg(Image.fromarray(pixels))


def plain(colour: str = "white", size: tuple[int, int] = (60, 60)) -> bytes:
    """A photo that shows nothing."""
    return jpeg(Image.new("RGB", size, colour))


def jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


def clean_rows(number: int) -> list[Row]:
    """Rows of a good feed: listings of many products, two each, in varied words, few categories, photos that fill."""
    photos = [noise(seed) for seed in range(8)]
    return [
        Row(
            id=f"sku-{row}",
            title=f"{COLOURS[row % 19]} {THINGS[row % 15]} of the {COLOURS[row // 19 % 19]} series, model {row}",
            image=photos[row % 8],
            category=f"Home > {THINGS[row % 15]}",
            product_id=f"product-{row // 2}",
            group=row // 2,
        )
        for row in range(number)
    ]


def write_folder(
    folder: Path,
    rows: Sequence[Row],
    rejected: Sequence[Rejected] = (),
    rows_per_file: int = 1000,
    **manifest: Any,
) -> Path:
    """Write a catalogue of these rows; what `manifest` names stands in its manifest."""
    (folder / "rows").mkdir(parents=True)
    for part, first in enumerate(range(0, max(len(rows), 1), rows_per_file)):
        records = [_record(first + place, row) for place, row in enumerate(rows[first : first + rows_per_file])]
        table = pa.Table.from_pylist(records, schema=ROW_SCHEMA)
        pq.write_table(table, folder / "rows" / f"part-{part:05d}.parquet", row_group_size=64)
    set_aside = pa.Table.from_pylist([vars(one) for one in rejected], schema=REJECTED_SCHEMA)
    pq.write_table(set_aside, folder / "rejected.parquet", row_group_size=64)
    repaired = sum(bool(row.repairs) for row in rows)
    counts = Counts(
        input=len(rows) + len(rejected),
        kept=len(rows) - repaired,
        repaired=repaired,
        set_aside=len(rejected),
    )
    said: dict[str, Any] = {
        "command": "item prepare feed.csv --out catalog",
        "created": "2024-01-01T00:00:00+00:00",
        "sources": ["feed.csv"],
        "columns": {"id": "sku", "title": "name", "image": "photo", "category": "path", "product_id": None},
        "seed": 0,
        "counts": counts.model_dump(),
        "splits": {"train": len(rows), "validation": 0, "test": 0},
        "reasons": {},
        "files": {str(path.relative_to(folder)): "0" for path in sorted(folder.rglob("*.parquet"))},
        "fingerprint": "0",
    }
    text = Manifest.model_validate(said | manifest).model_dump_json()
    (folder / "manifest.json").write_text(text, encoding="utf8")
    return folder


def _record(number: int, row: Row) -> dict[str, Any]:
    pixels = text_hash(f"photo {number}") if row.pixels is None else row.pixels
    shown = row.image is not None
    return {
        **{name: getattr(row, name) for name in ("id", "title", "image", "category", "product_id")},
        "photo_width": row.size[0] if shown else None,
        "photo_height": row.size[1] if shown else None,
        "photo_pixels": pixels if shown else None,
        "metadata": json.dumps(row.metadata),
        "repairs": list(row.repairs),
        "source": number,
        "group": number if row.group is None else row.group,
        "split": "train",
    }
