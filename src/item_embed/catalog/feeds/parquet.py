"""Parquet feeds, streamed: never more than a few rows' photos in memory.

Files are opened here, because pyarrow takes no file name that is not UTF-8.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from item_embed.catalog.feeds.places import FeedFile, open_bytes
from item_embed.catalog.feeds.records import Record
from item_embed.catalog.feeds.text import mend

BATCH = 64  # rows
_MOST_BYTES = 32 << 20  # of a batch, on average; photos may be megabytes each


def columns(file: FeedFile) -> list[str]:
    """The names of the top-level columns."""
    with open_bytes(file) as opened:
        return list(dict.fromkeys(pq.read_schema(opened).names))


def count(file: FeedFile) -> int:
    """The number of rows, from the footer."""
    with open_bytes(file) as opened:
        return int(pq.read_metadata(opened).num_rows)


def read(file: FeedFile, skip: int = 0) -> Iterator[Record]:
    """Yield every row of a Parquet file but the first `skip`, whose row groups are not read where they are whole.

    Batches start with their row group, so that a row comes out the same however many were skipped before it.
    """
    with _opened(file) as parquet:
        for group in range(parquet.num_row_groups):
            about = parquet.metadata.row_group(group)
            size = about.num_rows
            if skip >= size:
                skip -= size
                continue
            rows = max(1, min(BATCH, _MOST_BYTES * size // max(1, about.total_byte_size)))
            for batch in parquet.iter_batches(batch_size=rows, row_groups=[group]):
                yield from records(batch.schema.names, batch.columns, min(skip, batch.num_rows))
                skip = max(skip - batch.num_rows, 0)


def records(names: list[str], values: list[Any], skip: int = 0) -> Iterator[Record]:
    """The rows of a batch, given as Arrow arrays, but the first `skip`."""
    if values and skip < len(values[0]):
        for row in list(zip(*map(_values, values), strict=True))[skip:]:
            yield Record(dict(zip(names, row, strict=True)))


@contextmanager
def _opened(file: FeedFile) -> Iterator[pq.ParquetFile]:
    with open_bytes(file) as opened, pq.ParquetFile(opened, buffer_size=1 << 20, pre_buffer=False) as parquet:
        yield parquet


def _values(column: Any) -> list[Any]:
    """A column as Python values; what Python has no value for (nanoseconds, the year 10000) as text."""
    try:
        return _plain(column).to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        data = column.cast(pa.large_binary()).to_pylist()
        return [value if value is None else mend(value.decode("utf-8", "surrogateescape")) for value in data]
    except (ValueError, OverflowError):
        return column.cast(pa.string()).to_pylist()  # type: ignore[no-any-return]


def _plain(column: Any) -> Any:
    """Nanoseconds as microseconds where they are whole: pyarrow's own values for them depend on pandas being there."""
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return column.cast(pa.timestamp("us", kind.tz))
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return column.cast(pa.duration("us"))
    return column
