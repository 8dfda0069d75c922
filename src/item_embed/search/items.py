"""What an index holds of a product, and what it says of one that was found."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_SURROGATE = re.compile("[\ud800-\udfff]")


def sayable(ids: Iterable[str]) -> list[str]:
    """The different ids that UTF-8 can hold, in order: no product has any other."""
    return [key for key in dict.fromkeys(ids) if not _SURROGATE.search(key)]


@dataclass(frozen=True)
class Item:
    """A product of an index; `photo` is encoded, as JPEG or WebP."""

    id: str
    title: str | None = None
    category: str | None = None
    product_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    photo: bytes | None = None


class Hit(NamedTuple):
    """A product that was found; `score` is its cosine to the query, or what a hybrid search makes of two ranks."""

    id: str
    score: float
    title: str | None
    category: str | None
    product_id: str | None
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Changes:
    """How many products a change concerned, by what became of them."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0

    def __add__(self, other: "Changes") -> "Changes":
        return Changes(
            self.added + other.added,
            self.changed + other.changed,
            self.unchanged + other.unchanged,
            self.removed + other.removed,
        )
