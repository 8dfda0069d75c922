"""Vectors held in memory by row, so that they can be searched exactly: those that no graph knows yet.

A row is a number that one version of one product's vector has and that is never used again (`store.py`), so rows
arrive in ascending order, and what was read once needs no second look.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from item_embed.search import exact

_FIRST = 1024


class Nearest(NamedTuple):
    """The nearest rows of every query, best first: rows (Q, k), cosines (Q, k), ties (Q, k).

    Where fewer than k rows may be found, a row is -1 and its cosine `-inf`.
    """

    rows: NDArray[np.int64]
    cosines: NDArray[np.float32]
    ties: NDArray[np.uint64]

    @classmethod
    def of(
        cls,
        places: NDArray[np.int64],
        cosines: NDArray[np.float32],
        rows: NDArray[np.int64],
        ties: NDArray[np.uint64],
    ) -> "Nearest":
        """From places (Q, k) in arrays of rows (n,) and ties (n,)."""
        if not len(rows):
            return cls(places, cosines, np.zeros(places.shape, np.uint64))
        return cls(np.where(places >= 0, rows[places], -1), cosines, ties[places])


class HeldVectors:
    """Vectors in the order of their rows; rows are added at the end, and can be dropped.

    Args:
        dimension: how many numbers a vector has.

    Examples:
        >>> held = HeldVectors(2)
        >>> held.add(np.array([7]), np.array([1], np.uint64), np.array([[1, 0]], np.float32))
        >>> int(held.search(np.array([[1, 0]], np.float32), 1).rows[0, 0])
        7
    """

    def __init__(self, dimension: int) -> None:
        self._count = 0
        self._dead = 0
        self._rows = np.empty(0, np.int64)
        self._ties = np.empty(0, np.uint64)
        self._live = np.empty(0, np.bool_)
        self._vectors = np.empty((0, dimension), np.float32)

    def __len__(self) -> int:
        return self._count - self._dead

    def add(self, rows: NDArray[np.int64], ties: NDArray[np.uint64], vectors: NDArray[np.float32]) -> None:
        """Add vectors (n, d) whose rows are higher than all before, in ascending order."""
        end = self._count + len(rows)
        if end > len(self._rows):
            self._grow(max(end, 2 * self._count, _FIRST))
        new = slice(self._count, end)
        self._rows[new], self._ties[new], self._vectors[new], self._live[new] = rows, ties, vectors, True
        self._count = end

    def drop(self, rows: NDArray[np.int64]) -> None:
        """Forget some rows; those that are not here are left alone."""
        places = self._places(rows)
        self._dead += int(self._live[places].sum())
        self._live[places] = False
        if self._dead > max(_FIRST, len(self)):
            kept = np.flatnonzero(self._live[: self._count])
            for name in ("_rows", "_ties", "_vectors", "_live"):
                setattr(self, name, getattr(self, name)[kept])
            self._count, self._dead = len(kept), 0

    def search(self, queries: NDArray[np.float32], k: int, among: NDArray[np.int64] | None = None) -> Nearest:
        """The k nearest rows of every query by `exact.search`.

        Args:
            queries: (Q, d) unit vectors.
            k: how many rows each query gets.
            among: rows that may be found, in ascending order; by default all.
        """
        rows, ties = self._rows[: self._count], self._ties[: self._count]
        vectors, live = self._vectors[: self._count], self._live[: self._count]
        allowed = live if self._dead else None
        if among is not None:
            places = self._places(among)
            places = places[live[places]]
            if 2 * len(places) < self._count:  # copying them costs less than scoring all
                found = exact.search(queries, vectors[places], k, ties[places])
                return Nearest.of(*found, rows[places], ties[places])
            allowed = np.zeros(self._count, np.bool_)
            allowed[places] = True
        return Nearest.of(*exact.search(queries, vectors, k, ties, allowed=allowed), rows, ties)

    def _places(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where those of these rows lie that are here."""
        return places_of(self._rows[: self._count], rows)

    def _grow(self, size: int) -> None:
        for name in ("_rows", "_ties", "_vectors", "_live"):
            old = getattr(self, name)
            new = np.zeros((size, *old.shape[1:]), old.dtype)
            new[: self._count] = old[: self._count]
            setattr(self, name, new)


def places_of(ascending: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where some rows lie in an ascending array; those that are not in it are left out.

    Examples:
        >>> places_of(np.array([3, 5, 9]), np.array([9, 4, 3])).tolist()
        [2, 0]
    """
    if not len(ascending):
        return np.empty(0, np.int64)
    places = np.minimum(np.searchsorted(ascending, rows), len(ascending) - 1)
    return np.asarray(places[ascending[places] == rows], np.int64)
