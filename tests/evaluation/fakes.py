"""Methods built to see only what a test wants them to see, and a catalogue to find things in."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from item_embed.catalog.store import Catalog
from item_embed.progress import OnProgress, silent
from tests.catalogs import Row, write_catalog

WORDS = ("mug", "lamp", "chair", "shoe", "bag", "kettle", "sofa", "ring", "belt", "clock", "vase", "tent")
COLOURS = [(r, g, b) for r in (10, 120, 230) for g in (20, 200) for b in (30, 210)]  # one for each word


class Fake:
    """Embeds by a function of one encoded photo and one title, and counts what it embeds."""

    def __init__(self, dimension: int, vector: Callable[[bytes | None, str | None], NDArray[np.float64]]) -> None:
        self.dimension = dimension
        self.vector = vector
        self.embedded = 0

    def embed(
        self,
        images: Sequence[bytes | None] | None = None,
        titles: Sequence[str | None] | None = None,
        batch_size: int = 256,
        on_progress: OnProgress = silent,
    ) -> NDArray[np.float32]:
        assert images is not None
        assert titles is not None
        self.embedded += len(images)
        found = np.stack([self.vector(image, title) for image, title in zip(images, titles, strict=True)])
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(found / np.where(lengths > 0, lengths, 1), np.float32)


class Codes:
    """Orthogonal unit vectors, one for each value seen; zero for None."""

    def __init__(self, dimension: int = 64) -> None:
        self.dimension = dimension
        self._known: dict[object, int] = {}

    def __call__(self, value: object) -> NDArray[np.float64]:
        code = np.zeros(self.dimension)
        if value is not None:
            code[self._known.setdefault(value, len(self._known))] = 1
        return code


def mean_colour(photo: bytes | None) -> NDArray[np.float64]:
    """(3,) the mean colour of a photo's middle, a third of its sides; zero without one."""
    if photo is None:
        return np.zeros(3)
    pixels = np.asarray(Image.open(io.BytesIO(photo)).convert("RGB"), np.float64)
    height, width = pixels.shape[:2]
    middle = pixels[height // 3 : -(height // 3), width // 3 : -(width // 3)]
    return np.asarray(middle.mean(axis=(0, 1)) - 128)


def thing(colour: tuple[int, int, int], size: tuple[int, int] = (48, 64)) -> Image.Image:
    """Something of one colour, which fills the photo's middle, on white; `size` is (width, height)."""
    image = Image.new("RGB", size, "white")
    width, height = size
    ImageDraw.Draw(image).rectangle((width // 6, height // 6, width - width // 6, height - height // 6), fill=colour)
    return image


def jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95)
    return file.getvalue()


def shop(path: Path, *, photos: bool = True, titles: bool = True, labels: bool = True) -> Catalog:
    """Twelve products with two listings each: another first word and another colour for every product.

    Products 2k and 2k + 1 share the column `family_id`.
    """
    rows = [
        Row(
            f"{word} {listing}",
            f"{word.title()} {['new', 'used'][listing]} with box {number}" if titles else None,
            jpeg(thing(COLOURS[number], (48, 64 + 2 * listing))) if photos else None,
            product_id=word if labels else None,
            metadata={"family_id": number // 2},
            group=number,
            split="test" if number % 3 == 0 else "train",
        )
        for number, word in enumerate(WORDS)
        for listing in range(2)
    ]
    return write_catalog(path, rows)
