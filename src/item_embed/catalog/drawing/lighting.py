"""The light of a photo, and what the camera makes of it: brightness, contrast, colour cast, falls of light, grain."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops

Size = tuple[int, int]  # width, height
_FIELD_SIDE = 24
_NOISE_SIDE = 640  # of the sheet of noise that photos are laid on


def exposed(photo: Image.Image, gain: float, gamma: float, cast: tuple[float, float, float]) -> Image.Image:
    """The photo with another brightness, contrast and colour of light."""
    levels = np.linspace(0, 1, 256) ** gamma
    table = np.clip(255 * gain * np.multiply.outer(cast, levels), 0, 255)
    return photo.point(table.astype(int).ravel().tolist())


def fallen_on(photo: Image.Image, direction: int, fall: float, vignette: float) -> Image.Image:
    """The photo with light that comes from one of eight directions and loses `fall` on its way, and dark corners."""
    steps = round(20 * fall), round(20 * vignette)
    if steps == (0, 0):
        return photo
    return ImageChops.multiply(photo, _field(photo.size, direction % 8, *steps))


@lru_cache(maxsize=128)
def _field(size: Size, direction: int, fall: int, vignette: int) -> Image.Image:
    line = np.linspace(-1, 1, _FIELD_SIDE)
    x, y = np.meshgrid(line, line)
    angle = direction * np.pi / 4
    away = (1 + x * np.cos(angle) + y * np.sin(angle)) / 2
    levels = (1 - fall / 20 * np.clip(away, 0, 1.2)) * (1 - vignette / 20 * (x**2 + y**2) ** 1.5 / 2.8)
    grey = Image.fromarray(np.clip(255 * levels, 0, 255).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    return Image.merge("RGB", (grey, grey, grey))


def softened(photo: Image.Image, radius: float) -> Image.Image:
    """The photo out of focus, by a radius in pixels.

    It is laid over itself, moved by one pixel, by two, by four: a tenth of the work of a blur of any radius.
    """
    for step in (1, 2, 4, 8):
        if radius > 0.75 * step - 0.4:
            for move in ((step, 0), (0, step)):
                moved = photo.copy()
                moved.paste(photo, move)
                photo = Image.blend(photo, moved, 0.5)
    return photo


def grained(photo: Image.Image, deviation: float, across: float, down: float) -> Image.Image:
    """The photo with a sensor's noise of so many grey levels; `across` and `down`, from 0 to 1, say which noise."""
    width, height = photo.size
    side = max(_NOISE_SIDE, width + 64, height + 64)
    left, top = int((side - width) * across), int((side - height) * down)
    veil = _noise(side).crop((left, top, left + width, top + height))
    return Image.blend(photo, veil, min(1.0, deviation / 74))  # 74: the deviation of uniform noise on 0..255


@lru_cache(maxsize=4)
def _noise(side: int) -> Image.Image:
    random = np.random.Generator(np.random.PCG64(11))
    grey = random.integers(0, 256, (side, side), np.uint8)
    coloured = random.integers(0, 256, (side, side, 3), np.uint8)
    return Image.fromarray((0.8 * grey[..., None] + 0.2 * coloured).astype(np.uint8))
