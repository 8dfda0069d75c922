"""Reading a catalogue's files for its report: a stream of small columns, and single rows by number.

A catalogue of twenty million rows has thousands of files, and their descriptions alone would fill a gigabyte: one
file is open at a time.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

_BATCH = 8192  # rows of small columns in memory at once


class Rows:
    """The rows of one or several Parquet files, numbered from 0.

    Args:
        files: the files, in order.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._starts = [0]  # of each file that `stream` has read, and the end

    def stream(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield some columns of all rows. Read the stream to its end before asking for rows by number."""
        self._starts = [0]
        for path in self._files:
            with pq.ParquetFile(path) as file:
                self._starts.append(self._starts[-1] + file.metadata.num_rows)
                yield from file.iter_batches(_BATCH, columns=list(columns))

    def take(self, rows: Iterable[int], columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the wanted rows, each with its number, in ascending order; only their row groups are read."""
        wanted = np.unique(np.fromiter(rows, np.int64))
        ends = np.searchsorted(wanted, self._starts)
        for path, start, first, last in zip(self._files, self._starts, ends[:-1], ends[1:], strict=False):
            if first < last:
                with pq.ParquetFile(path) as file:
                    yield from _take(file, wanted[first:last] - start, columns, start)


def _take(
    file: pq.ParquetFile, wanted: NDArray[np.int64], columns: Sequence[str], start: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    sizes = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
    starts = np.cumsum([0, *sizes])
    groups = np.searchsorted(starts, wanted, side="right") - 1
    for group in np.unique(groups).tolist():
        places = wanted[groups == group]
        table = file.read_row_group(group, columns=list(columns)).take(pa.array(places - starts[group]))
        yield from zip((places + start).tolist(), table.to_pylist(), strict=True)
