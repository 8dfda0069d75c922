"""Learners that learn nothing and embed by what they are built to see, and a catalogue to compare them on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.embedding.seen import Modalities
from item_embed.errors import ConfigError, ModelError
from item_embed.evaluation.learners.learner import Fitted, Material
from item_embed.hashing import text_hash
from item_embed.progress import OnProgress, silent
from tests.catalogs import Row, write_catalog
from tests.evaluation.fakes import COLOURS, WORDS, jpeg, thing


class FirstWord:
    """A direction for each first word of a title, drawn from the seed, with noise; photos are not looked at."""

    dimension = 16

    def __init__(self, noise: float, seed: int) -> None:
        self.noise, self.seed = noise, seed

    def embed(
        self,
        images: Sequence[bytes | None] | None = None,
        titles: Sequence[str | None] | None = None,
        batch_size: int = 256,
        on_progress: OnProgress = silent,
    ) -> NDArray[np.float32]:
        vectors = np.zeros((len(titles or ()), self.dimension), np.float32)
        for row, title in enumerate(titles or ()):
            if title:
                word, noise = (
                    np.random.default_rng(text_hash(t) % 2**32) for t in (title.split()[0], f"{title} {self.seed}")
                )
                vector = word.standard_normal(16) + self.noise * noise.standard_normal(16)
                vectors[row] = vector / np.linalg.norm(vector)
        return vectors


@dataclass(frozen=True)
class Fake:
    """Counts how often it is trained in a file of its folder."""

    name: str
    noise: float
    sees: Modalities = "title"
    labels: bool = False
    trains: bool = True

    def fit(
        self, material: Material, folder: Path, device: str | None = None, on_progress: OnProgress = silent
    ) -> Fitted:
        folder.mkdir(parents=True, exist_ok=True)
        if self.name in FAILURES:
            raise FAILURES[self.name]
        with (folder / "fitted").open("a", encoding="utf8") as file:
            file.write("once\n")
        on_progress(1, 1)
        seed = material.config.training.seed
        size = material.parameters if self.trains else 0
        spent = (64, 0.5, 1.0) if self.trains else (0, 0.0, 0.0)
        return Fitted(FirstWord(self.noise, seed), size, *spent, note="" if self.trains else "trained elsewhere")


FAILURES = {
    "diverging": ModelError("training stopped at step 3: the loss is not a number any more."),
    "hungry": RuntimeError("CUDA out of memory.\nTried to allocate 20 GiB"),
    "starved": MemoryError(),
}
FAKES = {
    fake.name: fake
    for fake in (
        Fake("good", 0.0),
        Fake("noisy", 2.0),
        Fake("still", 1.0, trains=False),
        *(Fake(name, 0.0) for name in FAILURES),
    )
}


def fake_learner(name: str) -> Fake:
    if name not in FAKES:
        raise ConfigError(f"there is no method {name!r}.")
    return FAKES[name]


def labelled_shop(path: Path, splits: Sequence[str] = ("train", "train", "test")) -> Catalog:
    """Twelve products with four listings each, two leaves; of three pairs of products each is of another split."""
    rows = [
        Row(
            f"{word} {listing}",
            f"{word.title()} {('new', 'used', 'boxed', 'fine')[listing]} {number}",
            jpeg(thing(COLOURS[number], (48, 64 + 2 * listing))),
            category=f"Things > {'hard' if number % 2 else 'soft'}",
            product_id=word,
            group=number,
            split=splits[number // 2 % 3],
        )
        for number, word in enumerate(WORDS)
        for listing in range(4)
    ]
    return write_catalog(path, rows)
