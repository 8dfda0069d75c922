"""A catalogue's row files: read by row group, few of them open at a time, however many there are."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from item_embed.catalog.schema import ROW_SCHEMA
from item_embed.errors import CatalogError, RemoteError
from item_embed.remote.parquet import RemoteParquet, open_files, read_together
from item_embed.remote.places import MissingError, Remote

# Each holds the description of its row groups, 1.5 MB. Opening one anew takes 1.5 ms, reading a photo from it 0.1.
_OPEN_FILES = 64
_AT_ONCE = 16  # row groups, of 1 MB with their photos: what a store gives in the time of one or two
# What training and search read of all rows, labels apart. In a row group they lie beside each other, or with the next
# one's, so that a request brings all or one of them.
_SMALL = ("id", "title", "photo_pixels", "group", "split")


class RowFiles:
    """Row groups, numbered through all files of a catalogue; other processes, to which it is sent, open them anew.

    Args:
        paths: the files in their order, all on this machine or all in one store.

    Attributes:
        starts: the row with which each row group begins, and the number of rows.
        bytes: of all files.
        at_once: how many row groups are best read together: one, or of a store, which takes its time, several.

    Raises:
        CatalogError: when one is missing, damaged, cannot be reached, or holds other columns; also from reading, if it
            shows only there.
    """

    def __init__(self, paths: Sequence[Path | Remote]) -> None:
        self._paths = list(paths)
        self._open = OrderedDict[int, pq.ParquetFile | RemoteParquet]()
        self._fetched: dict[str, list[pa.ChunkedArray]] = {}
        sizes, self.bytes = [np.zeros(0, np.int64)], 0
        for number, file in enumerate(_opened(self._paths)):
            self._keep(number, file)
            about = file.metadata
            sizes.append(np.array([about.row_group(group).num_rows for group in range(about.num_row_groups)], np.int64))
            self.bytes += _size(self._paths[number], file)
        self._first = np.cumsum([len(groups) for groups in sizes], dtype=np.int64)  # group of each file
        self.starts: NDArray[np.int64] = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
        self.at_once = _AT_ONCE if self._are_remote else 1

    def __len__(self) -> int:
        """How many row groups there are."""
        return len(self.starts) - 1

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_open": OrderedDict(), "_fetched": {}}

    def place(self, row: int) -> tuple[int, int]:
        """The row group of a row, and its place in it."""
        group = int(np.searchsorted(self.starts, row, side="right")) - 1
        return group, row - int(self.starts[group])

    def read_several(self, groups: Sequence[int], columns: Sequence[str]) -> list[pa.RecordBatch]:
        """Some columns of row groups, no group twice, in the order asked for."""
        if not groups:
            return []
        files = np.searchsorted(self._first, groups, side="right") - 1
        asked: dict[int, list[int]] = {}
        for group, file in zip(groups, files.tolist(), strict=True):
            asked.setdefault(file, []).append(group)
        read = self._read_remote if self._are_remote else self._read_local
        tables = read(asked, list(columns))
        return [tables[group].select(list(columns)).combine_chunks().to_batches()[0] for group in groups]

    def columns(self, name: str) -> Iterator[pa.ChunkedArray]:
        """One column of all rows, a file at a time."""
        if not self._are_remote or name not in _SMALL:
            for number in range(len(self._paths)):
                yield self._columns(number, [name]).column(0)
            return
        if name not in self._fetched:  # all of them while we are there, each until it is asked for
            tables = [self._columns(number, _SMALL) for number in range(len(self._paths))]
            self._fetched = {small: [table.column(small) for table in tables] for small in _SMALL}
        yield from self._fetched.pop(name)

    @property
    def _are_remote(self) -> bool:
        return any(isinstance(path, Remote) for path in self._paths)

    def _columns(self, number: int, names: Sequence[str]) -> pa.Table:
        file = self._file(number)
        with _readable(self._paths[number]):
            return file.read(columns=list(names), use_threads=False)  # they are too little to share out

    def _read_local(self, asked: dict[int, list[int]], columns: list[str]) -> dict[int, pa.Table]:
        found = {}
        for number, groups in asked.items():
            file, first = self._file(number), self._first[number]
            with _readable(self._paths[number]):
                found.update({group: file.read_row_group(group - first, columns=columns) for group in groups})
        return found

    def _read_remote(self, asked: dict[int, list[int]], columns: list[str]) -> dict[int, pa.Table]:
        """Of all files at once."""
        wanted = [(self._file(number), [group - self._first[number] for group in asked[number]]) for number in asked]
        with _readable(self._paths[next(iter(asked))]):
            tables = read_together(wanted, columns)
        return {
            group: table
            for number, read in zip(asked, tables, strict=True)
            for group, table in zip(asked[number], read, strict=True)
        }

    def _file(self, number: int) -> pq.ParquetFile | RemoteParquet:
        file = self._open.get(number) or next(_opened([self._paths[number]]))
        self._keep(number, file)
        return file

    def _keep(self, number: int, file: pq.ParquetFile | RemoteParquet) -> None:
        self._open[number] = file
        self._open.move_to_end(number)
        if len(self._open) > _OPEN_FILES:
            self._open.popitem(last=False)


def _opened(paths: Sequence[Path | Remote]) -> Iterator[pq.ParquetFile | RemoteParquet]:
    """Open files one by one; of a store, ask for several footers at once."""
    remote = open_files([path for path in paths if isinstance(path, Remote)])
    for path in paths:
        with _readable(path):
            if isinstance(path, Remote):
                file = next(remote)
            elif path.is_file():
                file = pq.ParquetFile(path, pre_buffer=False)  # which pays where files are far away
            else:
                raise MissingError(f"{path} does not exist.")
            if not file.schema_arrow.equals(ROW_SCHEMA):
                raise pa.ArrowInvalid("other columns than a catalogue's")
        yield file


def _size(path: Path | Remote, file: pq.ParquetFile | RemoteParquet) -> int:
    return path.stat().st_size if isinstance(path, Path) else int(file.stored_bytes)


@contextmanager
def _readable(path: Path | Remote) -> Iterator[None]:
    """Turn what the Parquet library says about a damaged file into a sentence that names it."""
    try:
        yield
    except MissingError:
        raise CatalogError(f"{path} is missing, though the manifest names it; prepare the catalogue again.") from None
    except RemoteError as error:
        raise CatalogError(str(error)) from None
    except (OSError, pa.ArrowException, UnicodeError):
        raise CatalogError(f"{path} is damaged and cannot be read; prepare the catalogue again.") from None
