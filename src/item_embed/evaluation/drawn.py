"""Some of the queries: those that a measurement that asks again and again can afford, drawn by hash."""

import numpy as np
from numpy.typing import NDArray

from item_embed.evaluation.queries import QuerySet, subset
from item_embed.hashing import hash64, text_hash

MOST_QUERIES = 500
_DRAW, _KEY = 101, 102  # streams that nothing else uses


def drawn(queries: QuerySet, most: int = MOST_QUERIES, seed: int = 0) -> QuerySet:
    """At most so many of the queries, in their order; which, is a function of the seed and their ids.

    Args:
        queries: Q queries.
        most: how many of them are kept; a smaller number keeps a part of those that a larger one keeps.
        seed: of the draw.

    Examples:
        >>> len(drawn(queries, most=500))  # doctest: +SKIP
        500
    """
    if len(queries) <= most:
        return queries
    order = np.argsort(hash64(seed, _DRAW, _hashes(queries)), kind="stable")
    return subset(queries, np.sort(order[:most]))


def query_keys(queries: QuerySet, seed: int = 0) -> list[int]:
    """A key for each query, from which all that is random about it is drawn: a function of the seed and its id."""
    return [int(key) for key in hash64(seed, _KEY, _hashes(queries))]


def _hashes(queries: QuerySet) -> NDArray[np.int64]:
    return np.array([text_hash(key) for key in queries.ids], np.int64)
