"""Some of the queries: those that a measurement that asks again and again can afford, drawn by hash."""

from collections.abc import Hashable, Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.evaluation.queries import QuerySet
from item_embed.hashing import hash64, text_hash

MOST_QUERIES = 500
FEW = 10  # below it figures say little
_DRAW, _KEY = 101, 102  # streams that nothing else uses


def drawn(queries: QuerySet, most: int = MOST_QUERIES, seed: int = 0) -> QuerySet:
    """At most so many of the queries, in their order; which, is a function of the seed and their ids.

    Args:
        queries: Q queries.
        most: how many of them are kept; a smaller number keeps a part of those that a larger one keeps.
        seed: of the draw.

    Example:
        >>> len(drawn(queries, most=500))  # doctest: +SKIP
        500
    """
    if len(queries) <= most:
        return queries
    order = np.argsort(hash64(seed, _DRAW, _hashes(queries)), kind="stable")
    return subset(queries, np.sort(order[:most]))


def subset(queries: QuerySet, numbers: NDArray[np.int64]) -> QuerySet:
    """The queries of some numbers, (n,), in the order of the numbers."""
    chosen = [int(number) for number in numbers]
    return replace(
        queries,
        ids=[queries.ids[i] for i in chosen],
        titles=[queries.titles[i] for i in chosen],
        photo=lambda number: queries.photo(chosen[number]),
        rows=queries.rows[chosen],
        products=queries.products[chosen],
        columns={name: [values[i] for i in chosen] for name, values in queries.columns.items()},
    )


def query_keys(queries: QuerySet, seed: int = 0) -> list[int]:
    """A key for each query, from which all that is random about it is drawn: a function of the seed and its id."""
    return [int(key) for key in hash64(seed, _KEY, _hashes(queries))]


def rows_as_queries(catalog: Catalog, split: str = "all") -> QuerySet:
    """The rows of a split as queries that have no right answer: to be embedded, not to be judged."""
    rows = catalog.rows(split)
    products = codes(catalog.product_ids)
    return QuerySet(
        protocol="listings",
        split=split,
        ids=[catalog.ids[row] for row in rows],
        titles=[catalog.titles[row] for row in rows],
        photo=lambda number: catalog.photo(int(rows[number])),
        rows=rows,
        leave_out=True,
        listings=products,
        products=products[rows],
    )


def codes(values: Iterable[Hashable | None]) -> NDArray[np.int64]:
    """(N,) equal for equal values; each None gets a code that no other has."""
    known: dict[Hashable, int] = {}
    keys = (("none", row) if value is None else ("some", value) for row, value in enumerate(values))
    return np.array([known.setdefault(key, len(known)) for key in keys], np.int64)


def few_remark(queries: int) -> tuple[str, ...]:
    """What to say of fewer than ten queries."""
    asked = "query" if queries == 1 else "queries"
    return (f"Only {queries} {asked}: the figures say little.",) if queries < FEW else ()


def _hashes(queries: QuerySet) -> NDArray[np.int64]:
    return np.array([text_hash(key) for key in queries.ids], np.int64)
