"""Parquet feeds, streamed: never more than a few rows' photos in memory.

Files are opened here, because pyarrow takes no file name that is not UTF-8.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from item_embed.catalog.feeds.records import Record
from item_embed.catalog.feeds.text import mend

_BATCH = 64  # rows; photos may be megabytes each


def columns(path: Path) -> list[str]:
    """The names of the top-level columns."""
    with path.open("rb") as file:
        return list(dict.fromkeys(pq.read_schema(file).names))


def count(path: Path) -> int:
    """The number of rows, from the footer."""
    with path.open("rb") as file:
        return int(pq.read_metadata(file).num_rows)


def read(path: Path) -> Iterator[Record]:
    """Yield every row of a Parquet file."""
    with path.open("rb") as opened, pq.ParquetFile(opened, buffer_size=1 << 20, pre_buffer=False) as file:
        for batch in file.iter_batches(batch_size=_BATCH):
            values = [_values(column) for column in batch.columns]
            for row in range(batch.num_rows):
                yield Record(dict(zip(batch.schema.names, (column[row] for column in values), strict=True)))


def _values(column: pa.Array) -> list[Any]:
    """A column as Python values; what Python has no value for (nanoseconds, the year 10000) as text."""
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        data = column.cast(pa.large_binary()).to_pylist()
        return [value if value is None else mend(value.decode("utf-8", "surrogateescape")) for value in data]
    except (ValueError, OverflowError):
        return column.cast(pa.string()).to_pylist()  # type: ignore[no-any-return]
