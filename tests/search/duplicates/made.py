"""Indexes of vectors written by hand."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from item_embed.embedding.vectors import Vectors
from item_embed.search.index import ProductIndex
from tests.catalogs import Row, write_catalog


def unit(vectors: ArrayLike) -> NDArray[np.float32]:
    """Vectors of length 1."""
    array = np.asarray(vectors, np.float64)
    return np.asarray(array / np.linalg.norm(array, axis=1, keepdims=True), np.float32)


def at(*degrees: float) -> NDArray[np.float32]:
    """Vectors in a plane: the cosine of two is that of the angle between them."""
    angles = np.radians(degrees)
    return unit(np.stack([np.cos(angles), np.sin(angles)], axis=1))


def groups(products: int, listings: int, seed: int = 0, spread: float = 0.1, d: int = 16) -> NDArray[np.float32]:
    """Vectors of products with several listings each, near their product's centre, one product after the other."""
    generator = np.random.default_rng(seed)
    centres = unit(generator.standard_normal((products, d)))
    return unit(np.repeat(centres, listings, 0) + spread / d**0.5 * generator.standard_normal((products * listings, d)))


def make_index(path: Path, vectors: NDArray[np.float32], rows: Sequence[Row] | None = None) -> ProductIndex:
    """The index of a catalogue with these vectors, in `path/index`; ids are `id 0`, `id 1`, … unless rows are given."""
    rows = rows or [Row(f"id {number}", f"mug {number}") for number in range(len(vectors))]
    catalog = write_catalog(path / "catalog", rows)
    return ProductIndex.build(Vectors(catalog.ids, vectors, "model", "model"), catalog, path / "index")
