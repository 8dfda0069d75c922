"""Rows with equal keys, among millions: a sort, and a look at the largest clusters."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NONE = -1  # the key of a row that has nothing to compare


@dataclass(frozen=True)
class EqualRows:
    """Rows whose key another row has too.

    Attributes:
        rows: their numbers, rows of one key next to each other and in order.
        starts: where each key's rows start, and the end, (keys + 1,).
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def rows_apart(self, keys: NDArray[np.int64]) -> int:
        """How many of the rows have a neighbour here that is apart by another key: not equal, or `NONE`.

        Args:
            keys: the other key of every row of the catalogue.
        """
        if not len(self):
            return 0
        other = keys[self.rows]
        lowest = np.minimum.reduceat(other, self.starts[:-1])
        apart = (lowest != np.maximum.reduceat(other, self.starts[:-1])) | (lowest == NONE)
        return int(np.diff(self.starts)[apart].sum())

    def largest(self, most: int) -> Iterator[NDArray[np.int64]]:
        """The rows of the keys with most rows, most first; among equals the one met first."""
        sizes = np.diff(self.starts)
        if most < len(sizes):
            chosen = np.flatnonzero(sizes >= np.partition(sizes, len(sizes) - most)[len(sizes) - most])
        else:
            chosen = np.arange(len(sizes))
        first = self.rows[self.starts[chosen]]
        for key in chosen[np.lexsort((first, -sizes[chosen]))][:most].tolist():
            yield self.rows[self.starts[key] : self.starts[key + 1]]


def equal_rows(keys: NDArray[np.int64]) -> EqualRows:
    """Find the rows whose key is another row's too.

    Args:
        keys: one for each row, (n,); `NONE` equals nothing.

    Examples:
        >>> equal_rows(np.array([7, 5, NONE, 7, NONE])).rows.tolist()
        [0, 3]
    """
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    same = (ordered[1:] == ordered[:-1]) & (ordered[1:] != NONE)
    member = np.zeros(len(keys), np.bool_)
    member[1:] |= same
    member[:-1] |= same
    order = order[member]  # one after the other: each gives memory back
    ordered = ordered[member]
    changes = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    starts = np.concatenate([[0], changes, [len(order)]]) if len(order) else np.zeros(1, np.int64)
    return EqualRows(order.astype(np.int64, copy=False), starts.astype(np.int64, copy=False))


def largest_count(keys: NDArray[np.int64]) -> tuple[int, int, int]:
    """How many different keys there are, the most frequent one, and how many rows have it.

    Args:
        keys: one for each row, (n,), sorted in place to spare memory; `NONE` does not count.

    Returns:
        Keys, key, rows; (0, `NONE`, 0) where there is no key.

    Examples:
        >>> largest_count(np.array([NONE, 7, 5, NONE, 5, NONE]))
        (2, 5, 2)
    """
    keys.sort()
    ends = np.flatnonzero(np.concatenate([keys[1:] != keys[:-1], np.ones(min(1, len(keys)), np.bool_)]))
    sizes = np.empty_like(ends)
    sizes[:1], sizes[1:] = ends[:1] + 1, ends[1:] - ends[:-1]
    end = int(np.searchsorted(keys, NONE, side="right"))
    without = end > 0 and bool(keys[end - 1] == NONE)
    if without:
        sizes[np.searchsorted(ends, end - 1)] = 0
    if not len(sizes) or not sizes.any():
        return 0, NONE, 0
    top = int(sizes.argmax())
    return len(sizes) - without, int(keys[ends[top]]), int(sizes[top])
