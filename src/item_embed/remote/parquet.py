"""Parquet files of object stores, read in part: what is asked for is fetched at once, neighbours with one request.

Each request to a store takes its twentieth of a second, whatever it brings. A footer is fetched by one, without a look
at the file's size before; the columns of row groups by as many at a time as there are, at once.
"""

import io
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.utils import merge_offset_ranges

from item_embed.errors import RemoteError
from item_embed.remote.places import Remote, sentences

# A full row file of a catalogue has a footer of 0.3 MB. What is fetched in vain before it costs less than to ask again.
_TAIL = 1 << 19
_TAILS = 64  # fetched at once
_GAP = 1 << 16  # bytes fetched in vain to save a request
_MOST = 1 << 23  # bytes of one request: of more than that, several bring more at a time
_END = 8  # bytes behind a footer: its length, and the magic number


class RemoteParquet:
    """A Parquet file whose footer was read; it stands in for a `pyarrow.parquet.ParquetFile`.

    Args:
        place: the file.
        metadata: its footer.

    Raises:
        RemoteError: when it cannot be fetched; reading also raises what pyarrow says of damaged files.

    Examples:
        >>> (file,) = open_files([Remote("s3://bucket/vectors.parquet")])   # doctest: +SKIP
        >>> file.read_row_group(0, ["id"]).num_rows                         # doctest: +SKIP
        65536
    """

    def __init__(self, place: Remote, metadata: pq.FileMetaData) -> None:
        self.place = place
        self.metadata = metadata

    @property
    def schema_arrow(self) -> pa.Schema:
        """The columns."""
        return self.metadata.schema.to_arrow_schema()

    @property
    def stored_bytes(self) -> int:
        """Of its columns, as they are stored."""
        groups = range(self.metadata.num_row_groups)
        return sum(end - start for start, end in self.chunks(groups))

    def read_row_group(self, group: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Some columns of a row group, or all."""
        return self.read_row_groups([group], columns)[0]

    def read_row_groups(self, groups: Sequence[int], columns: Sequence[str] | None = None) -> list[pa.Table]:
        """Some columns, or all, of several row groups, fetched at once; one table for each."""
        return read_together([(self, groups)], columns)[0]

    def read(self, columns: Sequence[str] | None = None, use_threads: bool = False) -> pa.Table:
        """Some columns, or all, of all rows."""
        groups = self.read_row_groups(range(self.metadata.num_row_groups), columns)
        return pa.concat_tables(groups) if groups else self._empty(columns)

    def chunks(self, groups: Sequence[int], columns: Sequence[str] | None = None) -> Iterator[tuple[int, int]]:
        """Where some columns of row groups, or all, begin and end."""
        for group in groups:
            about = self.metadata.row_group(group)
            for number in range(about.num_columns if about.num_rows else 0):
                column = about.column(number)
                if columns is None or _name(column) in columns:
                    dictionary = column.dictionary_page_offset if column.has_dictionary_page else None
                    start = column.data_page_offset if dictionary is None else dictionary
                    yield start, start + column.total_compressed_size

    def tables(
        self, groups: Sequence[int], columns: Sequence[str] | None, parts: Mapping[int, bytes]
    ) -> list[pa.Table]:
        """Some columns of row groups, or all, from bytes of the file by where they begin."""
        if not parts:
            return [self._empty(columns) for _ in groups]
        with pa.PythonFile(_Parts(parts), mode="r") as source:
            file = pq.ParquetFile(source, metadata=self.metadata, pre_buffer=False)
            wanted = None if columns is None else list(columns)
            return [file.read_row_group(group, columns=wanted, use_threads=False) for group in groups]

    def _empty(self, columns: Sequence[str] | None) -> pa.Table:
        """Of row groups without rows, of which nothing is fetched."""
        table = self.schema_arrow.empty_table()
        return table if columns is None else table.select(list(columns))


def read_together(
    asked: Sequence[tuple[RemoteParquet, Sequence[int]]], columns: Sequence[str] | None = None
) -> list[list[pa.Table]]:
    """Some columns, or all, of row groups of several files of one store, fetched at once.

    Args:
        asked: files, and the row groups of each; no file twice.
        columns: their names.

    Returns:
        For each file, a table of each row group.
    """
    chunks = [(file.place.address, *chunk) for file, groups in asked for chunk in file.chunks(groups, columns)]
    paths, starts, ends = (list(part) for part in zip(*chunks, strict=True)) if chunks else ([], [], [])
    paths, starts, ends = merge_offset_ranges(paths, starts, ends, _GAP, _MOST, sort=True)
    found = asked[0][0].place.system.cat_ranges(paths, starts, ends, on_error="return") if chunks else []
    parts: dict[str, dict[int, bytes]] = {}
    for path, start, end, data in zip(paths, starts, ends, found, strict=True):
        place = next(file.place for file, _ in asked if file.place.address == path)
        with sentences(place):
            if isinstance(data, Exception):
                raise data
        if len(data) != end - start:
            raise RemoteError(f"{place} cannot be read in parts: it was replaced, or its server gives no parts.")
        parts.setdefault(path, {})[start] = data
    return [file.tables(groups, columns, parts.get(file.place.address, {})) for file, groups in asked]


def _name(column: pq.ColumnChunkMetaData) -> str:
    return str(column.path_in_schema).split(".", 1)[0]


def open_files(places: Sequence[Remote]) -> Iterator[RemoteParquet]:
    """Read the footers of files of one store, several at once, in their order.

    Raises:
        RemoteError: when one cannot be fetched; also what pyarrow says of one that is no Parquet file.
    """
    for first in range(0, len(places), _TAILS):
        some = places[first : first + _TAILS]
        with sentences(some[0]):
            tails = some[0].system.cat_ranges([place.address for place in some], -_TAIL, None, on_error="return")
        for place, tail in zip(some, tails, strict=True):
            yield RemoteParquet(place, pq.read_metadata(pa.BufferReader(_footer(place, tail))))


def _footer(place: Remote, tail: bytes | Exception) -> bytes:
    """The end of a file from where its footer begins; of a longer one than usual it is fetched once more."""
    with sentences(place):
        if isinstance(tail, Exception):
            raise tail
        size = int.from_bytes(tail[-_END : -_END + 4], "little") + _END
        if size <= len(tail) or len(tail) < _TAIL:  # whole, or no Parquet file at all
            return tail
        return bytes(place.system.cat_file(place.address, start=-size))


class _Parts(io.RawIOBase):
    """A file of which some parts are there; nothing else of it is asked for."""

    def __init__(self, parts: Mapping[int, bytes]) -> None:
        self._parts = parts
        self._starts = sorted(parts)
        self._size = self._starts[-1] + len(parts[self._starts[-1]])
        self._position = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        start = self._starts[max(0, bisect_right(self._starts, self._position) - 1)]
        offset = self._position - start
        data = self._parts[start][offset : offset + size] if offset >= 0 else b""
        self._position += len(data)
        return data
