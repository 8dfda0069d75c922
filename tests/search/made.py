"""Small indexes, and what a search of one must find, by plain loops."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from item_embed.embedding.vectors import Vectors
from item_embed.hashing import text_hash
from item_embed.search import nearest, snapshot
from item_embed.search.filters import parse_filter
from item_embed.search.index import ProductIndex
from item_embed.search.items import Item
from item_embed.search.nearest import NearestRows
from item_embed.search.postgres import nearest as postgres_nearest
from item_embed.search.store import Store
from tests.catalogs import Row, write_catalog
from tests.search.filtering import holds

Held = Mapping[str, tuple[Item, NDArray[np.float32]]]


def unit(rng: np.random.Generator, count: int, dimension: int = 8) -> NDArray[np.float32]:
    """Random vectors of length 1."""
    vectors = rng.standard_normal((count, dimension))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def one_product(folder: Path, dimension: int = 8, timeout: float = 30, out: str | Path | None = None) -> ProductIndex:
    """An index of the product `first`, whose vector is (1, 0, ...)."""
    catalog = write_catalog(folder / "catalog", [Row("first", "the first")])
    vectors = Vectors(["first"], np.eye(1, dimension, dtype=np.float32), "model", "run/model")
    out = out or folder / "index"
    ProductIndex.build(vectors, catalog, out).close()
    return ProductIndex(out, timeout)


def embedded(index: ProductIndex) -> tuple[Store, NearestRows]:
    """The inside of an index that is in a folder."""
    assert isinstance(index._store, Store)
    assert isinstance(index._nearest, NearestRows)
    return index._store, index._nearest


def folder_of(index: ProductIndex) -> Path:
    """Where an index is that is in a folder."""
    assert isinstance(index.path, Path)
    return index.path


def add(index: ProductIndex, vectors: NDArray[np.float32], prefix: str = "id") -> list[str]:
    """Put products of these vectors into an index."""
    ids = [f"{prefix} {number}" for number in range(len(vectors))]
    index.upsert([Item(key, f"title of {key}") for key in ids], vectors, "model")
    return ids


def expected(held: Held, query: NDArray[np.float32], k: int, where: str | None = None) -> list[tuple[str, float]]:
    """The ids and cosines that a search must give."""
    meant = None if where is None else parse_filter(where)
    scored = []
    for key, (item, vector) in held.items():
        if meant is None or holds(meant, item):
            product = (vector * query.astype(np.float64)).sum()
            scored.append((-float(np.float32(product)), text_hash(key), key))
    return [(key, -score) for score, _, key in sorted(scored)[:k]]


def graph_soon(monkeypatch: pytest.MonkeyPatch, rows: int = 12) -> None:
    """Make a graph of so many products, and search by it however narrow the filter."""
    monkeypatch.setattr(nearest, "EXACT_ROWS", rows)
    monkeypatch.setattr(snapshot, "_COST", 0)
    monkeypatch.setattr(postgres_nearest, "EXACT_ROWS", rows)
    monkeypatch.setattr(postgres_nearest, "_COST", 0)
