"""A lower floor for those whose floor leaves nothing: the mend that a sentence names.

Letters in shapes: n pairs, N listings, U distinct vectors, d dimensions.
"""

import math

import numpy as np
from numpy.typing import NDArray

from item_embed.errors import ConfigError
from item_embed.search.duplicates.snapshot import Snapshot, cosines

_STEPS = 20  # of a floor, to 1
_PRODUCTS = 500  # of which a pair is looked at


def lower_floor(cosine: NDArray[np.float32], floor: float) -> float | None:
    """The floor that half of some pairs reach, rounded down to .05; None where that is not lower, or there are none.

    Args:
        cosine: (n,) of these pairs.
        floor: the one that leaves nothing.

    Examples:
        >>> lower_floor(np.array([0.3, 0.47, 0.6], np.float32), 0.8)
        0.45
    """
    if not len(cosine):
        return None
    found = max(1 - _STEPS, math.floor(float(np.median(cosine)) * _STEPS)) / _STEPS
    return found if found < floor else None


def none_near(what: str, whose: str, cosine: NDArray[np.float32], floor: float) -> ConfigError:
    """What lies at no floor so high, with a floor that half of some pairs reach, if that is lower.

    Args:
        what: there is none of, as a sentence without an end.
        whose: the pairs.
        cosine: (n,) of these.
        floor: the one that leaves nothing.
    """
    lower = lower_floor(cosine, floor)
    mend = "lower --floor" if lower is None else f"half of {whose} reach {lower:g}: give --floor {lower:g}"
    return ConfigError(f"{what}; {mend}.")


def cosines_of_labels(
    label: NDArray[np.int64],
    snapshot: Snapshot,
    vectors: NDArray[np.float32],
    values: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """The cosines of listings that share a label, (n,): of each of up to 500 labels two that the model sees.

    Args:
        label: (N,) of each listing; -1 for none.
        snapshot: the listings.
        vectors: (U, d) their distinct vectors.
        values: (N,) two of different values, -1 for none, are never joined, and left out.
    """
    rows = np.flatnonzero((label >= 0) & (snapshot.vector >= 0))
    value = np.full(len(label), -1) if values is None else values
    rows = rows[np.lexsort((value[rows], label[rows]))]  # of a label with two to be joined, two such lie side by side
    before, after = value[rows[:-1]], value[rows[1:]]
    joined = (label[rows[:-1]] == label[rows[1:]]) & ((before < 0) | (before == after))
    first = np.flatnonzero(joined)
    _, once = np.unique(label[rows[first]], return_index=True)
    first = first[once[:_PRODUCTS]]
    return cosines(vectors, snapshot.vector[rows[first]], snapshot.vector[rows[first + 1]])
