"""What an `Embedder` asks of whatever runs its model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from item_embed.model.arrays import ArrayProcessor
from item_embed.model.photos import PhotoProcessor, ReadyPhoto


class Backend(Protocol):
    """A loaded model: `TorchBackend`, or `OnnxBackend` for an exported one."""

    @property
    def path(self) -> Path:
        """The model's folder."""

    @property
    def fingerprint(self) -> str:
        """Hash of what decides a vector."""

    @property
    def precision(self) -> str:
        """What its encoder multiplies in: `fp32`, `bf16` or `int8`."""

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the photo as the model sees it, pixels."""

    @property
    def patch_size(self) -> int:
        """Side of a square patch, pixels."""

    @property
    def photos(self) -> PhotoProcessor:
        """What makes photos ready for it, in this process or another."""

    @property
    def processor(self) -> ArrayProcessor:
        """Turns titles and photos into what the model reads."""

    @property
    def sees(self) -> frozenset[str]:
        """What it can read of a product: `image`, `title`."""

    def encode(
        self, images: Sequence[Image.Image | ReadyPhoto | None], titles: Sequence[str | None]
    ) -> NDArray[np.float32]:
        """Unit vectors, (n, dimension).

        Args:
            images: n photos, upright and RGB or made ready by `photos`; None where there is none.
            titles: n cleaned titles; None where there is none. Each product has one of the two that the model reads.
        """
