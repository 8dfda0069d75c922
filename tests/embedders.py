"""An embedder without a model, for tests of what uses one."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from item_embed.hashing import text_hash
from item_embed.progress import OnProgress, silent

if TYPE_CHECKING:
    from item_embed.embedding.embedder import Embedder


class AsTheyAre:
    """What makes a photo ready for an embedder that reads its file."""

    def read(self, photo: bytes) -> bytes:
        return photo


class Deadly:
    """The first photo ends the process that reads it, as where memory runs out."""

    def read(self, photo: bytes) -> bytes:
        os.kill(os.getpid(), signal.SIGKILL)
        return photo


class DummyEmbedder:
    """Gives every title and photo a direction of its own; a product's vector is their normalised sum."""

    dimension = 16
    image_size, patch_size = (32, 32), 16
    precision, photos = "fp32", AsTheyAre()
    sees = frozenset({"image", "title"})

    def __init__(self, path: Path = Path("model"), fingerprint: str = "dummy") -> None:
        self.path = path
        self.fingerprint = fingerprint
        self.sizes: list[int] = []  # of the calls

    def embed(
        self,
        images: Sequence[bytes | None] | None = None,
        titles: Sequence[str | None] | None = None,
        batch_size: int = 256,
        on_progress: OnProgress = silent,
    ) -> NDArray[np.float32]:
        count = len(images if images is not None else titles or [])
        vectors = np.zeros((count, self.dimension), np.float32)
        for values in (images, titles):
            for row, value in enumerate(values or []):
                if value:
                    vectors[row] += np.random.default_rng(text_hash(value)).standard_normal(self.dimension)
        self.sizes.append(count)
        on_progress(count, count)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def dummy(path: Path = Path("model"), fingerprint: str = "dummy") -> "Embedder":
    """A dummy embedder that passes for a real one."""
    return cast("Embedder", DummyEmbedder(path, fingerprint))


def replace_embedder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every model folder's embedder be a dummy whose fingerprint is the folder's name."""

    class Embedder(DummyEmbedder):
        @classmethod
        def from_pretrained(cls, path: Path, device: str | None = None, precision: str = "fp32") -> "Embedder":
            return cls(path, path.name)

    module = ModuleType("item_embed.embedding.embedder")
    module.Embedder = Embedder  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
