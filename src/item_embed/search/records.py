"""Products as stores write them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from item_embed.embedding.vectors import check_vectors
from item_embed.errors import VectorError
from item_embed.hashing import text_hash
from item_embed.search.items import Item


@dataclass(frozen=True)
class Record:
    """A product as it is to be stored: its photo as a hash, since photos that are there already need not be read."""

    id: str
    title: str | None
    category: str | None
    product_id: str | None
    metadata: Mapping[str, Any]
    photo_hash: int | None
    vector: NDArray[np.float32]

    def content(self) -> bytes:
        """A hash of all that it is."""
        texts = [self.title, self.category, self.product_id, json_text(self.metadata), self.photo_hash]
        return hashlib.blake2b(json.dumps(texts).encode() + vector_bytes(self.vector), digest_size=16).digest()


@dataclass(frozen=True)
class Seen:
    """What a store holds of a product's vector: what the model saw when it made it, as far as that can change."""

    title: str | None
    photo_hash: int | None
    vector: NDArray[np.float32]


def records_of(items: Sequence[Item], vectors: NDArray[np.float32]) -> list[Record]:
    """Products with their vectors (n, d) as they are to be stored.

    Raises:
        VectorError: when there is not one vector for each, one is not finite, an id comes twice, or something is no
            text or no JSON that should be.
    """
    ids = [item.id for item in items]
    if len(ids) != len(vectors):
        raise VectorError(f"{len(ids)} products cannot have {len(vectors)} vectors; give one for each.")
    if len(set(ids)) < len(ids):
        twice = next(key for place, key in enumerate(ids) if key in ids[:place])
        raise VectorError(f"the id {twice!r} comes twice; give each product once.")
    check_vectors(vectors, ids, "what is to be indexed", "check the model")
    return [_record(item, vector) for item, vector in zip(items, vectors, strict=True)]


def _record(item: Item, vector: NDArray[np.float32]) -> Record:
    texts = item.id, item.title, item.category, item.product_id
    try:
        given = [text for text in texts[1:] if text is not None]
        "".join([item.id, *given, *item.metadata, json_text(item.metadata)]).encode()
    except (TypeError, ValueError) as error:
        raise VectorError(
            f"the product {item.id!r} cannot be stored ({error}); texts must be texts, and metadata must be JSON, with "
            "texts as keys."
        ) from None
    return Record(*texts, item.metadata, None if item.photo is None else text_hash(item.photo), vector)


def json_text(metadata: Mapping[str, Any]) -> str:
    """Metadata as they are stored; TypeError or ValueError if they are no JSON."""
    return json.dumps(dict(metadata), ensure_ascii=False)


def vector_bytes(vector: NDArray[np.float32]) -> bytes:
    """A vector (d,) as float32, little-endian."""
    return np.ascontiguousarray(vector, "<f4").tobytes()
