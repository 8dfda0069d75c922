"""Writing a catalogue: spooled rows get their group and split, and become row files."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from item_embed.catalog.schema import REJECTED_SCHEMA, ROW_SCHEMA, SPLITS
from item_embed.catalog.settling import Settled
from item_embed.catalog.spool import STORED, Fate, Spool, SpooledKeys

# What a reader fetches to show one photo. Fewer make that cheaper and opening dearer.
ROWS_PER_GROUP = 64
REJECTED_PER_GROUP = 1024
ROWS_PER_FILE = 8192  # a file is the unit of work when a catalogue is written
_DUPLICATE = {
    Fate.SAME_ID_SAME_CONTENT: "duplicate id, same content",
    Fate.SAME_ID_DIFFERENT_CONTENT: "duplicate id, different content",
}
# Photos are compressed already, text is not. Statistics tell a reader which row groups have every photo.
_PLAIN = {"compression": "zstd", "use_dictionary": False}
_ROWS = {
    "compression": {
        name: "none" if name == "image" else "zstd" for name in (*ROW_SCHEMA.names, "repairs.list.element")
    },
    "use_dictionary": ["category", "split", "repairs.list.element"],
    "write_statistics": ["id", "image", "group"],
}


@dataclass(frozen=True)
class Part:
    """One row file to be written.

    Attributes:
        path: of the file.
        spool: the spool's folder.
        chunks: the chunks it takes rows from, and the places of these rows in each.
        groups: of its rows.
        splits: of its rows, as places in `SPLITS`.
    """

    path: Path
    spool: Path
    chunks: list[tuple[int, NDArray[np.int64]]]
    groups: NDArray[np.int64]
    splits: NDArray[np.int8]


@dataclass(frozen=True)
class Written:
    """A row file that was written: its name and SHA-256, its rows, those with repairs, and rows by repair."""

    name: str
    sha256: str
    rows: int
    repaired: int
    repairs: Counter[str]


def plan_parts(folder: Path, keys: SpooledKeys, settled: Settled) -> Iterator[Part]:
    """Deal the kept rows to row files, `ROWS_PER_FILE` to each, in their order.

    Args:
        folder: where the row files go.
        keys: of all spooled rows.
        settled: what became of them.
    """
    groups, splits = settled.groups, settled.splits
    waiting: list[tuple[int, NDArray[np.int64]]] = []
    first, held = 0, 0
    for number, rows in enumerate(keys.chunk_slices()):
        places = np.flatnonzero(settled.fates[rows] == Fate.KEPT)
        while len(places):
            taken, places = np.split(places, [ROWS_PER_FILE - held])
            waiting.append((number, taken))
            held += len(taken)
            if held == ROWS_PER_FILE or first + held == len(groups):
                chosen = slice(first, first + held)
                path = folder / f"part-{first // ROWS_PER_FILE:05d}.parquet"
                yield Part(path, keys.folder, waiting, groups[chosen], splits[chosen])
                waiting, first, held = [], first + held, 0


def write_part(part: Part) -> Written:
    """Write one row file, never holding more than two chunks' photos in memory."""
    spool, names = Spool(part.spool), np.asarray(SPLITS)[part.splits].tolist()
    repairs: Counter[str] = Counter()
    repaired = done = 0
    chosen = (spool.rows(number).select(STORED.names).take(pa.array(places)) for number, places in part.chunks)
    with pq.ParquetWriter(part.path, ROW_SCHEMA, **_ROWS) as writer:
        for table in _regrouped(chosen, ROWS_PER_GROUP):
            rows = slice(done, done + table.num_rows)
            added = [pa.array(part.groups[rows]), pa.array(names[rows], pa.string())]
            writer.write_table(pa.table([*table.itercolumns(), *added], schema=ROW_SCHEMA))
            done = rows.stop
            for mended in table.column("repairs").to_pylist():
                repairs.update(set(mended))
                repaired += bool(mended)
    return Written(part.path.name, sha256(part.path), done, repaired, repairs)


def write_rejected(folder: Path, keys: SpooledKeys, fates: NDArray[np.uint8]) -> Counter[str]:
    """Write `rejected.parquet`.

    Returns:
        Reason -> rows.
    """
    reasons: Counter[str] = Counter()
    with pq.ParquetWriter(folder / "rejected.parquet", REJECTED_SCHEMA, **_PLAIN) as writer:
        for table in _regrouped(_rejected(keys, fates), REJECTED_PER_GROUP):
            writer.write_table(table)
            reasons.update(table.column("reason").to_pylist())
    return reasons


def _rejected(keys: SpooledKeys, fates: NDArray[np.uint8]) -> Iterator[pa.RecordBatch]:
    spool = Spool(keys.folder)
    for number, rows in enumerate(keys.chunk_slices()):
        places = np.flatnonzero(fates[rows] != Fate.KEPT)
        if len(places):
            batch = spool.rows(number).take(pa.array(places))
            reasons = [
                _DUPLICATE.get(Fate(fate), reason)
                for fate, reason in zip(fates[rows][places].tolist(), batch.column("reason").to_pylist(), strict=True)
            ]
            columns = [batch.column("row"), batch.column("file"), pa.array(reasons), batch.column("content")]
            yield pa.record_batch(columns, schema=REJECTED_SCHEMA)


def _regrouped(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.Table]:
    """The rows of batches as tables of `size` rows, the last of fewer."""
    held = None
    for batch in batches:
        rows = pa.Table.from_batches([batch])
        held = rows if held is None else pa.concat_tables([held, rows])
        while held.num_rows >= size:
            yield held.slice(0, size).combine_chunks()
            held = held.slice(size)
    if held is not None and held.num_rows:
        yield held.combine_chunks()


def fingerprint(files: dict[str, str]) -> str:
    """SHA-256 over the names and hashes of a catalogue's files."""
    return hashlib.sha256("\n".join(f"{name} {files[name]}" for name in sorted(files)).encode()).hexdigest()


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
