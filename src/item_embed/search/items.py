"""What an index holds of a product, and what it says of one that was found."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from item_embed.embedding.seen import Modalities
from item_embed.errors import VectorError

_SURROGATE = re.compile("[\ud800-\udfff]")


class IndexManifest(BaseModel):
    """Where the vectors of an index come from."""

    dimension: int
    fingerprint: str
    model: str
    modalities: Modalities
    catalog: str
    catalog_fingerprint: str

    def check_model(self, fingerprint: str, who: str, path: str | Path) -> None:
        """Refuse vectors of another model; `who` comes from it, `path` is the index."""
        if fingerprint != self.fingerprint:
            raise VectorError(
                f"{who} from another model ({fingerprint[:12]}) than the vectors of {path} "
                f"({self.fingerprint[:12]}, {self.model}); use that model, or embed and index again."
            )

    def check_same(self, now: "IndexManifest", path: str | Path) -> None:
        """Refuse an index whose vectors do not compare with those that it had when it was opened."""
        if (now.fingerprint, now.dimension, now.modalities) != (self.fingerprint, self.dimension, self.modalities):
            raise VectorError(
                f"{path} was built again by another model ({now.fingerprint[:12]}, {now.model}) since it was "
                "opened; open it again."
            )


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
