"""Photos changed at random, so that the vector holds the product and not its one photo: mirrored, reframed, relit.

Every draw is a function of (seed, stream, epoch, row), and what is computed from them does not depend on the other
rows: the same row is shown the same photo in the same epoch however the work is split. The row is the pair's, also
where the photo is a partner's, so one photo is changed differently in each pair that shows it.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from item_embed.config import AugmentationSettings
from item_embed.hashing import uniform
from item_embed.objectives.masking import Stream

# Width over height of a window, at most; less where `scale` allows less.
_WIDEST = 4 / 3
# Factors of colours are whole multiples of this. Sums of products with bytes are then exact in float32, so that no
# order of adding them, and hence no batch size, thread count or processor, can change a byte.
_STEP = 2.0**-12
# What red, green and blue add to grey: 0.299, 0.587 and 0.114 (ITU-R BT.601).
_GREY = np.array([1225, 2404, 467]) * _STEP
# Colours are changed in as many photos at a time as fit into the processor's cache.
_BLOCK = 2**18


def augment_photos(
    pixels: NDArray[np.uint8],
    settings: AugmentationSettings,
    seed: int,
    epochs: NDArray[np.int64],
    rows: NDArray[np.int64],
) -> NDArray[np.uint8]:
    """Change each photo at random: mirrored, then reframed, then relit.

    *Mirrored* left to right, with a probability.

    *Reframed*: a window is stretched over the whole photo (the random resized crop of Inception, arXiv 1409.4842). Its
    area is uniform between `scale` and 2 - `scale` of the photo's, so that it is on average as large as the photo.
    Along a side where it is smaller it lies within the photo; where it is larger, the photo lies within it, and the
    pixels of its border go on outwards: white around a product stays white. Width and height change by different
    factors, whose ratio is at most 4 / 3 and at most 1 / `scale`. Windows are whole pixels.

    *Relit*: with factors b, c, s, each uniform between 1 - strength and 1 + strength, and g the grey of a pixel,

        x' = c * b * (s * x + (1 - s) * g) + (1 - c) * b * mean(g)

    that is brightness, contrast around the photo's mean grey, and saturation, clipped and rounded once at the end. Flat
    areas stay flat; white stays white unless its brightness or contrast is lowered.

    Args:
        pixels: (B, 3, height, width), left as they are.
        settings: how much of each.
        seed: of the run.
        epochs: (B,) epoch of each row.
        rows: (B,) number of each row in the catalogue.

    Returns:
        (B, 3, height, width).

    Examples:
        >>> photo = np.arange(12, dtype=np.uint8).reshape(1, 3, 1, 4)
        >>> row = np.zeros(1, np.int64)
        >>> augment_photos(photo, AugmentationSettings(mirror=1), 0, row, row)[0, 0].tolist()
        [[3, 2, 1, 0]]
    """

    def draw(stream: Stream) -> NDArray[np.float64]:
        return uniform(seed, stream, epochs, rows)

    def around_one(strength: float, stream: Stream) -> NDArray[np.float64]:
        return 1 + strength * (2 * draw(stream) - 1)

    photos = pixels.copy()
    mirrored = draw(Stream.MIRROR) < settings.mirror
    photos[mirrored] = photos[mirrored, :, :, ::-1]
    if settings.scale < 1:
        area = around_one(1 - settings.scale, Stream.AREA)
        aspect = min(_WIDEST, 1 / settings.scale) ** (2 * draw(Stream.ASPECT) - 1)
        height, width = photos.shape[2:]
        vertical = _windows(height, np.sqrt(area / aspect), draw(Stream.DOWN))
        horizontal = _windows(width, np.sqrt(area * aspect), draw(Stream.ACROSS))
        for photo, y, x in zip(photos, vertical, horizontal, strict=True):
            _reframe(photo, y, x)
    if len(photos) and (settings.brightness or settings.contrast or settings.saturation):
        _relight(
            photos,
            brightness=around_one(settings.brightness, Stream.BRIGHTNESS),
            contrast=around_one(settings.contrast, Stream.CONTRAST),
            saturation=around_one(settings.saturation, Stream.SATURATION),
        )
    return photos


def _windows(side: int, share: NDArray[np.float64], draw: NDArray[np.float64]) -> list[list[int]]:
    """What of a photo's side is seen, and where: [start, stop, start, stop], in the photo and in the new one.

    Args:
        side: of the photo, pixels.
        share: (B,) length of the window as a share of the side.
        draw: (B,) where it lies, in [0, 1).
    """
    seen = np.ceil(side * np.minimum(share, 1))  # rounded up: never less than `scale` of the photo is left
    filled = np.ceil(side / np.maximum(share, 1))
    start, to = np.floor(draw * (side - seen + 1)), np.floor(draw * (side - filled + 1))
    places: list[list[int]] = np.stack([start, start + seen, to, to + filled], axis=1).astype(int).tolist()
    return places


def _reframe(photo: NDArray[np.uint8], vertical: list[int], horizontal: list[int]) -> None:
    """Stretch a part of a photo, (3, height, width), over a part of it, and its border over the rest.

    Photo by photo, since torch scales bytes two to four times as fast as `grid_sample` the floats of a batch.
    """
    y, y_stop, top, bottom = vertical
    x, x_stop, left, right = horizontal
    part = torch.from_numpy(photo[None, :, y:y_stop, x:x_stop])
    photo[:, top:bottom, left:right] = F.interpolate(
        part, (bottom - top, right - left), mode="bilinear", antialias=True
    )[0].numpy()
    photo[:, top:bottom, :left] = photo[:, top:bottom, left : left + 1]
    photo[:, top:bottom, right:] = photo[:, top:bottom, right - 1 : right]
    photo[:, :top] = photo[:, top : top + 1]
    photo[:, bottom:] = photo[:, bottom - 1 : bottom]


def _relight(
    photos: NDArray[np.uint8],
    *,
    brightness: NDArray[np.float64],
    contrast: NDArray[np.float64],
    saturation: NDArray[np.float64],
) -> None:
    """Change the colours of photos, (B, 3, height, width), by factors, (B,) each: one linear map per photo."""
    grey = torch.from_numpy(_GREY)
    b, c, s = (torch.from_numpy(factor)[:, None, None] for factor in (brightness, contrast, saturation))
    mixed = _exact(c * b * (s * torch.eye(3) + (1 - s) * grey))
    grey_share = (1 - c) * b / photos[0, 0].size
    size = max(1, _BLOCK // photos[0].size)
    for start in range(0, len(photos), size):
        block = slice(start, start + size)
        colours = torch.from_numpy(photos[block]).float()
        # float32 holds each row's sum exactly, and float64 the photo's.
        total = (colours.sum(dim=3).double().sum(dim=2) @ grey)[:, None, None]
        offset = _exact(grey_share[block] * total).add_(0.5)  # rounds what is cut off below
        relit = torch.baddbmm(offset, mixed[block], colours.flatten(2)).clamp_(0, 255)
        # By numpy, which turns floats into bytes six times as fast as torch.
        np.copyto(photos[block], relit.numpy().reshape(colours.shape), casting="unsafe")


def _exact(factors: Tensor) -> Tensor:
    return (factors / _STEP).round_().mul_(_STEP).float()
