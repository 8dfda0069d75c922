"""Titles without the words that all listings of a product share, so that words alone no longer tell the product.

Feeds that repeat a model's name in the title of each of its listings are solved by text alone: what a method makes of
the photo cannot be seen there. Here the shared words are taken out, in the index and in the queries.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

from item_embed.catalog.store import Catalog
from item_embed.evaluation.queries import QuerySet
from item_embed.wording import number_of


@dataclass(frozen=True)
class MaskedWords:
    """A catalogue and queries without shared words, and what that changed.

    Attributes:
        catalog: the rows with what is left of their titles; None where nothing is.
        queries: the same, and the remark that says so.
        titles: how many there were, those of given queries included.
        changed: how many of them lost words.
        words_before: how many words the changed ones had, on average; 0 where there are none.
        words_left: how many they have.
        emptied: how many of them have none.
    """

    catalog: Catalog
    queries: QuerySet
    titles: int
    changed: int
    words_before: float
    words_left: float
    emptied: int

    def as_json(self) -> dict[str, Any]:
        """The counts."""
        names = ("titles", "changed", "words_before", "words_left", "emptied")
        return {name: getattr(self, name) for name in names}


def mask_shared_words(catalog: Catalog, queries: QuerySet, which: Literal["names", "all"] = "all") -> MaskedWords:
    """Take out of the titles of a product's listings the words that all of them have.

    A product's listings are its rows in the catalogue and, where queries are second listings of rows, those too: with
    one row and one query, the words that both have. Those without a title do not count; with fewer than two titles
    nothing is taken out. Words are runs of letters, their marks and digits; capitals do not tell them apart.

    Args:
        catalog: the N rows.
        queries: the Q queries.
        which: `names`, those of them that the titles of no other product have, such as the name of a model; or `all`,
            which also takes the kind of thing, such as "mug".

    Examples:
        >>> masked = mask_shared_words(catalog, catalog_queries(catalog))  # doctest: +SKIP
        >>> catalog.titles[0], masked.catalog.titles[0]                    # doctest: +SKIP
        ('Teton Pullover Hoodie Black', 'Black')
    """
    titles, products = list(catalog.titles), queries.listings.tolist()
    if queries.protocol != "listings":  # otherwise they are among the rows
        titles += queries.titles
        products += queries.listings[queries.rows].tolist()
    shared = _shared(titles, products)
    if which == "names":
        shared = _names(shared, titles, products)
    pairs = zip(titles, products, strict=True)
    masked = [title and _without(title, shared.get(product, frozenset())) for title, product in pairs]
    rows = masked[: len(catalog)]
    asked = [rows[row] for row in queries.rows] if queries.protocol == "listings" else masked[len(catalog) :]
    changed = [(old, new) for old, new in zip(titles, masked, strict=True) if old and old != new]
    found = MaskedWords(
        catalog=catalog.with_titles(rows),
        queries=replace(queries, titles=asked),
        titles=sum(title is not None for title in titles),
        changed=len(changed),
        words_before=_mean_words(old for old, _ in changed),
        words_left=_mean_words(new for _, new in changed),
        emptied=sum(new is None for _, new in changed),
    )
    return replace(found, queries=replace(found.queries, remarks=(*queries.remarks, _remark(found))))


def _shared(titles: Sequence[str | None], products: Sequence[int]) -> dict[int, set[str]]:
    """By product, the words that all of its titles have, of those with two titles or more."""
    several: dict[int, set[str]] = {}
    first: dict[int, set[str]] = {}
    for title, product in zip(titles, products, strict=True):
        if title is None:
            continue
        words = {word.casefold() for word in _words(title)}
        if product in first:
            several[product] = several.get(product, first[product]) & words
        else:
            first[product] = words
    return several


def _names(
    shared: Mapping[int, AbstractSet[str]], titles: Sequence[str | None], products: Sequence[int]
) -> dict[int, set[str]]:
    """Of a product's shared words those that the titles of no other have."""
    having: dict[str, set[int]] = {}
    for title, product in zip(titles, products, strict=True):
        for word in _words(title or ""):
            having.setdefault(word.casefold(), set()).add(product)
    return {product: {word for word in words if having[word] == {product}} for product, words in shared.items()}


def _without(title: str, shared: AbstractSet[str]) -> str | None:
    """The title without some words, and without the signs that stood around them; None where no word is left."""
    if not any(word.casefold() in shared for word in _words(title)):
        return title
    parts = []
    for part in _composed(title).split():
        left = _word().sub(lambda word: "" if word.group().casefold() in shared else word.group(), part)
        parts.append(part if left == part else _between_words(left))
    left = " ".join(filter(None, parts))
    return left if _word().search(left) else None


def _between_words(text: str) -> str:
    """From the first word to the last."""
    words = list(_word().finditer(text))
    return text[words[0].start() : words[-1].end()] if words else ""


def _words(title: str) -> list[str]:
    return _word().findall(_composed(title))


@cache
def _word() -> re.Pattern[str]:
    """Letters and digits with the marks that stand on them: in Hindi or Tamil vowels are marks, and no `\\w`."""
    marks = "".join(chr(code) for code in range(0x300, 0x10000) if unicodedata.category(chr(code)).startswith("M"))
    return re.compile(rf"(?:[^\W_]|[{marks}])+")


def _composed(title: str) -> str:
    return unicodedata.normalize("NFKC", title)


def _mean_words(titles: Iterable[str | None]) -> float:
    counts = [len(_words(title or "")) for title in titles]
    return sum(counts) / len(counts) if counts else 0.0


def _remark(found: MaskedWords) -> str:
    lost = (
        f"Shared words are masked: {found.changed:,} of {number_of(found.titles, 'title')}"
        f"{', those of the queries included,' if found.queries.protocol != 'listings' else ''} lost the words that all "
        "listings of their product have"
    )
    if not found.changed:
        return f"{lost}."
    return (
        f"{lost}; of {found.words_before:.1f} words on average {found.words_left:.1f} are left, none in "
        f"{found.emptied:,}."
    )
