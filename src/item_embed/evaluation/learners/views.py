"""Two looks at one photo, for training that brings them together: cropped, mirrored, relit, sometimes grey.

Every draw is a function of (seed, epoch, row, view), like all randomness of training.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from item_embed.config import AugmentationSettings
from item_embed.hashing import hash64, uniform
from item_embed.objectives.masking import Stream
from item_embed.training.augmentation import augment_photos

# SimCLR's at half strength, and no other hues: colour tells products apart. At full strength a hundred steps on fashion
# found .17 of the relistings among the first ten by the photo alone, and .29 at half.
COLOURS = AugmentationSettings(mirror=0.5, brightness=0.4, contrast=0.4, saturation=0.4)
SMALLEST = 0.2  # least share of a photo's area in a view, as in MoCo: SimCLR's 0.08 leaves too little of a small one
GREY = 0.2  # probability of a view without colours, so that colours are not all that is learnt
_GREY = np.array([0.299, 0.587, 0.114])  # what red, green and blue add to it (ITU-R BT.601)
_WIDEST = 4 / 3  # width over height of a crop, at most, and the inverse at least
_VIEW = 0x51DE  # the stream that gives each view draws of its own


def view(
    pixels: NDArray[np.uint8],
    seed: int,
    epochs: NDArray[np.int64],
    rows: NDArray[np.int64],
    number: int = 0,
) -> NDArray[np.uint8]:
    """A random view of each photo: a part of it, enlarged to the whole, mirrored or not, in other light or grey.

    The part is the random resized crop of Inception (arXiv 1409.4842) as SimCLR (arXiv 2002.05709) uses it: its area
    is uniform between `SMALLEST` of the photo's and all of it, the logarithm of width over height uniform. Unlike
    `training.augmentation`'s it is never larger than the photo.

    Args:
        pixels: (B, 3, height, width), left as they are.
        seed: of the run.
        epochs: (B,) epoch of each row.
        rows: (B,) number of each row in the catalogue.
        number: of the view: two views of a photo have different numbers.

    Returns:
        (B, 3, height, width).

    Examples:
        >>> photos, row = np.zeros((1, 3, 8, 8), np.uint8), np.zeros(1, np.int64)
        >>> view(photos, 0, row, row, number=1).shape
        (1, 3, 8, 8)
    """
    own = int(hash64(seed, _VIEW, number)) >> 1
    keys = (epochs, rows)
    area = SMALLEST + (1 - SMALLEST) * uniform(own, Stream.AREA, *keys)
    aspect = _WIDEST ** (2 * uniform(own, Stream.ASPECT, *keys) - 1)
    height, width = pixels.shape[2:]
    # Shares of the sides, so that the crop of a tall photo is as tall.
    tall = np.clip(np.rint(height * np.sqrt(area / aspect)), 1, height).astype(np.int64)
    wide = np.clip(np.rint(width * np.sqrt(area * aspect)), 1, width).astype(np.int64)
    top = np.floor(uniform(own, Stream.DOWN, *keys) * (height - tall + 1)).astype(np.int64)
    left = np.floor(uniform(own, Stream.ACROSS, *keys) * (width - wide + 1)).astype(np.int64)
    views = np.empty_like(pixels)
    for photo, out, y, x, h, w in zip(pixels, views, top, left, tall, wide, strict=True):
        part = torch.from_numpy(photo[None, :, y : y + h, x : x + w])
        out[...] = F.interpolate(part, (height, width), mode="bilinear", antialias=True)[0].numpy()
    views = augment_photos(views, COLOURS, own, epochs, rows)
    grey = uniform(own, _VIEW, *keys) < GREY
    views[grey] = np.rint((views[grey] * _GREY[:, None, None]).sum(axis=1))[:, None]  # the same in any batch
    return views
