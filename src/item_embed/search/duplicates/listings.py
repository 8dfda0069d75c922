"""What the index says of listings besides their vectors: what makes a master, labels, columns of the feed."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from item_embed.errors import ConfigError
from item_embed.progress import OnProgress, silent
from item_embed.search.index import ProductIndex
from item_embed.search.items import Item

PRODUCT_ID = "product_id"
_WORD = re.compile(r"\w+")
_BLOCK = 4096  # products read at once


@dataclass(frozen=True)
class Listings:
    """Of N listings what clusters need, each in the index's order.

    Attributes:
        titles: the title of each, or None.
        columns: by the names that were asked for, the value of each listing as text, or None.
        photo: (N,) whether it has a photo.
        words: (N,) the different words of its title: repeated ones do not make a title better.
        facts: (N,) the columns of the feed that say something of it.
    """

    titles: list[str | None]
    columns: dict[str, list[str | None]]
    photo: NDArray[np.bool_]
    words: NDArray[np.int64]
    facts: NDArray[np.int64]

    def codes(self, column: str) -> NDArray[np.int64]:
        """A number for each value of a column, (N,); -1 where a listing has none."""
        return codes_of(self.columns[column])


def codes_of(values: Iterable[str | None]) -> NDArray[np.int64]:
    """A number for each different value, (N,); -1 for None.

    Examples:
        >>> codes_of(["red", None, "blue", "red"])
        array([ 0, -1,  1,  0])
    """
    numbers: dict[str, int] = {}
    return np.array([-1 if value is None else numbers.setdefault(value, len(numbers)) for value in values], np.int64)


def read_listings(
    index: ProductIndex, ids: list[str], columns: Iterable[str] = (), on_progress: OnProgress = silent
) -> Listings:
    """Read the listings of an index.

    Args:
        index: where they are.
        ids: the id of each of the N listings.
        columns: of the feed, `category` or `product_id`.
        on_progress: told of the listings read and of their total.

    Raises:
        ConfigError: when no listing has one of the columns.

    Examples:
        >>> read_listings(index, ["a", "b"], ["product_id"]).columns  # doctest: +SKIP
        {'product_id': ['p1', None]}
    """
    count = len(ids)
    titles: list[str | None] = []
    values: dict[str, list[str | None]] = {name: [] for name in columns}
    photo = np.zeros(count, np.bool_)
    words, facts = np.zeros(count, np.int64), np.zeros(count, np.int64)
    known: set[str] = set()
    for row, (item, photo[row]) in enumerate(_items(index, ids)):
        titles.append(item.title)
        words[row] = len(set(_WORD.findall((item.title or "").casefold())))
        filled = {name for name, value in item.metadata.items() if _text(value) is not None}
        facts[row] = len(filled) + (item.category is not None)
        known |= filled if _value(item, PRODUCT_ID) is None else filled | {PRODUCT_ID}
        for name, column in values.items():
            column.append(_value(item, name))
        if row % 1000 == 999:
            on_progress(row + 1, count)
    for name, column in values.items():
        if name != PRODUCT_ID and count and not any(value is not None for value in column):
            there = ", ".join(sorted({"category", *known}))
            raise ConfigError(f"no listing of {index.path} has a column {name!r}; there is {there}.")
    return Listings(titles, values, photo, words, facts)


def read_column(index: ProductIndex, ids: list[str], column: str) -> list[str | None]:
    """The values of one column of listings, as `Listings.columns` has them; None for one that is gone since."""
    return [_value(item, column) for item, _ in _items(index, ids)]


def masters(clusters: NDArray[np.int64], listings: Listings) -> NDArray[np.int64]:
    """The best listing of each cluster, (C,): with a photo, then with most words, then with most facts, then the first.

    Args:
        clusters: (N,) the cluster of each listing, numbered from 0 without gaps.
        listings: what is known of them.
    """
    rows = np.arange(len(clusters))
    order = np.lexsort((rows, -listings.facts, -listings.words, ~listings.photo, clusters))
    return order[np.unique(clusters[order], return_index=True)[1]]


def why(listings: Listings, row: int) -> str:
    """What speaks for a listing, for a person."""
    photo = "photo" if listings.photo[row] else "no photo"
    words, facts = int(listings.words[row]), int(listings.facts[row])
    return (
        f"{photo}, {words} different word{'s' * (words != 1)} in the title, {facts} filled column{'s' * (facts != 1)}"
    )


def _items(index: ProductIndex, ids: list[str]) -> Iterator[tuple[Item, bool]]:
    """Yield the products, and whether they have photos, by their ids; one that is gone since has its id alone."""
    for start in range(0, len(ids), _BLOCK):
        part = ids[start : start + _BLOCK]
        found = index.items_without_photos(part)
        yield from (found.get(key) or (Item(key), False) for key in part)


def _value(item: Item, column: str) -> str | None:
    if column == PRODUCT_ID:
        return item.product_id
    return item.category if column == "category" else _text(item.metadata.get(column))


def _text(value: Any) -> str | None:
    text = "" if value is None else str(value).strip()
    return text or None
