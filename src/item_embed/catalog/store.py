"""`Catalog`: a prepared catalogue, opened for reading.

Small columns are read once, when first asked for. Photos are read by row group: one group stays in memory while they
are asked for in order, all that was read while they are asked for one by one from a catalogue that is small enough.
"""

import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from item_embed.catalog.arrays import as_numpy
from item_embed.catalog.rowfiles import RowFiles
from item_embed.catalog.schema import ROW_SCHEMA, SPLITS, Manifest
from item_embed.catalog.texts import Texts
from item_embed.errors import CatalogError
from item_embed.remote.places import Remote, place


class Listing(NamedTuple):
    """What a model may see of a row, and the row's id.

    Attributes:
        id: of the row.
        title: cleaned, or None.
        photo: its file, JPEG or WebP, or None.
    """

    id: str
    title: str | None
    photo: bytes | None


class Catalog:
    """The rows of a catalogue folder, addressed by number from 0 to `len(catalog) - 1`.

    Args:
        path: a folder written by `item prepare`, or the fsspec URL of one, such as `s3://bucket/catalog`; of that only
            what is asked for is fetched.
        photo_cache_bytes: how many bytes of encoded photos `photo` may keep in memory; each process has its own. A
            catalogue of larger files is not kept at all: what is asked for at random would hardly ever be there.

    Raises:
        CatalogError: when the folder is no catalogue, or a file of it is missing or damaged; also from what reads
            rows, if the damage shows only there.

    Examples:
        >>> catalog = Catalog("catalog")                      # doctest: +SKIP
        >>> catalog.ids[0], catalog.titles[0], len(catalog.photo(0))  # doctest: +SKIP
    """

    def __init__(self, path: str | Path | Remote, photo_cache_bytes: int = 1 << 30) -> None:
        self.path = place(path)
        self.manifest = Manifest.read(self.path)
        self._other_titles: Texts[str | None] | None = None
        self._files = RowFiles([self.path / file for file in sorted(self.manifest.files) if "rows/" in file])
        self._cache: OrderedDict[int, list[bytes | None]] = OrderedDict()
        self._cached_bytes = 0
        self._cache_limit = photo_cache_bytes if self._files.bytes <= photo_cache_bytes else 0

    def __len__(self) -> int:
        return int(self._files.starts[-1])

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_cache": OrderedDict(), "_cached_bytes": 0}  # other processes keep photos of their own

    def __repr__(self) -> str:
        return f"Catalog({str(self.path)!r}, rows={len(self)})"

    @property
    def fingerprint(self) -> str:
        """A hash of the catalogue's content."""
        return self.manifest.fingerprint

    @property
    def fields(self) -> Sequence[str]:
        """The feed's columns that are in `metadata`, those too that are empty in every row."""
        return self.manifest.fields

    @property
    def keeps_photos(self) -> bool:
        """Whether photos that are asked for one by one stay in memory, so that none is read twice."""
        return self._cache_limit > 0

    @cached_property
    def ids(self) -> list[str]:
        """The id of every row."""
        return self._column("id")

    @cached_property
    def titles(self) -> Texts[str | None]:
        """The cleaned title of every row, or None."""
        return Texts(self._files.columns("title")) if self._other_titles is None else self._other_titles

    @cached_property
    def categories(self) -> list[str | None]:
        """The category path ("A > B > C") of every row, or None. A label: pre-training never reads it."""
        return self._column("category")

    @cached_property
    def product_ids(self) -> list[str | None]:
        """The product of every row, or None. A label: pre-training never reads it."""
        return self._column("product_id")

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """The group of every row, (n,): rows of one group never fall into different splits."""
        return self._numbers("group")

    @property
    def splits(self) -> NDArray[np.str_]:
        """The split of every row, (n,): one of `SPLITS`."""
        return np.asarray(SPLITS)[self._splits]

    @cached_property
    def photo_pixels(self) -> NDArray[np.int64]:
        """A hash of each photo's pixels, (n,), equal for identical photos; -1 where there is no photo."""
        return self._numbers("photo_pixels")

    @cached_property
    def has_photo(self) -> NDArray[np.bool_]:
        """Whether each row has a photo, (n,)."""
        return self.photo_pixels >= 0

    def rows(self, split: str = "all") -> NDArray[np.int64]:
        """The row numbers of a split (`train`, `validation`, `test`) or of all."""
        if split == "all":
            return np.arange(len(self), dtype=np.int64)
        if split not in SPLITS:
            raise CatalogError(f"there is no split {split!r}; choose one of {', '.join(SPLITS)}, all.")
        return np.flatnonzero(self._splits == SPLITS.index(split))

    def with_titles(self, titles: Sequence[str | None]) -> "Catalog":
        """The same rows with other values of `titles`; whatever else is asked for comes from the files as it is.

        Args:
            titles: one for each row, or None.

        Raises:
            ValueError: when there is not one for each row.
        """
        if len(titles) != len(self):
            raise ValueError(f"{len(titles)} titles are not one for each of {len(self)} rows")
        other = Catalog(self.path, self._cache_limit)
        other._other_titles = Texts([pa.chunked_array([titles], pa.string())])
        return other

    def metadata(self, row: int) -> dict[str, Any]:
        """The feed's other columns of one row."""
        return dict(json.loads(self._metadata[row]))

    def photo(self, row: int) -> bytes | None:
        """The encoded photo (JPEG or WebP) of one row, or None. The photos read with it stay in memory for a while."""
        number, place = self._place(row)
        return self._cached(number)[place]

    def photos(self, rows: Iterable[int] | NDArray[np.int64]) -> list[bytes | None]:
        """The encoded photos of several rows, in their order."""
        return list(self.iter_photos(rows))

    def iter_photos(self, rows: Iterable[int] | NDArray[np.int64] | None = None) -> Iterator[bytes | None]:
        """Yield the encoded photos of several rows, or of all, in their order; only a few are in memory at once.

        Neighbouring rows are read together, so ask for rows in order where there are many.

        Args:
            rows: row numbers; by default all.
        """
        for places in self._windows(range(len(self)) if rows is None else rows):
            photos = self._several(dict.fromkeys(group for group, _ in places))
            for group, number in places:
                yield photos[group][number]

    def iter_listings(self, rows: Iterable[int] | None = None, *, photos: bool = True) -> Iterator[Listing]:
        """Yield several rows, or all, in their order; only a few are in memory at once, and no column of all.

        Neighbouring rows are read together, so ask for rows in order where there are many.

        Args:
            rows: row numbers; by default all.
            photos: whether to read them; None stands for each otherwise.
        """
        columns = ["id", "title", *(["image"] if photos else [])]
        for places in self._windows(range(len(self)) if rows is None else rows):
            groups = list(dict.fromkeys(group for group, _ in places))
            read = zip(groups, self._files.read_several(groups, columns), strict=True)
            found = {group: [column.to_pylist() for column in batch.columns] for group, batch in read}
            for group, number in places:
                key, title, *photo = (column[number] for column in found[group])
                if self._other_titles is not None:
                    title = self._other_titles[int(self._files.starts[group]) + number]
                yield Listing(key, title, photo[0] if photo else None)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield some columns of all rows, in their order, one row group at a time.

        Args:
            columns: names of `ROW_SCHEMA`.
        """
        for first in range(0, len(self._files), self._files.at_once):
            groups = range(first, min(first + self._files.at_once, len(self._files)))
            yield from self._files.read_several(groups, columns)

    def records(self, rows: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Whole rows as the files hold them, by column.

        Args:
            rows: row numbers.

        Returns:
            Row number -> values by the names of `ROW_SCHEMA`.
        """
        places: dict[int, list[tuple[int, int]]] = {}
        for row in rows:
            number, place = self._place(row)
            places.setdefault(number, []).append((row, place))
        found = {}
        for numbers in _cut(list(places), self._files.at_once):
            for number, batch in zip(numbers, self._files.read_several(numbers, ROW_SCHEMA.names), strict=True):
                found.update({row: batch.slice(place, 1).to_pylist()[0] for row, place in places[number]})
        return found

    @cached_property
    def _metadata(self) -> list[str]:
        return self._column("metadata")

    @cached_property
    def _splits(self) -> NDArray[np.int8]:
        """The split of every row as its place in `SPLITS`, (n,)."""
        names = pa.array(SPLITS)
        parts = (pc.index_in(part, names).cast(pa.int8()) for part in self._files.columns("split"))
        try:
            return as_numpy(parts, np.int8)
        except ValueError:
            raise CatalogError(f"{self.path} has rows of a split that is none of {', '.join(SPLITS)}.") from None

    def _column(self, name: str) -> list[Any]:
        return [value for column in self._files.columns(name) for value in column.to_pylist()]

    def _numbers(self, name: str) -> NDArray[np.int64]:
        return as_numpy((part.fill_null(-1) for part in self._files.columns(name)), np.int64)

    def _photos(self, groups: Sequence[int]) -> list[list[bytes | None]]:
        return [batch.column(0).to_pylist() for batch in self._files.read_several(groups, ["image"])]

    def _windows(self, rows: Iterable[int] | NDArray[np.int64]) -> Iterator[list[tuple[int, int]]]:
        """The row groups of rows and their places in them, in parts of as many row groups as are read at once."""
        window, groups = list[tuple[int, int]](), set[int]()
        for row in rows:
            group, number = self._place(int(row))
            if group not in groups and len(groups) == self._files.at_once:
                yield window
                window, groups = [], set()
            window.append((group, number))
            groups.add(group)
        if window:
            yield window

    def _several(self, groups: Iterable[int]) -> dict[int, list[bytes | None]]:
        """The photos of some row groups: those in memory from there, all others read at once."""
        found = {group: self._cache.get(group) for group in groups}
        lacking = [group for group, photos in found.items() if photos is None]
        return {**found, **dict(zip(lacking, self._photos(lacking), strict=True))}  # type: ignore[dict-item]

    def _place(self, row: int) -> tuple[int, int]:
        """The row group of a row, and its place in it."""
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of a catalogue of {len(self)} rows")
        return self._files.place(row)

    def _cached(self, number: int) -> list[bytes | None]:
        if number in self._cache:
            self._cache.move_to_end(number)
            return self._cache[number]
        (photos,) = self._photos([number])
        self._cache[number] = photos
        self._cached_bytes += _size(photos)
        while self._cached_bytes > self._cache_limit and len(self._cache) > 1:
            _, dropped = self._cache.popitem(last=False)
            self._cached_bytes -= _size(dropped)
        return photos


def _cut(numbers: list[int], size: int) -> Iterator[list[int]]:
    for first in range(0, len(numbers), size):
        yield numbers[first : first + size]


def _size(photos: list[bytes | None]) -> int:
    return sum(len(photo) for photo in photos if photo)
