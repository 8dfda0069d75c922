"""Writing a catalogue: rows are spooled as they come, get group and split last, and appear all at once."""

import hashlib
import os
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from item_embed.catalog.rows import Row
from item_embed.catalog.schema import REJECTED_SCHEMA, ROW_SCHEMA, printable
from item_embed.errors import CatalogError

# What a reader fetches to show one photo. Fewer make that cheaper and opening dearer: at 64 the description of a
# million rows takes 0.1 GB of memory, at 16 half a gigabyte.
ROWS_PER_GROUP = 64
ROWS_PER_FILE = 8192
_SPOOL = "spool.arrow"
_SPOOL_SCHEMA = pa.schema([field for field in ROW_SCHEMA if field.name not in {"group", "split"}])
# Photos are compressed already, text is not. Statistics tell a reader which row groups have every photo.
_PLAIN = {"compression": "zstd", "use_dictionary": False}
_ROWS = {
    "compression": {
        name: "none" if name == "image" else "zstd" for name in (*ROW_SCHEMA.names, "repairs.list.element")
    },
    "use_dictionary": ["category", "split", "repairs.list.element"],
    "write_statistics": ["id", "image", "group"],
}


def check_free(out: Path, overwrite: bool) -> None:
    """Refuse a place where something else than a catalogue to be replaced stands, or where no Parquet can.

    Raises:
        CatalogError: saying what is wrong with it.
    """
    if printable(os.path.realpath(out)) != os.path.realpath(out):
        raise CatalogError(f"{printable(str(out))} has a name that is not UTF-8 in its path; choose another.")
    if not os.path.lexists(out):
        return
    if not overwrite:
        raise CatalogError(f"{out} exists already; choose another name, or replace it with --overwrite.")
    written = {"manifest.json", "rejected.parquet", "rows"}
    if not out.is_dir() or out.is_symlink() or not {entry.name for entry in out.iterdir()} <= written:
        raise CatalogError(f"{out} is not a catalogue, so --overwrite leaves it alone; choose another name.")


class CatalogWriter:
    """Takes rows in their order, never holding more than one row group's photos in memory.

    Args:
        folder: an empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: list[Row] = []
        self._rejected: list[dict[str, Any]] = []
        self._spool = pa.ipc.new_file(folder / _SPOOL, _SPOOL_SCHEMA)
        self._rejects = pq.ParquetWriter(folder / "rejected.parquet", REJECTED_SCHEMA, **_PLAIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._kept:
            self._flush_kept()
        if self._rejected:
            self._flush_rejected()
        self._spool.close()
        self._rejects.close()

    def keep(self, row: Row) -> None:
        """Add a row to the catalogue."""
        self._kept.append(row)
        if len(self._kept) == ROWS_PER_GROUP:
            self._flush_kept()

    def set_aside(self, number: int, source: str, reason: str, content: str) -> None:
        """Add a row to `rejected.parquet`."""
        self._rejected.append({"row": number, "source": source, "reason": reason, "content": content})
        if len(self._rejected) == ROWS_PER_GROUP:
            self._flush_rejected()

    def _flush_kept(self) -> None:
        columns = [[getattr(row, name) for row in self._kept] for name in _SPOOL_SCHEMA.names]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, _SPOOL_SCHEMA, strict=True)]
        self._spool.write_batch(pa.record_batch(arrays, schema=_SPOOL_SCHEMA))
        self._kept.clear()

    def _flush_rejected(self) -> None:
        self._rejects.write_batch(pa.RecordBatch.from_pylist(self._rejected, schema=REJECTED_SCHEMA))
        self._rejected.clear()


def add_splits(folder: Path, groups: NDArray[np.int64], splits: NDArray[np.str_]) -> dict[str, str]:
    """Turn the spool of a `CatalogWriter` into the catalogue's row files.

    Args:
        folder: the writer's folder.
        groups: the group of every kept row, (n,).
        splits: the split of every kept row, (n,).

    Returns:
        Parquet file, relative to the folder -> SHA-256.
    """
    (folder / "rows").mkdir()
    with pa.memory_map(str(folder / _SPOOL)) as spooled, pa.ipc.open_file(spooled) as reader:
        batches = range(reader.num_record_batches)
        for part, first in enumerate(batches[:: ROWS_PER_FILE // ROWS_PER_GROUP]):
            path = folder / "rows" / f"part-{part:05d}.parquet"
            with pq.ParquetWriter(path, ROW_SCHEMA, **_ROWS) as writer:
                for number in batches[first : first + ROWS_PER_FILE // ROWS_PER_GROUP]:
                    rows = slice(number * ROWS_PER_GROUP, (number + 1) * ROWS_PER_GROUP)
                    added = [pa.array(groups[rows]), pa.array(splits[rows].tolist(), pa.string())]
                    columns = [*reader.get_batch(number).columns, *added]
                    writer.write_batch(pa.record_batch(columns, schema=ROW_SCHEMA))
    (folder / _SPOOL).unlink()
    files = sorted([folder / "rejected.parquet", *(folder / "rows").iterdir()])
    return {file.relative_to(folder).as_posix(): _sha256(file) for file in files}


def fingerprint(files: dict[str, str]) -> str:
    """SHA-256 over the names and hashes of a catalogue's files."""
    return hashlib.sha256("\n".join(f"{name} {files[name]}" for name in sorted(files)).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
