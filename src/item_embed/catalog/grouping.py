"""Groups of rows that belong together, and splits that never part them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.schema import SPLITS
from item_embed.hashing import text_hash, uniform

MOST_TITLES_OF_A_PHOTO = 20  # a photo under more distinct titles is a placeholder ("image coming soon")
_TRAIN, _VALIDATION = 0.90, 0.05  # the rest is the test split
_STREAM = text_hash("split")


def group_rows(
    ids: Sequence[str],
    product_ids: NDArray[np.int64],
    titles: NDArray[np.int64],
    photos: NDArray[np.int64],
    given: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Join rows that share a product, a normalised title, a photo's pixels or a given group, also in chains.

    Groups are numbered by their smallest id, so the numbers do not depend on the order of the rows.

    Args:
        ids: the id of every row, unique, (n,).
        product_ids: a key for each row, (n,); rows with equal keys are joined, a negative key joins nothing.
        titles: the same for normalised titles.
        photos: the same for pixels; a photo of more than `MOST_TITLES_OF_A_PHOTO` titles joins nothing.
        given: the same for the column that the user named.

    Returns:
        The group of every row, numbers from 0, (n,).
    """
    parents = list(range(len(ids)))
    for keys in (product_ids, titles, _without_placeholders(photos, titles), given):
        for first, second in _equal_pairs(keys):
            one, other = _root(parents, first), _root(parents, second)
            parents[max(one, other)] = min(one, other)
    roots = [_root(parents, row) for row in range(len(ids))]
    numbers: dict[int, int] = {}
    for row in sorted(range(len(ids)), key=ids.__getitem__):
        numbers.setdefault(roots[row], len(numbers))
    return np.array([numbers[root] for root in roots], np.int64)


def split_groups(ids: Sequence[str], groups: NDArray[np.int64], seed: int) -> NDArray[np.str_]:
    """Deal groups to the splits: 90 % train, 5 % validation, 5 % test.

    A group's split is a function of the seed and the smallest id in it: it depends neither on the order of
    the rows nor on the other groups.

    Args:
        ids: the id of every row, (n,).
        groups: the group of every row, (n,).
        seed: another seed deals otherwise.

    Returns:
        The split of every row, (n,).
    """
    smallest: dict[int, str] = {}
    for row, group in enumerate(groups.tolist()):
        smallest[group] = min(smallest.get(group, ids[row]), ids[row])
    keys = np.array([text_hash(smallest[group]) for group in groups.tolist()], np.int64)
    draw = uniform(seed, _STREAM, keys)
    splits: NDArray[np.str_] = np.asarray(SPLITS)[(draw >= _TRAIN).astype(int) + (draw >= _TRAIN + _VALIDATION)]
    return splits


def _without_placeholders(photos: NDArray[np.int64], titles: NDArray[np.int64]) -> NDArray[np.int64]:
    shown = (photos >= 0) & (titles >= 0)
    pairs = np.unique(np.stack([photos[shown], titles[shown]], axis=1), axis=0)
    shared, distinct = np.unique(pairs[:, 0], return_counts=True)
    return np.where(np.isin(photos, shared[distinct > MOST_TITLES_OF_A_PHOTO]), -1, photos)


def _equal_pairs(keys: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Pairs of rows that chain all rows of an equal, non-negative key."""
    order = np.argsort(keys, kind="stable")
    equal = (keys[order][1:] == keys[order][:-1]) & (keys[order][1:] >= 0)
    return list(zip(order[:-1][equal].tolist(), order[1:][equal].tolist(), strict=True))


def _root(parents: list[int], row: int) -> int:
    while parents[row] != row:
        parents[row] = parents[parents[row]]  # halve the path
        row = parents[row]
    return row
