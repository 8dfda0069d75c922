"""The spool: a feed's rows checked but not yet grouped, in chunks that a killed run leaves for the next one.

    SPOOL/00000012.keys    what grouping needs of each row of chunk 12: numbers only
    SPOOL/00000012.arrow   the rows

A chunk is there when its second file is: each is written aside and renamed, the rows last.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from item_embed.catalog.rows import NO_KEY, Keys
from item_embed.catalog.schema import ROW_SCHEMA
from item_embed.hashing import text_hash

STORED = pa.schema([field.with_nullable(True) for field in ROW_SCHEMA if field.name not in {"group", "split"}])
_ABOUT = pa.schema(
    [
        pa.field("row", pa.int64()),  # number in the feed, from 1
        pa.field("file", pa.string()),  # the feed file's name
        pa.field("reason", pa.string()),  # why the row is set aside; null: it is kept
        pa.field("content", pa.string()),  # the row as the feed has it, for a person
    ]
)
_SCHEMA = pa.schema([*STORED, *_ABOUT])
_NUMBERS = {
    "kept": "?",
    "change": "u1",
    "id": "<i8",  # two hashes of the id: it takes both to say that two ids are one
    "id_check": "<i8",
    "source": "<i8",
    **dict.fromkeys(Keys.__slots__, "<i8"),
}
_KEYS = np.dtype(list(_NUMBERS.items()))


class Change(IntEnum):
    """What a row is beside the previous catalogue."""

    NEW = 0
    CHANGED = 1
    UNCHANGED = 2
    RETRIED = 3  # as it was, but its photo failed then and was tried again


class Fate(IntEnum):
    """What became of a row."""

    KEPT = 0
    SET_ASIDE = 1  # when it was checked
    SAME_ID_SAME_CONTENT = 2
    SAME_ID_DIFFERENT_CONTENT = 3


@dataclass(frozen=True, slots=True)
class SpooledRow:
    """A checked row.

    Attributes:
        number: in the feed, from 1.
        file: the feed file's name.
        content: the row as the feed has it, as JSON.
        stored: the row by the columns of `STORED`, or None where it is set aside.
        keys: what may join it to other rows.
        change: what it is beside the previous catalogue.
        reason: why it is set aside.
    """

    number: int
    file: str
    content: str
    stored: Mapping[str, Any] | None = None
    keys: Keys | None = None
    change: Change = Change.NEW
    reason: str | None = None


class Spool:
    """Chunks of checked rows in a folder.

    Args:
        folder: where they lie; made with the first chunk.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, number: int, rows: Sequence[SpooledRow]) -> None:
        """Write a chunk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        keys = np.array([_keys(row) for row in rows], _KEYS)
        columns = [[row.stored.get(name) if row.stored else None for row in rows] for name in STORED.names]
        about = [(row.number, row.file, row.reason, row.content) for row in rows]
        values = [*columns, *(list(column) for column in zip(*about, strict=True))]
        arrays = [pa.array(column, field.type) for column, field in zip(values, _SCHEMA, strict=True)]
        aside = self.folder / f"{number:08d}.{os.getpid()}"
        aside.write_bytes(keys.tobytes())
        aside.replace(self._path(number, "keys"))
        schema = _SCHEMA.with_metadata({"rows": str(len(rows))})
        with pa.OSFile(str(aside), "wb") as file, pa.ipc.new_file(file, schema) as writer:
            writer.write_batch(pa.record_batch(arrays, schema=schema))
        aside.replace(self._path(number, "arrow"))

    def whole_chunks(self) -> tuple[int, int]:
        """How many chunks from the first on are there and whole, and their rows; later ones are written again."""
        rows = 0
        for number in count():
            found = self._rows_if_whole(number)
            if not found:
                return number, rows
            rows += found
        raise AssertionError  # count() has no end

    def rows(self, number: int) -> pa.RecordBatch:
        """A chunk's rows: the columns of `STORED`, then number, file, reason and content."""
        with pa.OSFile(str(self._path(number, "arrow"))) as file, pa.ipc.open_file(file) as chunk:
            return chunk.get_batch(0)

    def keys(self, chunks: int) -> "SpooledKeys":
        """The keys of all rows of the first `chunks` chunks."""
        counts = []
        files = {name: (self.folder / f"all-{name}.keys").open("wb") for name in _NUMBERS}
        try:
            for number in range(chunks):
                keys = np.fromfile(self._path(number, "keys"), _KEYS)
                counts.append(len(keys))
                for name, file in files.items():
                    file.write(keys[name].tobytes())
        finally:
            for file in files.values():
                file.close()
        return SpooledKeys(self.folder, np.array(counts, np.int64))

    def _rows_if_whole(self, number: int) -> int:
        try:
            with pa.OSFile(str(self._path(number, "arrow"))) as file, pa.ipc.open_file(file) as chunk:
                rows = int((chunk.schema.metadata or {})[b"rows"]) if chunk.num_record_batches == 1 else 0
            return rows if self._path(number, "keys").stat().st_size == rows * _KEYS.itemsize else 0
        except (OSError, KeyError, ValueError, pa.ArrowException):  # not there, or cut short by a power failure
            return 0

    def _path(self, number: int, kind: str) -> Path:
        return self.folder / f"{number:08d}.{kind}"


@dataclass(frozen=True)
class SpooledKeys:
    """What grouping needs of all rows, a column at a time: no more than one is in memory unless the caller holds it.

    Attributes:
        counts: rows of each chunk.
    """

    folder: Path
    counts: NDArray[np.int64]

    def column(self, name: str) -> NDArray[Any]:
        """One number of every row."""
        return np.fromfile(self.folder / f"all-{name}.keys", _NUMBERS[name])

    def chunk_slices(self) -> Iterator[slice]:
        """Where each chunk's rows stand among all."""
        end = 0
        for rows in self.counts.tolist():
            yield slice(end, end + rows)
            end += rows


def _keys(row: SpooledRow) -> tuple[bool | int, ...]:
    if row.stored is None or row.keys is None:
        return (False, int(row.change), *[NO_KEY] * (len(_NUMBERS) - 2))
    identity, keys = row.stored["id"], row.keys
    hashes = text_hash(identity), text_hash(f"check {identity}"), row.stored["source"]
    return (True, int(row.change), *hashes, keys.product_id, keys.title, keys.photo, keys.group)
