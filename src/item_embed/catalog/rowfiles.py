"""A catalogue's row files: read by row group, few of them open at a time, however many there are."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from item_embed.catalog.schema import ROW_SCHEMA
from item_embed.errors import CatalogError

# Each holds the description of its row groups, 1.5 MB. Opening one anew takes 1.5 ms, reading a photo from it 0.1.
_OPEN_FILES = 64


class RowFiles:
    """Row groups, numbered through all files of a catalogue.

    Args:
        paths: the files in their order.

    Raises:
        CatalogError: when one is missing, damaged, or holds other columns; also from reading, if it shows only there.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = list(paths)
        self._opened = lru_cache(maxsize=_OPEN_FILES)(_open)
        sizes = [_group_sizes(path) for path in paths]
        self._first = np.cumsum([0, *(len(groups) for groups in sizes)], dtype=np.int64)  # group of each file
        counts = np.concatenate([np.zeros(0, np.int64), *sizes])
        self.starts: NDArray[np.int64] = np.concatenate([[0], np.cumsum(counts)])  # row of each group, and the end

    def __len__(self) -> int:
        """How many row groups there are."""
        return len(self.starts) - 1

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(path.stat().st_size for path in self._paths)

    def place(self, row: int) -> tuple[int, int]:
        """The row group of a row, and its place in it."""
        group = int(np.searchsorted(self.starts, row, side="right")) - 1
        return group, row - int(self.starts[group])

    def read(self, group: int, columns: Sequence[str]) -> pa.RecordBatch:
        """Some columns of a row group, in the order asked for."""
        path, number = self._find(group)
        file = self._opened(path)
        with _readable(path):
            table = file.read_row_group(number, columns=list(columns)).select(list(columns))
            return table.combine_chunks().to_batches()[0]

    def columns(self, name: str) -> Iterator[pa.ChunkedArray]:
        """One column of all rows, a file at a time."""
        for path in self._paths:
            file = self._opened(path)
            with _readable(path):
                yield file.read(columns=[name], use_threads=False).column(0)  # a column is too little to share out

    def _find(self, group: int) -> tuple[Path, int]:
        file = int(np.searchsorted(self._first, group, side="right")) - 1
        return self._paths[file], group - int(self._first[file])


def _group_sizes(path: Path) -> NDArray[np.int64]:
    metadata = _open(path).metadata
    return np.array([metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)], np.int64)


def _open(path: Path) -> pq.ParquetFile:
    if not path.is_file():
        raise CatalogError(f"{path} is missing, though the manifest names it; prepare the catalogue again.")
    with _readable(path):
        file = pq.ParquetFile(path, pre_buffer=False)  # which pays where files are far away
        if not file.schema_arrow.equals(ROW_SCHEMA):
            raise pa.ArrowInvalid("other columns than a catalogue's")
    return file


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what the Parquet library says about a damaged file into a sentence that names it."""
    try:
        yield
    except (OSError, pa.ArrowException, UnicodeError):
        raise CatalogError(f"{path} is damaged and cannot be read; prepare the catalogue again.") from None
