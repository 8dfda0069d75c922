"""`Catalog`: a prepared catalogue, opened for reading.

Small columns are read once, when first asked for; photos are read by row group, and a bounded number of bytes
stays in memory.
"""

import json
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from item_embed.catalog.schema import ROW_SCHEMA, SPLITS, Manifest
from item_embed.errors import CatalogError


class Catalog:
    """The rows of a catalogue folder, addressed by number from 0 to `len(catalog) - 1`.

    Args:
        path: a folder written by `item prepare`.
        photo_cache_bytes: how many bytes of encoded photos may stay in memory.

    Raises:
        CatalogError: when the folder is no catalogue, or a file of it is missing or damaged.

    Example:
        >>> catalog = Catalog("catalog")                      # doctest: +SKIP
        >>> catalog.ids[0], catalog.titles[0], len(catalog.photo(0))  # doctest: +SKIP
    """

    def __init__(self, path: str | Path, photo_cache_bytes: int = 4 << 30) -> None:
        self.path = Path(path)
        self.manifest = Manifest.read(self.path)
        self._files = [pq.ParquetFile(self._checked(file)) for file in sorted(self.manifest.files) if "rows/" in file]
        self._groups = [(file, g) for file in self._files for g in range(file.metadata.num_row_groups)]
        sizes = [file.metadata.row_group(g).num_rows for file, g in self._groups]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._cache: OrderedDict[int, list[bytes | None]] = OrderedDict()
        self._cached_bytes = 0
        self._cache_limit = photo_cache_bytes

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __repr__(self) -> str:
        return f"Catalog({str(self.path)!r}, rows={len(self)})"

    @property
    def fingerprint(self) -> str:
        """A hash of the catalogue's content."""
        return self.manifest.fingerprint

    @cached_property
    def ids(self) -> list[str]:
        """The id of every row."""
        return self._column("id").to_pylist()  # type: ignore[no-any-return]

    @cached_property
    def titles(self) -> list[str | None]:
        """The cleaned title of every row, or None."""
        return self._column("title").to_pylist()  # type: ignore[no-any-return]

    @cached_property
    def categories(self) -> list[str | None]:
        """The category path ("A > B > C") of every row, or None. A label: pre-training never reads it."""
        return self._column("category").to_pylist()  # type: ignore[no-any-return]

    @cached_property
    def product_ids(self) -> list[str | None]:
        """The product of every row, or None. A label: pre-training never reads it."""
        return self._column("product_id").to_pylist()  # type: ignore[no-any-return]

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """The group of every row, (n,): rows of one group never fall into different splits."""
        return np.asarray(self._column("group").to_numpy(), np.int64)

    @cached_property
    def splits(self) -> NDArray[np.str_]:
        """The split of every row, (n,): one of `SPLITS`."""
        return np.asarray(self._column("split").to_pylist(), np.str_)

    @cached_property
    def has_photo(self) -> NDArray[np.bool_]:
        """Whether each row has a photo, (n,)."""
        return np.concatenate([np.zeros(0, np.bool_), *(_photos_present(file, g) for file, g in self._groups)])

    def rows(self, split: str = "all") -> NDArray[np.int64]:
        """The row numbers of a split (`train`, `validation`, `test`) or of all."""
        if split == "all":
            return np.arange(len(self), dtype=np.int64)
        if split not in SPLITS:
            raise CatalogError(f"there is no split {split!r}; choose one of {', '.join(SPLITS)}, all.")
        return np.flatnonzero(self.splits == split)

    def metadata(self, row: int) -> dict[str, Any]:
        """The feed's other columns of one row."""
        return dict(json.loads(self._metadata[row]))

    def photo(self, row: int) -> bytes | None:
        """The encoded photo (JPEG or WebP) of one row, or None."""
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of a catalogue of {len(self)} rows")
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self._photos_of(group)[row - int(self._starts[group])]

    def photos(self, rows: Sequence[int] | NDArray[np.int64]) -> list[bytes | None]:
        """The encoded photos of several rows, in their order."""
        return [self.photo(int(row)) for row in rows]

    @cached_property
    def _metadata(self) -> list[str]:
        return self._column("metadata").to_pylist()  # type: ignore[no-any-return]

    def _column(self, name: str) -> pa.ChunkedArray:
        tables = [file.read(columns=[name]) for file in self._files]
        return pa.concat_tables(tables).column(0)

    def _photos_of(self, group: int) -> list[bytes | None]:
        if group in self._cache:
            self._cache.move_to_end(group)
            return self._cache[group]
        file, number = self._groups[group]
        photos: list[bytes | None] = file.read_row_group(number, columns=["image"]).column(0).to_pylist()
        self._cache[group] = photos
        self._cached_bytes += _size(photos)
        while self._cached_bytes > self._cache_limit and len(self._cache) > 1:
            _, dropped = self._cache.popitem(last=False)
            self._cached_bytes -= _size(dropped)
        return photos

    def _checked(self, file: str) -> Path:
        path = self.path / file
        if not path.is_file():
            raise CatalogError(f"{path} is missing, though the manifest names it; prepare the catalogue again.")
        try:
            pq.read_metadata(path)
        except pa.ArrowInvalid:
            raise CatalogError(f"{path} is damaged and cannot be read; prepare the catalogue again.") from None
        return path


def _photos_present(file: pq.ParquetFile, group: int) -> NDArray[np.bool_]:
    """Whether each row of a row group has a photo; where statistics say that all or none do, nothing is read."""
    described = file.metadata.row_group(group)
    statistics = described.column(ROW_SCHEMA.get_field_index("image")).statistics
    if statistics is not None and statistics.null_count in {0, described.num_rows}:
        return np.full(described.num_rows, statistics.null_count == 0)
    present = file.read_row_group(group, columns=["image"]).column(0).is_valid()
    return np.asarray(present.to_numpy(), np.bool_)


def _size(photos: list[bytes | None]) -> int:
    return sum(len(photo) for photo in photos if photo)
