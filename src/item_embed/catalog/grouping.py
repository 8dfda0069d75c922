"""Which rows are one id's, which rows belong together, and splits that never part them.

All of it works on arrays of hashes, never on texts: at most about 60 bytes a row at any time.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from item_embed.catalog.schema import SPLITS
from item_embed.hashing import text_hash, uniform

MOST_TITLES_OF_A_PHOTO = 20  # a photo under more distinct titles is a placeholder ("image coming soon")
_TRAIN, _VALIDATION = 0.90, 0.05  # the rest is the test split
_STREAM = text_hash("split")

_Keys = NDArray[np.int64]


def first_of_each(ids: _Keys, checks: _Keys) -> NDArray[np.int64]:
    """The first row with each row's id.

    Args:
        ids: a hash of every row's id, (n,).
        checks: another hash of it, (n,); two ids are one if both hashes agree.

    Returns:
        Row numbers, (n,): a row's own where its id has not come before.

    Examples:
        >>> first_of_each(np.array([5, 7, 5]), np.array([1, 1, 1]))
        array([0, 1, 0])
    """
    order = np.lexsort((checks, ids))  # stable: rows of one id stay in their order
    begins = np.ones(len(ids), np.bool_)
    begins[1:] = (ids[order][1:] != ids[order][:-1]) | (checks[order][1:] != checks[order][:-1])
    first = np.empty(len(ids), np.int64)
    first[order] = order[begins][np.cumsum(begins) - 1]
    return first


def without_placeholders(photos: _Keys, titles: _Keys) -> _Keys:
    """The keys of photos, -1 where a photo has more than `MOST_TITLES_OF_A_PHOTO` distinct titles.

    Args:
        photos: a key for each row's pixels, (n,); negative for none.
        titles: a key for each row's normalised title, (n,); negative for none.
    """
    shown = np.flatnonzero((photos >= 0) & (titles >= 0))
    order = shown[np.lexsort((titles[shown], photos[shown]))]
    photo, title = photos[order], titles[order]
    differs = np.ones(len(order), np.bool_)
    differs[1:] = (photo[1:] != photo[:-1]) | (title[1:] != title[:-1])
    shared, distinct = np.unique(photo[differs], return_counts=True)
    return np.where(np.isin(photos, shared[distinct > MOST_TITLES_OF_A_PHOTO]), -1, photos)


class Groups:
    """Rows joined step by step: those with an equal key are one group, also in chains.

    Args:
        rows: how many rows there are; at first each is a group of its own.

    Examples:
        >>> groups = Groups(3)
        >>> groups.join(np.array([4, -1, 4]))
        >>> groups.smallest(np.array([30, 10, 20]))
        array([20, 10, 20])
    """

    def __init__(self, rows: int) -> None:
        self._group = np.arange(rows, dtype=np.int32)

    def join(self, keys: _Keys) -> None:
        """Join rows with equal keys, (n,); a negative key joins nothing."""
        order = np.argsort(keys, kind="stable")
        key = keys[order]
        equal = np.flatnonzero((key[1:] == key[:-1]) & (key[1:] >= 0))
        del key
        if not len(equal):
            return
        one, other = self._group[order[equal]], self._group[order[equal + 1]]
        del order, equal
        edges = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(len(self._group),) * 2)
        del one, other
        _, component = connected_components(edges, directed=False)
        self._group = component[self._group]

    def smallest(self, ids: _Keys) -> _Keys:
        """The smallest id in each row's group, (n,): a name that does not depend on the order of the rows.

        Args:
            ids: a hash of every row's id, (n,).
        """
        smallest = np.full(len(ids), np.iinfo(np.int64).max)
        np.minimum.at(smallest, self._group, ids)
        return np.asarray(smallest[self._group])


def numbered(smallest: _Keys) -> NDArray[np.int64]:
    """Groups numbered from 0 in the order of their smallest ids, (n,)."""
    _, number = np.unique(smallest, return_inverse=True)
    return np.asarray(number, np.int64)


def split_groups(smallest: _Keys, seed: int) -> NDArray[np.int8]:
    """Deal groups to the splits: 90 % train, 5 % validation, 5 % test.

    A group's split is a function of the seed and the smallest id hash in it: it depends neither on the order of the
    rows nor on the other groups.

    Args:
        smallest: of every row's group, (n,).
        seed: another seed deals otherwise.

    Returns:
        The split of every row as a place in `SPLITS`, (n,).
    """
    draw = uniform(seed, _STREAM, smallest)
    assert len(SPLITS) == 3
    return (draw >= _TRAIN).astype(np.int8) + (draw >= _TRAIN + _VALIDATION)
