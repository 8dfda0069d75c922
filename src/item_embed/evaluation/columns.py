"""What figures are told apart by: a column of the query file, the top level of categories, or a column of the feed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.catalog.titles import plain_text
from item_embed.errors import ConfigError
from item_embed.evaluation.queries import QuerySet

CATEGORY = "category"  # the name under which the top level of categories is asked for
OTHERS = "others"  # how the name of the values that are joined begins
MOST_VALUES = 30
_NONE = "(none)"
_LEVELS = " > "


def told_apart(queries: QuerySet, catalog: Catalog, column: str, most: int = MOST_VALUES) -> QuerySet:
    """The queries with a column to tell them apart by: their own, or that of the rows that they are made from.

    Args:
        queries: Q queries; a column of theirs comes before one of the catalogue with an equal name.
        catalog: whose rows they are, or are made from.
        column: of the query file or of the feed, or `category` for the top level of categories.
        most: how many values are told apart; rarer ones are joined.

    Raises:
        ConfigError: when there is no such column.

    Examples:
        >>> queries = told_apart(catalog_queries(catalog), catalog, "category")    # doctest: +SKIP
        >>> [result] = evaluate_model(embedder, catalog, queries)                  # doctest: +SKIP
        >>> result.figures_by("category")                                          # doctest: +SKIP
    """
    given = queries.columns.get(column)
    values = values_of(catalog, column, queries.rows, sorted(queries.columns)) if given is None else given
    return replace(queries, columns={**queries.columns, column: joined(values, most)})


def values_of(catalog: Catalog, column: str, rows: NDArray[np.int64], further: Sequence[str] = ()) -> list[str]:
    """The values of a column of the catalogue for some rows, (n,), as text; `(none)` where a row has none.

    Args:
        catalog: the rows' catalogue.
        column: of the feed, or `category` for the top level of categories.
        rows: row numbers.
        further: columns that the queries have besides, for what the error says.

    Raises:
        ConfigError: when no row of the catalogue has such a column.
    """
    if column == CATEGORY:
        return [(catalog.categories[row] or _NONE).split(_LEVELS)[0] for row in rows]
    if not has_column(catalog, column):
        of_feed = {name for row in range(len(catalog)) for name in catalog.metadata(row)}
        known = ", ".join([*further, CATEGORY, *sorted(of_feed)])
        raise ConfigError(f"there is no column {column!r} for --by; there is {known}.")
    values = (plain_text(catalog.metadata(int(row)).get(column)) for row in rows)
    return [_NONE if value is None or not value.strip() else value.strip() for value in values]


def has_column(catalog: Catalog, column: str) -> bool:
    """Whether figures can be told apart by a column of the catalogue."""
    return column == CATEGORY or any(column in catalog.metadata(row) for row in range(len(catalog)))


def joined(values: Sequence[str], most: int = MOST_VALUES) -> list[str]:
    """The values, those beyond the most frequent joined under one name that says how many they are.

    Examples:
        >>> joined(["red", "red", "blue", "green"], most=1)
        ['red', 'red', 'others (2 values)', 'others (2 values)']
    """
    frequent = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))
    kept = {value for value, _ in frequent[:most]}
    if len(frequent) <= most + 1:  # one value alone is not joined to anything
        return list(values)
    rest = f"{OTHERS} ({len(frequent) - most:,} values)"
    return [value if value in kept else rest for value in values]
