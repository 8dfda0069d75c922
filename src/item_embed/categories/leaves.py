"""The leaves of a catalogue's categories, and the rows that leaf-category prediction is measured on."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.errors import CatalogError
from item_embed.hashing import hash64
from item_embed.wording import are, number_of

LEAST_ROWS = 10  # a leaf of fewer rows in the catalogue is left out
_DRAW = 0x1EAF  # the stream of the learning curve's draws


@dataclass(frozen=True)
class LeafTask:
    """L leaves, and which of a catalogue's N rows teach, choose and judge.

    Attributes:
        leaves: the whole path of every leaf ("Apparel > Topwear > Shirts"), sorted.
        labels: (N,) the leaf of each row as its place in `leaves`; -1 for a row that is left out.
        groups: (N,) the group of each row: what intervals resample.
        train: rows of the train split, which classifiers learn from.
        validation: rows of the validation split, which only settings and temperature are chosen on; may be empty.
        test: rows of the test split, which the figures are of.
        remarks: what a reader of the figures should know.
    """

    leaves: tuple[str, ...]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    remarks: tuple[str, ...] = ()

    def drawn(self, per_leaf: int, seed: int = 0) -> NDArray[np.int64]:
        """So many training rows of each leaf, all of a leaf that has fewer, in the catalogue's order.

        A row's place in the draw is a hash of (seed, row): every method learns from the same rows, and a larger draw
        holds the smaller ones.

        Examples:
            >>> len(leaf_task(Catalog("catalog")).drawn(5))  # doctest: +SKIP
            520
        """
        ordered = self.train[np.lexsort((hash64(seed, _DRAW, self.train), self.labels[self.train]))]
        labels = self.labels[ordered]
        place = np.arange(len(ordered)) - np.searchsorted(labels, labels)  # within its leaf
        return np.sort(ordered[place < per_leaf])


def leaf_task(catalog: Catalog, least: int = LEAST_ROWS) -> LeafTask:
    """Read a catalogue's leaves and splits.

    A leaf is a whole category path. Rows without one, and rows of leaves with fewer than `least` rows in the catalogue,
    are left out. Groups are never parted: the splits are the catalogue's own.

    Raises:
        CatalogError: when no row has a category, fewer than two leaves are large enough, the train split holds fewer
            than two of them, or the test split holds none.

    Examples:
        >>> task = leaf_task(Catalog("catalog"))  # doctest: +SKIP
        >>> len(task.leaves), len(task.test)      # doctest: +SKIP
        (104, 2154)
    """
    rows_of = Counter(path for path in catalog.categories if path is not None)
    if not rows_of:
        raise CatalogError(
            f"{catalog.path} has no categories; prepare the feed again and name their column with --category-column."
        )
    leaves = tuple(sorted(leaf for leaf, rows in rows_of.items() if rows >= least))
    if len(leaves) < 2:
        raise CatalogError(
            f"{catalog.path} has {'only one leaf' if leaves else 'no leaf'} with at least {least} rows, where it takes "
            "two to tell them apart; prepare a feed with more labelled rows."
        )
    codes = {leaf: code for code, leaf in enumerate(leaves)}
    labels = np.array([-1 if path is None else codes.get(path, -1) for path in catalog.categories], np.int64)
    train, validation, test = (_labelled(labels, catalog.rows(split)) for split in ("train", "validation", "test"))
    if len(np.unique(labels[train])) < 2 or not len(test):
        raise CatalogError(
            f"of the leaves with at least {least} rows, the train split of {catalog.path} has "
            f"{len(np.unique(labels[train]))} and its test split {len(np.unique(labels[test]))}, too few to learn "
            "from or to measure on; prepare a feed with more labelled rows."
        )
    small = {leaf: rows for leaf, rows in rows_of.items() if rows < least}
    remarks = [
        *_left_out(len(catalog) - sum(rows_of.values()), sum(small.values()), len(small), least),
        *_weak_spots(labels, train, validation, test, len(leaves)),
    ]
    return LeafTask(leaves, labels, catalog.groups, train, validation, test, tuple(remarks))


def _labelled(labels: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return rows[labels[rows] >= 0]


def _left_out(unlabelled: int, rare: int, small: int, least: int) -> list[str]:
    remarks = []
    if unlabelled:
        remarks.append(f"{number_of(unlabelled, 'row')} without a category {are(unlabelled)} left out.")
    if rare:
        of = "a leaf" if small == 1 else f"{small:,} leaves"
        remarks.append(f"{number_of(rare, 'row')} of {of} with fewer than {least} rows {are(rare)} left out.")
    return remarks


def _weak_spots(
    labels: NDArray[np.int64],
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    test: NDArray[np.int64],
    leaves: int,
) -> list[str]:
    remarks = []
    untaught = int((~np.isin(labels[test], labels[train])).sum())
    if untaught:
        remarks.append(
            f"{number_of(untaught, 'row')} of the test split {are(untaught)} of leaves without a training row: "
            "counted, and never right."
        )
    if not len(validation):
        remarks.append(
            "The validation split has no labelled row: settings are the defaults, and what needs it is left out: "
            "temperature and coverage."
        )
    if leaves <= 5:
        remarks.append(f"With {leaves} leaves, top-5 accuracy says nothing.")
    if len(test) < 10:
        remarks.append(f"Only {number_of(len(test), 'row')} in the test split: the figures say little.")
    return remarks
