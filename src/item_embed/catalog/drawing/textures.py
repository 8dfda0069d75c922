"""Small grey images that a pen maps onto a part of a product: patterns, and where light and shadow fall."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

PATTERNS = ("plain", "stripes", "bars", "diagonal", "dots", "checks", "zigzag", "stars", "blocks")
_PATTERN_SIDE = 256
_SHADE_SIDE = 48


@lru_cache(maxsize=128)
def pattern(name: str, repeats: int) -> Image.Image:
    """Where the second colour lies (255) on the unit square.

    Args:
        name: one of `PATTERNS`, not "plain".
        repeats: how often the motif comes across the square.
    """
    image = Image.new("L", (_PATTERN_SIDE, _PATTERN_SIDE))
    draw = ImageDraw.Draw(image)
    step = _PATTERN_SIDE / repeats
    _DRAWN[name](draw, repeats, step)
    return image


def _stripes(draw: ImageDraw.ImageDraw, repeats: int, step: float) -> None:
    for i in range(repeats):
        draw.rectangle((0, i * step, _PATTERN_SIDE, (i + 0.45) * step), fill=255)


def _bars(draw: ImageDraw.ImageDraw, repeats: int, step: float) -> None:
    for i in range(repeats):
        draw.rectangle((i * step, 0, (i + 0.45) * step, _PATTERN_SIDE), fill=255)


def _diagonal(draw: ImageDraw.ImageDraw, repeats: int, step: float) -> None:
    for i in range(-repeats, repeats):
        x, width = i * step, 0.5 * step
        top, bottom = x + _PATTERN_SIDE, 0.0
        draw.polygon([(x, _PATTERN_SIDE), (x + width, _PATTERN_SIDE), (top + width, bottom), (top, bottom)], fill=255)


def _dots(draw: ImageDraw.ImageDraw, repeats: int, step: float) -> None:
    r = 0.27 * step
    for row in range(2 * repeats):
        for column in range(repeats + 1):
            x, y = (column + 0.5 * (row % 2)) * step, (row / 2 + 0.25) * step
            draw.ellipse((x - r, y - r, x + r, y + r), fill=255)


def _checks(draw: ImageDraw.ImageDraw, repeats: int, step: float) -> None:
    for i in range(repeats):
        for j in range(repeats):
            half = 0.5 * step
            x, y = i * step, j * step
            draw.rectangle((x, y, x + half, y + half), fill=255)
            draw.rectangle((x + half, y, x + step, y + half), fill=110)
            draw.rectangle((x, y + half, x + half, y + step), fill=110)


def _zigzag(draw: ImageDraw.ImageDraw, repeats: int, step: float) -> None:
    width = max(3, round(0.3 * step))
    for row in range(repeats + 1):
        teeth = [(i * step / 2, row * step + (0.4 * step if i % 2 else 0)) for i in range(-1, 2 * repeats + 2)]
        draw.line(teeth, fill=255, width=width, joint="curve")


def _stars(draw: ImageDraw.ImageDraw, repeats: int, step: float) -> None:
    angles = np.deg2rad(np.arange(10) * 36 - 90)
    radii = np.where(np.arange(10) % 2 == 0, 0.36, 0.15) * step
    star = np.stack([np.cos(angles) * radii, np.sin(angles) * radii], axis=1)
    for row in range(repeats):
        for column in range(repeats + 1):
            centre = np.array([(column + 0.5 * (row % 2)) * step, (row + 0.5) * step])
            draw.polygon((star + centre).ravel().tolist(), fill=255)


def _blocks(draw: ImageDraw.ImageDraw, repeats: int, step: float) -> None:
    edge = _PATTERN_SIDE * (0.44 + 0.02 * repeats)
    draw.rectangle((0, edge, _PATTERN_SIDE, _PATTERN_SIDE), fill=255)


_DRAWN = {
    "stripes": _stripes,
    "bars": _bars,
    "diagonal": _diagonal,
    "dots": _dots,
    "checks": _checks,
    "zigzag": _zigzag,
    "stars": _stars,
    "blocks": _blocks,
}


@lru_cache(maxsize=32)
def shade(name: str) -> tuple[Image.Image | None, Image.Image | None]:
    """Where a part lies in shadow and where it catches light, on the square around the part.

    Args:
        name: "cylinder", "ball", "cloth", "gloss", or a side that lies darker: "down", "up", "side" (right).
    """
    line = (np.arange(_SHADE_SIDE) + 0.5) / _SHADE_SIDE
    u, v = np.meshgrid(line, line)
    shadow, light = _SHADES[name](u, v)
    return _grey(shadow), _grey(light)


_Shade = tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]
_Grid = NDArray[np.float64]


def _cylinder(u: _Grid, v: _Grid) -> _Shade:
    shadow = 0.5 * np.clip((u - 0.5) / 0.5, 0, 1) ** 1.6 + 0.28 * np.clip((0.16 - u) / 0.16, 0, 1)
    return shadow, 0.42 * np.exp(-(((u - 0.27) / 0.09) ** 2))


def _ball(u: _Grid, v: _Grid) -> _Shade:
    distance = np.hypot(u - 0.34, v - 0.28)
    return 0.55 * np.clip((distance - 0.28) / 0.62, 0, 1) ** 1.3, 0.5 * np.exp(-((distance / 0.15) ** 2))


def _cloth(u: _Grid, v: _Grid) -> _Shade:
    folds = np.sin(7 * u + 2.5 * v) * np.sin(2.2 * v + 0.6) * np.clip(v, 0, 1)
    return 0.1 + 0.14 * np.clip(folds, 0, 1) + 0.14 * np.abs(2 * u - 1) ** 3, 0.12 * np.clip(-folds, 0, 1)


def _gloss(u: _Grid, v: _Grid) -> _Shade:
    band = np.abs(u + 0.55 * v - 0.55)
    return 0.25 * v, 0.45 * np.clip(1 - band / 0.16, 0, 1)


def _down(u: _Grid, v: _Grid) -> _Shade:
    return 0.36 * v, None


def _up(u: _Grid, v: _Grid) -> _Shade:
    return 0.36 * (1 - v), None


def _side(u: _Grid, v: _Grid) -> _Shade:
    return 0.36 * u, None


_SHADES = {
    "cylinder": _cylinder,
    "ball": _ball,
    "cloth": _cloth,
    "gloss": _gloss,
    "down": _down,
    "up": _up,
    "side": _side,
}


def _grey(levels: NDArray[np.float64] | None) -> Image.Image | None:
    return None if levels is None else Image.fromarray(np.clip(levels * 255, 0, 255).astype(np.uint8))
