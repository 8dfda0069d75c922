"""What `index.py` asks of all: products drawn in clusters of about fifty, as listings lie, and what is right."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from item_embed.files import whole_file

K = 10
QUERIES = 1000
CLUSTER = 50
SHARES = {"all": 1000, "10 %": 100, "0.5 %": 5}  # thousandths of the products that pass


@dataclass(frozen=True)
class Bench:
    """Vectors, queries, and what is right: by share of the products that pass, the tenth cosine of every query."""

    folder: Path
    vectors: NDArray[np.float32]
    queries: NDArray[np.float32]
    tenths: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    @classmethod
    def drawn(cls, folder: Path, products: int, dimension: int) -> "Bench":
        """Draw them, or read those of an earlier run; the vectors are mapped from their file."""
        if not (folder / "tenths.npz").exists():
            folder.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng(0)
            centres = rng.standard_normal((max(1, products // CLUSTER), dimension), np.float32)
            near = np.concatenate([rng.integers(len(centres), size=products), rng.integers(len(centres), size=QUERIES)])
            vectors = np.empty((len(near), dimension), np.float32)
            for start in range(0, len(near), 1 << 16):
                part = centres[near[start : start + (1 << 16)]]
                part = part + 0.7 * rng.standard_normal(part.shape, np.float32)
                vectors[start : start + (1 << 16)] = part / np.linalg.norm(part, axis=1, keepdims=True)
            np.save(folder / "vectors.npy", vectors)
            drawn = cls(folder, vectors[:products], vectors[products:])
            tenths = {
                name: _tenths(drawn.queries, drawn.vectors[drawn.passing(share)]) for name, share in SHARES.items()
            }
            with whole_file(folder / "tenths.npz") as aside, aside.open("wb") as file:
                np.savez(file, allow_pickle=False, **tenths)
        return cls.read(folder)

    @classmethod
    def read(cls, folder: Path) -> "Bench":
        """What `drawn` has drawn."""
        vectors = np.load(folder / "vectors.npy", mmap_mode="r")
        with np.load(folder / "tenths.npz") as tenths:
            found = {name: tenths[name] for name in SHARES}
        queries = len(found["all"])
        return cls(folder, vectors[:-queries], np.array(vectors[-queries:]), found)

    def passing(self, share: int) -> NDArray[np.int64]:
        """The rows that pass a filter: `n < share` in the metadata."""
        return np.flatnonzero(self.numbers < share)

    @property
    def numbers(self) -> NDArray[np.int64]:
        """What filters compare, (n,): 0 to 999."""
        return np.random.default_rng(1).integers(1000, size=len(self.vectors))

    def recall(self, name: str, found: NDArray[np.int64]) -> float:
        """The share of the ten nearest that was found; -1 is nothing."""
        cosines = np.einsum("qkd,qd->qk", self.vectors[found], self.queries[: len(found)])
        right = (cosines >= self.tenths[name][: len(found), None] - 1e-6) & (found >= 0)
        return float(right.sum(axis=1).clip(max=K).mean() / K)


def _tenths(queries: NDArray[np.float32], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    blocks = [queries[start : start + 50] @ vectors.T for start in range(0, len(queries), 50)]
    return np.concatenate([np.partition(block, -K, axis=1)[:, -K] for block in blocks])


class Drawn:
    """Passes for the catalogue of these products: titles of two words, a number to filter by, no photos."""

    path = Path("drawn")
    fingerprint = "drawn"
    fields = ("n",)

    def __init__(self, bench: Bench, changed: bool) -> None:
        products = len(bench.vectors)
        self.ids = [str(row) for row in range(products)]
        self.titles = [f"product {row}" for row in range(products)]
        self.vectors = bench.vectors
        self.categories = self.product_ids = [None] * products
        self.photo_pixels = np.full(products, -1)
        self._numbers = bench.numbers
        if changed:  # tonight
            self.vectors = np.array(bench.vectors)
            self.vectors[::100] = np.roll(self.vectors[::100], 1, axis=1)
            self.titles[::100] = [f"{title} again" for title in self.titles[::100]]

    def __len__(self) -> int:
        return len(self.ids)

    def metadata(self, row: int) -> dict[str, Any]:
        """What filters see."""
        return {"n": int(self._numbers[row])}
