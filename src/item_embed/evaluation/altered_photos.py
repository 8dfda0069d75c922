"""Photos altered as cameras, sellers and websites alter them.

Each alteration is a pure function of (photo, strength, key): equal arguments give equal pixels, in any process. A photo
is an RGB image of any size; so is what comes back, of the same size unless it was turned. Strength 0 changes nothing.
No code is shared with the augmentations of training, so that a mistake there does not hide here.
"""

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from item_embed.hashing import uniform

_CROP, _TURN, _COVER, _COLOUR, _PATCHES = range(301, 306)  # streams that nothing else uses
_GREY = (128, 128, 128)
_FLAT_SHARE = 0.9  # of the border's pixels, that must be of its colour for the photo to have a background
_BACKGROUND = 24  # levels by which a pixel of the background may differ from the border's colour, in any channel


def crop(image: Image.Image, share: float, key: int) -> Image.Image:
    """A photo of which a share of the area is cut away: a window of its shape at a drawn place, at the photo's size.

    Examples:
        >>> crop(Image.new("RGB", (60, 80)), 0.5, key=7).size
        (60, 80)
    """
    if share <= 0:
        return image
    box = _box(image, 1 - share, key, _CROP)
    return image.crop(box).resize(image.size, Image.Resampling.BICUBIC)


def rotate(image: Image.Image, degrees: float, key: int) -> Image.Image:
    """A photo turned to the side that is drawn, whole, with its border's colour in the corners.

    It grows by what its corners need; turned by 90 degrees, its sides change places.
    """
    angle = degrees if uniform(key, _TURN) < 0.5 else -degrees
    fill = tuple(int(channel) for channel in border_colour(image))
    return image.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=fill) if degrees else image


def cover(image: Image.Image, share: float, key: int) -> Image.Image:
    """A photo behind a grey box of its shape, which hides a share of its area at a drawn place."""
    altered = image.copy()
    if share > 0:
        altered.paste(_GREY, _box(image, share, key, _COVER))
    return altered


def blur(image: Image.Image, share: float, key: int = 0) -> Image.Image:
    """A photo blurred by a Gaussian whose standard deviation is a share of its short side."""
    return image.filter(ImageFilter.GaussianBlur(share * min(image.size)))


def compress(image: Image.Image, loss: float, key: int = 0) -> Image.Image:
    """A photo as JPEG of quality 100 - `loss` (Pillow's scale) keeps it; 0 leaves it as it is."""
    if loss <= 0:
        return image
    file = io.BytesIO()
    image.save(file, "JPEG", quality=max(1, round(100 - loss)))
    return Image.open(file).convert("RGB")


def recolour_background(image: Image.Image, share: float, key: int) -> Image.Image:
    """A photo whose flat background takes a share of the way to a drawn colour.

    Background are the pixels near the border's colour that hang together with the border. They are shifted, not
    painted over, so their noise and shadows stay. The drawn colour differs from the border's by 64 levels or more
    in every channel. A photo without a flat border comes back as it is.
    """
    if share <= 0 or not has_flat_border(image):
        return image
    old = border_colour(image)
    new = np.floor(old + 64 + 128 * uniform(key, _COLOUR, np.arange(3))) % 256
    pixels = np.asarray(image)
    shifted = np.clip(pixels + np.round(share * (new - old)), 0, 255).astype(np.uint8)
    return Image.fromarray(np.where(background(image)[..., None], shifted, pixels))


def hide_patches(
    image: Image.Image, share: float, key: int, frame: tuple[int, int] = (224, 224), patch: int = 16
) -> Image.Image:
    """A photo of which a share of the patches is painted white, as the frame around it and empty background are.

    Args:
        image: the photo.
        share: of the patches that show some of the photo.
        key: which.
        frame: height and width that the model fits photos into, in the middle.
        patch: side of its patches, pixels of the frame.

    Examples:
        >>> white = np.asarray(hide_patches(Image.new("RGB", (64, 80)), 0.5, 7, (80, 64))) == 255
        >>> float(white.mean())
        0.5
    """
    pixels = np.array(image)
    down, across = (_patches_of(pixels.shape[:2], frame, patch, axis) for axis in (0, 1))
    cells = down[:, None] * (frame[1] // patch + 1) + across  # (height, width): the patch of each pixel
    shown = np.unique(cells)
    order = np.argsort(uniform(key, _PATCHES, shown), kind="stable")
    hidden = shown[order[: int(share * len(shown) + 0.5)]]
    pixels[np.isin(cells, hidden)] = 255
    return Image.fromarray(pixels)


def border_colour(image: Image.Image) -> NDArray[np.float64]:
    """The median colour, (3,), of a photo's outermost pixels."""
    return np.asarray(np.floor(np.median(_border(np.asarray(image)), axis=0)))


def has_flat_border(image: Image.Image) -> bool:
    """Whether nine tenths of a photo's outermost pixels have nearly one colour: it has a background to exchange."""
    border = _border(np.asarray(image))
    return bool(_near(border, border_colour(image)).mean() >= _FLAT_SHARE)


def background(image: Image.Image, levels: int = _BACKGROUND) -> NDArray[np.bool_]:
    """(height, width) True where a pixel has nearly the border's colour and hangs together with the border.

    Args:
        image: the photo.
        levels: by which a pixel may differ from the border's colour, in any channel.
    """
    return joined_to_border(_near(np.asarray(image), border_colour(image), levels))


def joined_to_border(marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(height, width) True for the marked pixels from which marked neighbours lead to a photo's border."""
    reached = marked.copy()
    reached[1:-1, 1:-1] = False
    while True:
        grown = _along_rows(_along_rows(reached, marked).T, marked.T).T
        if (grown == reached).all():
            return grown
        reached = grown


def _along_rows(reached: NDArray[np.bool_], near: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Reach the rest of every run of near pixels, row by row, of which a pixel is reached."""
    height, width = near.shape
    runs = np.cumsum(~near, axis=1) + np.arange(height)[:, None] * (width + 1)  # a wall begins a run of its own
    hit = np.zeros(height * (width + 1), np.bool_)
    hit[runs[reached]] = True
    return np.asarray(hit[runs] & near)


def _near(pixels: NDArray[np.uint8], colour: NDArray[np.float64], levels: int = _BACKGROUND) -> NDArray[np.bool_]:
    return np.asarray((np.abs(pixels - colour) <= levels).all(axis=-1))


def _border(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])


def _box(image: Image.Image, share: float, key: int, stream: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a box of the photo's shape with a share of its area, at a drawn place."""
    sides = [max(1, round(side * math.sqrt(share))) for side in image.size]
    draws = uniform(key, stream, np.arange(2))
    left, top = (int(draw * (whole - side + 1)) for draw, whole, side in zip(draws, image.size, sides, strict=True))
    return left, top, left + sides[0], top + sides[1]


def _patches_of(size: tuple[int, ...], frame: tuple[int, int], patch: int, axis: int) -> NDArray[np.int64]:
    """(side,) in which row or column of patches each row or column of a photo's pixels lies, once fitted."""
    scale = min(frame[0] / size[0], frame[1] / size[1])
    first = (frame[axis] - size[axis] * scale) / 2
    return ((first + (np.arange(size[axis]) + 0.5) * scale) // patch).astype(np.int64)
