"""A catalogue written by hand, for tests of what reads catalogues."""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from item_embed.catalog.schema import REJECTED_SCHEMA, ROW_SCHEMA, SPLITS, Counts, Manifest
from item_embed.catalog.store import Catalog
from item_embed.hashing import text_hash


@dataclass(frozen=True)
class Row:
    """One row of a catalogue; `group` defaults to the row's number."""

    id: str
    title: str | None = None
    image: bytes | None = None
    category: str | None = None
    product_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    group: int | None = None
    split: str = "train"


@cache
def photo(colour: tuple[int, int, int], size: tuple[int, int] = (24, 32)) -> bytes:
    """A JPEG of one colour; `size` is (width, height)."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "JPEG", quality=95)
    return file.getvalue()


def write_catalog(path: Path, rows: Sequence[Row], files: int = 1) -> Catalog:
    """Write a catalogue of these rows, spread over so many row files, and open it."""
    (path / "rows").mkdir(parents=True)
    per_file = max(1, -(-len(rows) // files))
    for number in range(files):
        first = number * per_file
        records = [_record(first + i, row) for i, row in enumerate(rows[first : first + per_file])]
        table = pa.Table.from_pylist(records, schema=ROW_SCHEMA)
        several = max(2, -(-per_file // 4))  # row groups in each file, and few, as each takes its time
        pq.write_table(table, path / "rows" / f"{number:05}.parquet", row_group_size=several)
    pq.write_table(REJECTED_SCHEMA.empty_table(), path / "rejected.parquet")
    _write_manifest(path, rows)
    return Catalog(path)


def folder(catalog: Catalog) -> Path:
    """Where a catalogue of this machine is."""
    assert isinstance(catalog.path, Path)
    return catalog.path


def _record(number: int, row: Row) -> dict[str, Any]:
    group = number if row.group is None else row.group
    stored = vars(row) | {"metadata": json.dumps(row.metadata), "repairs": [], "group": group, "source": number}
    if row.image is None:
        return stored
    pixels = text_hash(row.image)  # equal for equal files: enough for what reads catalogues
    width, height = _size(row.image)
    return stored | {"photo_width": width, "photo_height": height, "photo_pixels": pixels}


@lru_cache(1000)  # most photos are in many catalogues
def _size(image: bytes) -> tuple[int, int]:
    try:
        return Image.open(io.BytesIO(image)).size
    except OSError:  # tests of damage
        return 8, 8


def _write_manifest(path: Path, rows: Sequence[Row]) -> None:
    hashes = {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*.parquet"))
    }
    manifest = Manifest(
        command="written by a test",
        created="2024-01-01T00:00:00+00:00",
        sources=[],
        columns={},
        seed=0,
        counts=Counts(input=len(rows), kept=len(rows), repaired=0, set_aside=0),
        splits={split: sum(row.split == split for row in rows) for split in SPLITS},
        reasons={},
        files=hashes,
        fingerprint=hashlib.sha256(json.dumps(hashes).encode()).hexdigest(),
    )
    (path / "manifest.json").write_text(manifest.model_dump_json(), encoding="utf8")
