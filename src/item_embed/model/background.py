"""Which patches of a photo are empty background, from its bytes."""

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.report.background import FLAT


def background_patches(pixels: NDArray[np.uint8], patch_size: int) -> NDArray[np.bool_]:
    """Find the patches in which no colour channel has a standard deviation of `FLAT` (3 of 255) or more.

    A photo keeps at least one patch: if all are empty, the one that varies most.

    Args:
        pixels: (B, 3, height, width), both sides multiples of `patch_size`.
        patch_size: in pixels.

    Returns:
        (B, P) True where a patch is background, row by row.

    Examples:
        >>> background_patches(np.full((1, 3, 32, 16), 255, np.uint8), 16).tolist()
        [[False, True]]
    """
    variances = [_variances(photo, patch_size) for photo in pixels]  # one at a time: its floats fit into the cache
    variance = np.stack(variances) if variances else np.zeros((0, 1))
    empty = variance < FLAT**2
    empty[np.arange(len(empty)), variance.argmax(axis=1)] = False
    return empty


def _variances(photo: NDArray[np.uint8], patch_size: int) -> NDArray[np.float64]:
    """The largest variance of a channel in each patch, (P,)."""
    channels, height, width = photo.shape
    pixels = photo.astype(np.float32).reshape(channels, height // patch_size, patch_size, width)

    def mean(numbers: NDArray[np.float32]) -> NDArray[np.float64]:
        columns = numbers.sum(axis=2)  # exact: whole numbers under 2 ** 24
        patches = columns.reshape(channels, height // patch_size, width // patch_size, patch_size)
        exact: NDArray[np.float64] = patches.sum(axis=-1, dtype=np.float64) / patch_size**2
        return exact

    spread: NDArray[np.float64] = (mean(pixels * pixels) - mean(pixels) ** 2).max(axis=0)
    return spread.ravel()
