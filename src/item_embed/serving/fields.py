"""What a filter can name in an index, and the values that are frequent there, for those who offer a choice."""

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from item_embed.search.facts import facts
from item_embed.search.index import ProductIndex

_LOOKED_AT = 10_000  # products: enough to know what is frequent
_BLOCK = 1000
_MOST_FIELDS, _MOST_VALUES, _LONGEST = 50, 20, 200

Value = str | float | bool


@dataclass(frozen=True)
class Filter:
    """A field: what its values are, and the most frequent of them, the most frequent first."""

    type: Literal["text", "number", "truth"]
    values: tuple[Value, ...]


def filters_of(index: ProductIndex) -> dict[str, Filter]:
    """The category and the fields of metadata that products have, the more frequent first, by up to 10,000 products.

    Examples:
        >>> filters_of(ProductIndex.open("index"))["brand"]  # doctest: +SKIP
        Filter(type='text', values=('Nike', 'Puma'))
    """
    values: dict[str, Counter[tuple[str, float | None]]] = {}
    truths: Counter[str] = Counter()
    for ids, _ in islice(index.scan(_BLOCK), _LOOKED_AT // _BLOCK):
        for item, _ in index.items_without_photos(ids).values():
            if item.category is not None:
                values.setdefault("category", Counter())[item.category, None] += 1
            for key, text, number in facts(item.metadata):
                values.setdefault(key, Counter())[text, number] += 1
                truths[key] += isinstance(item.metadata[key], bool)
    common = sorted(values, key=lambda key: (key != "category", -values[key].total(), key))[:_MOST_FIELDS]
    return {key: _filter(values[key], truths[key]) for key in common}


def _filter(values: Counter[tuple[str, float | None]], truths: int) -> Filter:
    frequent = [value for value in values.most_common() if len(value[0][0]) <= _LONGEST][:_MOST_VALUES]
    if truths == values.total():
        return Filter("truth", tuple(text == "true" for (text, _), _ in frequent))
    if all(number is not None for _, number in values):
        return Filter("number", tuple(number for (_, number), _ in frequent if number is not None))
    return Filter("text", tuple(text for (text, _), _ in frequent))
