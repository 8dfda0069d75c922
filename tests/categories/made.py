"""A labelled catalogue whose vectors tell its leaves, most of the time."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.categories.classifier import Encoder
from tests.catalogs import Row, photo, write_catalog

PATHS = ("Shoes > Flats", "Shoes > Heels", "Bags > Totes", "Bags > Belts", "Watches")
ENCODER = Encoder(Path("run/model"), "f" * 64)


def made(
    path: Path, count: int = 600, noise: float = 0.7, wrong: float = 0.0, seed: int = 0
) -> tuple[Catalog, NDArray[np.float32], NDArray[np.bool_]]:
    """A catalogue, its vectors and which labels are wrong.

    Groups of two rows; the leaves of one parent lie near each other. Every thirtieth row has no label; three rows have
    one of their own; one is seen nothing of.
    """
    generator = np.random.default_rng(seed)
    leaf = generator.integers(len(PATHS), size=count)
    parents = generator.normal(size=(3, 12))
    centres = parents[[0, 0, 1, 1, 2]] + 0.6 * generator.normal(size=(5, 12))
    vectors = centres[leaf] + noise * generator.normal(size=(count, 12))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    flipped = generator.random(count) < wrong
    label = np.where(flipped, (leaf + generator.integers(1, 5, size=count)) % 5, leaf)
    category: list[str | None] = [PATHS[one] for one in label]
    category[::30] = [None] * len(category[::30])
    for number in (1, 2, count - 1):
        category[number] = "Shoes > Rare"
    vectors[count - 2] = 0
    splits = np.where(np.arange(count) // 2 % 10 < 8, "train", "validation")
    splits[np.arange(count) // 2 % 10 == 9] = "test"
    rows = [
        Row(
            f"id {number}",
            f"={PATHS[one]} {number}" if number % 7 else None,
            photo((40 * one, 90, 200 - 30 * one)) if number % 5 else None,
            category=category[number],
            group=number // 2,
            split=str(splits[number]),
        )
        for number, one in enumerate(leaf)
    ]
    catalog = write_catalog(path, rows)
    known = np.array([path is not None for path in category])
    return catalog, vectors.astype(np.float32), flipped & known
