"""A photo as another seller may have taken it: one of the two views that agreement brings together.

Unlike `training.augmentation`, which reframes and relights the photos of masked pairs a little, this changes all that
does not tell which product it is: frame, angle, light, background, sharpness, and what lies in front.
"""

import math
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy import ndimage

_FLAT = 12  # mean distance of a border's pixels from their median, levels, up to which a background is plain
_PLAIN = 10  # levels by which a plain background may differ from that median
_LEAST = 0.02  # of the photo that must be something else for its background to be exchanged


def change_photo(pixels: NDArray[np.uint8], key: int, strength: float = 1.0) -> NDArray[np.uint8]:
    """A random view of a photo: a function of its pixels and the key.

    In this order: before a plain background another colour, darker below; another frame, zoomed, stretched, turned,
    tilted, moved, mirrored or not; blurred, with a box in front; other light, by gamma, gains of the three channels and
    saturation, stronger on one side; noise. Background, mirror, blur, box and noise with a probability each.

    Args:
        pixels: (3, height, width), left as they are.
        key: of the draws.
        strength: probabilities and ranges are multiplied by it, but for sizes of what happens with a probability; at 0
            nothing changes.

    Returns:
        (3, height, width).

    Examples:
        >>> change_photo(np.full((3, 80, 64), 255, np.uint8), key=7).shape
        (3, 80, 64)
    """
    draw = Random(key)  # `random()` of a seed is the same in every version of Python

    def between(low: float, high: float) -> float:
        return strength * (low + (high - low) * draw.random())

    def happens(probability: float) -> bool:
        return draw.random() < probability * strength

    photo, border = pixels, border_colour(pixels)
    if happens(0.5) and border is not None:
        colour = np.array([255 * math.exp(between(-1.2, 0)) for _ in range(3)], np.float32)
        photo = put_before(pixels, border, colour, horizon=1 - 0.5 * draw.random(), darker=between(0, 0.3))
        border = border if photo is pixels else colour
    image = Image.fromarray(np.ascontiguousarray(photo.transpose(1, 2, 0)))
    mapping = frame(
        image.size,
        zoom=math.exp(between(-0.36, 0.18)),
        aspect=math.exp(between(-0.25, 0.25)),
        turn=between(-0.2, 0.2),
        shift=(between(-0.15, 0.15), between(-0.15, 0.15)),
        lean=(between(-0.12, 0.12), between(-0.12, 0.12)),
        mirrored=happens(0.5),
    )
    fill = tuple(int(level) for level in (photo.mean(axis=(1, 2)) if border is None else border))
    bilinear = Image.Resampling.BILINEAR
    image = image.transform(image.size, Image.Transform.PERSPECTIVE, mapping, bilinear, fillcolor=fill)
    if happens(0.4):
        image = image.filter(ImageFilter.BoxBlur(min(image.size) / 50 * draw.random()))
    if happens(0.4):
        cover(image, draw)
    brightness = between(-0.3, 0.14)
    return relight(
        np.asarray(image).transpose(2, 0, 1),
        gamma=math.exp(between(-0.4, 0.4)),
        gains=[math.exp(brightness + between(-0.16, 0.11)) for _ in range(3)],
        saturation=math.exp(between(-0.5, 0.26)),
        fall=(between(-0.3, 0.3), between(-0.3, 0.3)),
        noise=between(2, 12) if happens(0.4) else 0.0,
        key=key,
    )


def border_colour(photo: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """The colour of a plain background, (3,), by the border of a photo, (3, height, width); None where it is not plain.

    Examples:
        >>> border_colour(np.full((3, 8, 8), 240, np.uint8)).tolist()
        [240.0, 240.0, 240.0]
    """
    edges = np.concatenate([photo[:, 0], photo[:, -1], photo[:, :, 0], photo[:, :, -1]], axis=1)
    median = np.median(edges, axis=1).astype(np.float32)
    return median if np.abs(edges - median[:, None]).mean() <= _FLAT else None


def put_before(
    photo: NDArray[np.uint8], old: NDArray[np.float32], new: NDArray[np.float32], *, horizon: float, darker: float
) -> NDArray[np.uint8]:
    """A photo whose plain background, of the old colour, has a new one; where it was shaded it still is.

    What is of the old colour and does not reach the border is no background: white clothes stay white, where an outline
    is around them. A photo with hardly anything else stays as it is.

    Args:
        photo: (3, height, width).
        old: (3,) levels.
        new: (3,) levels.
        horizon: share of the height from which on it is darker.
        darker: by what share.
    """
    height = photo.shape[1]
    levels = photo.astype(np.float32)
    apart = ~joined_to_border(np.abs(levels - old[:, None, None]).max(axis=0) <= _PLAIN)
    if apart.mean() < _LEAST:
        return photo
    outline = Image.fromarray(apart.astype(np.uint8) * 255).filter(ImageFilter.BoxBlur(1))
    product = np.asarray(outline).astype(np.float32) / 255
    shade = np.minimum((levels.min(axis=0) + 1) / (old.min() + 1), 1)
    below = np.clip((np.arange(height, dtype=np.float32) / height - horizon) * 20, 0, 1)
    ground = (1 - product) * shade * (1 - darker * below)[:, None]
    return np.asarray(product * levels + ground * new[:, None, None], np.uint8)


def joined_to_border(marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(height, width) True for the marked pixels from which marked neighbours lead to a photo's border."""
    areas, _ = ndimage.label(marked)
    edges = np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]])
    return np.asarray(np.isin(areas, edges[edges > 0]))


