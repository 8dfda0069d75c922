"""`Texts`: a column of text in Arrow's buffers, read like a list; a Python string each takes twice the memory."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from item_embed.catalog.arrays import as_numpy

T_co = TypeVar("T_co", str, str | None, covariant=True)

_PART = 4096  # texts that are Python strings at once while all are gone through


class Texts(Sequence[T_co]):
    """A text or None per row.

    Args:
        parts: string arrays, one after the other.

    Examples:
        >>> titles = Texts([pa.chunked_array([["red mug", None]])])
        >>> titles[0], list(titles), titles == ["red mug", None]
        ('red mug', ['red mug', None], True)
    """

    def __init__(self, parts: Iterable[pa.ChunkedArray]) -> None:
        self._array = pa.chunked_array([*map(_copied, parts)], pa.string())

    def __len__(self) -> int:
        return len(self._array)

    @overload
    def __getitem__(self, place: int) -> T_co: ...
    @overload
    def __getitem__(self, place: slice) -> list[T_co]: ...
    def __getitem__(self, place: int | slice) -> T_co | list[T_co]:
        if isinstance(place, slice):
            return self._array[place].to_pylist()  # type: ignore[no-any-return]
        return self._array[int(place)].as_py()  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[T_co]:
        for start in range(0, len(self), _PART):
            yield from self._array.slice(start, _PART).to_pylist()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment] # as a list has none

    def __repr__(self) -> str:
        return f"Texts({len(self)} rows)"

    def at(self, places: NDArray[np.int64]) -> list[T_co]:
        """The texts at some places, in a tenth of the time of asking for each."""
        return self._array.take(pa.array(places)).to_pylist()  # type: ignore[no-any-return]

    @property
    def present(self) -> NDArray[np.bool_]:
        """Whether each row has a text, (n,): neither None nor empty."""
        present = pc.greater(pc.binary_length(self._array), 0).fill_null(False)
        return as_numpy([present.cast(pa.int8())], np.int8).astype(np.bool_)


def _copied(part: pa.ChunkedArray) -> pa.Array:
    """The texts alone: what a Parquet file was read into takes twice their memory, and joining arrays copies them."""
    return pa.concat_arrays([*part.chunks, pa.nulls(0, pa.string())])
