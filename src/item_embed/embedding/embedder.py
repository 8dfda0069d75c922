"""`Embedder`: photos and titles in, one unit vector per product out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from item_embed.catalog.photos.images import PhotoError, decode, upright_rgb
from item_embed.embedding.backend import Backend
from item_embed.embedding.exported import is_exported
from item_embed.embedding.seen import seen_title
from item_embed.errors import ModelError
from item_embed.model.photos import PhotoProcessor, ReadyPhoto
from item_embed.progress import OnProgress, silent
from item_embed.remote.urls import refuse_url

if TYPE_CHECKING:
    from item_embed.config import Precision

#: A photo as a user has it: opened, a file, its bytes, or made ready by `Embedder.photos`; None where there is none.
ImageInput = Image.Image | ReadyPhoto | Path | str | bytes | None


class Embedder:
    """A trained model, ready to embed.

    Args:
        backend: what runs it; `from_pretrained` chooses by what the folder holds.

    Examples:
        >>> embedder = Embedder.from_pretrained("run/model")                            # doctest: +SKIP
        >>> vectors = embedder.embed(images=["mug.jpg", None], titles=["Red mug", "Blue mug"])  # doctest: +SKIP
        >>> vectors @ vectors.T  # cosine similarities                                   # doctest: +SKIP
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    @classmethod
    def from_pretrained(
        cls, path: str | Path, device: str | None = None, precision: "Precision" = "fp32"
    ) -> "Embedder":
        """Load a model folder, `RUN/model` of `item pretrain`, or what `item export` made of one.

        Args:
            path: the folder.
            device: a torch device such as `cpu` or `cuda:1`; by default a GPU where there is one. An exported model
                runs on the CPU.
            precision: what the encoder multiplies in: `fp32`, `bf16`, or `auto`, which is bf16 where that is fast. An
                exported model multiplies in what it was exported for.

        Raises:
            ModelError: when a file is missing or damaged, or there is no such device.
        """
        refuse_url(path, "a model")
        if is_exported(Path(path)):
            from item_embed.embedding.onnx_backend import OnnxBackend

            return cls(OnnxBackend.from_pretrained(path, device, precision))
        from item_embed.embedding.torch_backend import TorchBackend  # brings torch

        return cls(TorchBackend.from_pretrained(path, device, precision))

    @property
    def path(self) -> Path:
        """The model's folder."""
        return self.backend.path

    @property
    def fingerprint(self) -> str:
        """Hash of what decides a vector: vectors compare only within one fingerprint."""
        return self.backend.fingerprint

    @property
    def precision(self) -> str:
        """What the encoder multiplies in: `fp32`, `bf16` or `int8`."""
        return self.backend.precision

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return self.backend.dimension

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the photo as the model sees it, pixels."""
        return self.backend.image_size

    @property
    def patch_size(self) -> int:
        """Side of a square patch, pixels."""
        return self.backend.patch_size

    @property
    def photos(self) -> PhotoProcessor:
        """What makes photos ready for the model, ahead of `embed` and in another process if need be."""
        return self.backend.photos

    @property
    def sees(self) -> frozenset[str]:
        """What the model can read of a product: `image`, `title`."""
        return self.backend.sees

    def embed(
        self,
        images: Sequence[ImageInput] | None = None,
        titles: Sequence[str | None] | None = None,
        batch_size: int = 256,
        on_progress: OnProgress = silent,
    ) -> NDArray[np.float32]:
        """Embed products.

        Titles are cleaned as `item prepare` cleans those of a feed; photos are turned upright and put on white.

        Args:
            images: a photo per product, or None for a product without one; left out: no product has one.
            titles: a title per product, or None; left out: no product has one.
            batch_size: products per encoder pass.
            on_progress: told of products.

        Returns:
            Unit vectors, (n, dimension) float32, in the order given.

        Raises:
            ValueError: when `images` and `titles` differ in length, neither is given, or one of them is a single
                title or photo, or when `batch_size` is below 1.
            ModelError: naming the product whose photo or title cannot be read, or that has neither.
        """
        n = _count(images, titles)
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        photos: Sequence[ImageInput] = images if images is not None else [None] * n
        texts: Sequence[str | None] = titles if titles is not None else [None] * n
        vectors = np.empty((n, self.dimension), np.float32)
        for start in range(0, n, batch_size):
            end = min(n, start + batch_size)
            seen = [self._read(photos[number], texts[number], number) for number in range(start, end)]
            vectors[start:end] = self.backend.encode([photo for photo, _ in seen], [title for _, title in seen])
            on_progress(end, n)
        return vectors

    def read(self, photo: ImageInput, title: str | None, product: int = 0) -> tuple[Image.Image | None, str | None]:
        """A product as `embed` shows it to the model: its photo opened and upright, its title cleaned.

        Args:
            photo: or None; not one that `photos` has made ready, of which there is no picture left.
            title: or None.
            product: its number, for what errors say.

        Raises:
            ModelError: as `embed`.
        """
        opened, seen = self._read(photo, title, product)
        if isinstance(opened, ReadyPhoto):
            raise ModelError(f"the photo of product {product} was made ready for the model; give the photo itself.")
        return opened, seen

    def _read(
        self, photo: ImageInput, title: str | None, product: int
    ) -> tuple[Image.Image | ReadyPhoto | None, str | None]:
        opened, seen = _open(photo, product, self.image_size), _title(title, product)
        self._check(product, opened is not None, seen is not None)
        return opened, seen

    def _check(self, product: int, photo: bool, title: bool) -> None:
        """Refuse a product that has nothing, or what the model cannot read."""
        if not photo and not title:
            raise ModelError(f"product {product} has neither a photo nor a title; give at least one.")
        for sight, there in (("image", photo), ("title", title)):
            if there and sight not in self.backend.sees:
                names = {"image": "photo", "title": "title"}
                (other,) = self.backend.sees
                raise ModelError(
                    f"product {product} has a {names[sight]}, and the model {self.path} was exported to read "
                    f"{names[other]}s alone; embed with --modalities {other}, or export it with --modalities both."
                )


def _count(images: Sequence[ImageInput] | None, titles: Sequence[str | None] | None) -> int:
    """How many products are given."""
    if images is None and titles is None:
        raise ValueError("give images, titles, or both")
    if isinstance(titles, str | bytes):
        raise ValueError(f"titles is a single title; give a list: titles=[{titles!r}]")
    if isinstance(images, str | bytes | Path | Image.Image | ReadyPhoto):
        raise ValueError("images is a single photo; give a list: images=[photo]")
    if images is not None and titles is not None and len(images) != len(titles):
        raise ValueError(f"{len(images)} images and {len(titles)} titles: one of each per product, or None")
    return len(images if images is not None else titles or ())


def _title(title: str | None, product: int) -> str | None:
    if title is not None and not isinstance(title, str):
        raise ModelError(f"the title of product {product} is no text but {title!r}; give a text, or None.")
    return seen_title(title)


def _open(image: ImageInput, product: int, fit: tuple[int, int]) -> Image.Image | ReadyPhoto | None:
    if image is None:
        return None
    if isinstance(image, ReadyPhoto):
        if image.pixels.shape != (3, *fit):
            raise ModelError(f"the photo of product {product} was made ready for another model; use `Embedder.photos`.")
        return image
    if not isinstance(image, Image.Image | Path | str | bytes):
        raise ModelError(
            f"the photo of product {product} is no photo but {image!r}; give an opened photo, a file or its bytes, or "
            "None."
        )
    try:
        if isinstance(image, Image.Image):
            return upright_rgb(image)
        return decode(image if isinstance(image, bytes) else Path(image).read_bytes(), fit)
    except (OSError, PhotoError) as error:
        name = str(image) if isinstance(image, str | Path) else type(image).__name__
        reason = (error.strerror or error) if isinstance(error, OSError) else error
        raise ModelError(f"the photo of product {product} ({name}) cannot be used: {reason}.") from None
