"""Photos as a model reads them, from their files, in numpy alone: what another process can do ahead of the encoder."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from item_embed.catalog.photos.images import decode, upright_rgb, whole_size
from item_embed.model.background import background_patches


class ReadyPhoto(NamedTuple):
    """A photo as a model reads it.

    Attributes:
        pixels: (3, height, width) bytes.
        background: of its P patches, row by row, True where one is not encoded, (P,); None where all are.
    """

    pixels: NDArray[np.uint8]
    background: NDArray[np.bool_] | None


class PhotoProcessor:
    """Scales photos to a model's size and finds the patches that it leaves out.

    Args:
        image_size: height and width, pixels.
        background_patch_size: side of the patches of which the empty ones are left out; None where none are.

    Examples:
        >>> processor = PhotoProcessor((32, 16), background_patch_size=16)
        >>> processor.ready(Image.new("RGB", (64, 32), "white")).background.tolist()
        [False, True]
    """

    def __init__(self, image_size: tuple[int, int], background_patch_size: int | None = None) -> None:
        self.image_size = image_size
        self.background_patch_size = background_patch_size

    def read(self, photo: bytes) -> ReadyPhoto:
        """A photo from its file.

        Raises:
            PhotoError: when it cannot be decoded.
        """
        return self.ready(decode(photo, self.image_size))

    def ready(self, image: Image.Image | ReadyPhoto | None) -> ReadyPhoto:
        """A photo from an opened image of any mode and size; white without one, and as it is if it is ready."""
        if isinstance(image, ReadyPhoto):
            return image
        pixels = self.pixels(image)
        background = self.background(pixels[None])
        return ReadyPhoto(pixels, None if background is None else background[0])

    def pixels(self, image: Image.Image | None, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """A photo as (3, height, width) bytes, scaled to fit with white around it; all white without a photo.

        Args:
            image: of any mode and size.
            out: where to write it, (3, height, width); by default a new array.
        """
        height, width = self.image_size
        canvas = np.empty((3, height, width), np.uint8) if out is None else out
        canvas[...] = 255
        if image is not None:
            upright = upright_rgb(image)
            whole_width, whole_height = whole_size(upright)
            scale = min(height / whole_height, width / whole_width)
            h, w = max(1, round(whole_height * scale)), max(1, round(whole_width * scale))
            top, left = (height - h) // 2, (width - w) // 2
            canvas[:, top : top + h, left : left + w] = self._resized(upright, (h, w))
        return canvas

    def _resized(self, photo: Image.Image, size: tuple[int, int]) -> NDArray[np.uint8]:
        """An RGB photo as (3, *size) bytes, bilinear and antialiased."""
        scaled = photo.resize(size[::-1], Image.Resampling.BILINEAR)  # as it is where it has that size
        return np.asarray(scaled).transpose(2, 0, 1)

    def background(self, pixels: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
        """(B, 3, height, width) to (B, P), True where the model does not encode a patch; None where it encodes all."""
        return None if self.background_patch_size is None else background_patches(pixels, self.background_patch_size)