def frame(
    size: tuple[int, int],
    *,
    zoom: float,
    aspect: float,
    turn: float,
    shift: tuple[float, float],
    lean: tuple[float, float],
    mirrored: bool,
) -> list[float]:
    """What Pillow needs to show a photo through another frame: eight numbers of a projection, new pixels to old.

    Args:
        size: width and height.
        zoom: sides of the frame as a share of the photo's, before `aspect`.
        aspect: its width over its height as a multiple of the photo's.
        turn: radians.
        shift: of its middle, as shares of half the sides.
        lean: how much nearer one side is than the other, across and down.
        mirrored: left to right.

    Examples:
        >>> frame((64, 80), zoom=1, aspect=1, turn=0, shift=(0, 0), lean=(0, 0), mirrored=False)[:2]
        [1.0, 0.0]
    """
    half = np.array(size) / 2
    wide, tall = half * zoom * np.array([aspect**0.5, aspect**-0.5])
    cos, sin = math.cos(turn), math.sin(turn)
    to_unit = np.array([[1 / half[0], 0, -1], [0, 1 / half[1], -1], [0, 0, 1]])
    tilted = np.array([[1, 0, 0], [0, 1, 0], [*lean, 1]])
    stretched = np.diag([-wide if mirrored else wide, tall, 1])
    middle = half * (1 + np.array(shift))
    placed = np.array([[cos, -sin, middle[0]], [sin, cos, middle[1]], [0, 0, 1]])
    projection = placed @ stretched @ tilted @ to_unit
    numbers: list[float] = (projection / projection[2, 2]).flatten()[:8].tolist()
    return numbers


def cover(image: Image.Image, draw: Random) -> None:
    """Put a box of one colour in front, 10 to 40 % as wide and 8 to 30 % as tall: a label, a hand, another product."""
    width, height = image.size
    wide, tall = max(1, int(width * (0.1 + 0.3 * draw.random()))), max(1, int(height * (0.08 + 0.22 * draw.random())))
    left, top = int((width - wide + 1) * draw.random()), int((height - tall + 1) * draw.random())
    colour = tuple(int(256 * draw.random()) for _ in range(3))
    image.paste(colour, (left, top, left + wide, top + tall))


def relight(
    photo: NDArray[np.uint8],
    *,
    gamma: float,
    gains: list[float],
    saturation: float,
    fall: tuple[float, float],
    noise: float,
    key: int,
) -> NDArray[np.uint8]:
    """A photo in other light: gain * (grey + saturation * (x - grey)) of each channel x, after a gamma curve.

    Args:
        photo: (3, height, width).
        gamma: exponent of levels between 0 and 1.
        gains: of red, green and blue.
        saturation: factor of what a pixel's channels differ from its grey.
        fall: by what share the light grows from left to right, and downwards.
        noise: standard deviation in levels, uniform in every pixel and channel.
        key: of the noise.
    """
    height, width = photo.shape[1:]
    curve = (255 * (np.arange(256, dtype=np.float32) / 255) ** gamma).astype(np.float32)
    grey = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    mixed = np.array(gains)[:, None] * (saturation * np.eye(3) + (1 - saturation) * grey)
    lit = (mixed.astype(np.float32) @ curve[photo].reshape(3, -1)).reshape(photo.shape)
    across, down = (np.linspace(-0.5, 0.5, side, dtype=np.float32) for side in (width, height))
    lit *= (1 + fall[0] * across) * (1 + fall[1] * down[:, None])
    if noise:
        drawn = np.random.Generator(np.random.PCG64(key)).random(photo.shape, np.float32)
        lit += np.float32(noise * math.sqrt(12)) * (drawn - np.float32(0.5))
    return np.asarray(np.clip(lit + np.float32(0.5), 0, 255), np.uint8)
