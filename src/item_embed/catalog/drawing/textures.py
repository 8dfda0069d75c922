"""Small grey images that are mapped onto a part of a product: patterns, light and shadow, the grain of a material.

Light and shadow are tones: 127 leaves a colour as it is, 0 makes it black, 255 white (as "hard light" mixes them).
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

PATTERNS = ("plain", "stripes", "bars", "diagonal", "dots", "checks", "zigzag", "stars", "blocks")
#: How a material looks.
FINISHES = ("matt", "gloss", "metal", "wood", "weave", "leather", "glass")
NEUTRAL = 127  # the tone that changes nothing; a form and a grain together never come to 0, which is "not painted"
_PATTERN_SIDE = 256
_SMALLEST = 64  # side of the coarsest copy of a texture
_TONE_SIDE = 128

_Grid = NDArray[np.float64]
_Shade = tuple[_Grid, _Grid]  # shadow and light, each from 0 to 1


def fitting_side(pixels: float) -> int:
    """The side of the copy of a texture that is mapped onto about so many pixels.

    A fine texture that is picked from pixel by pixel makes a small photo glitter, so small photos take coarse copies.
    """
    side = _PATTERN_SIDE
    while side > _SMALLEST and side > 1.5 * pixels:
        side //= 2
    return side


@lru_cache(maxsize=512)
def pattern(name: str, repeats: int, side: int = _PATTERN_SIDE) -> Image.Image:
    """Where the second colour lies (255) on the unit square.

    Args:
        name: one of `PATTERNS`, not "plain".
        repeats: how often the motif comes across the square.
        side: of the image, pixels: 256, 128 or 64.
    """
    if side < _PATTERN_SIDE:
        return pattern(name, repeats).reduce(_PATTERN_SIDE // side)
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


@lru_cache(maxsize=128)
def tone(shade: str, finish: str = "") -> Image.Image:
    """How light and shadow fall on a part, on the square around it.

    Args:
        shade: the part's form: "cylinder", "ball", "cloth", "gloss", "down", "up" or "side" (the side that lies
            darker), or "" for a flat part.
        finish: one of `FINISHES`, or "" for no sign of the material.
    """
    line = (np.arange(_TONE_SIDE) + 0.5) / _TONE_SIDE
    u, v = np.meshgrid(line, line)
    shadow, light = _SHADES[shade](u, v)
    if finish in _SHEENS:
        shadow, light = _SHEENS[finish](u, v, (shadow, light))
    return _as_tone(np.minimum(shadow, 0.5), light)


@lru_cache(maxsize=32)
def grain(finish: str, side: int = _PATTERN_SIDE) -> Image.Image | None:
    """The surface of a material on the unit square, as a tone, or None where it is smooth.

    Args:
        finish: one of `FINISHES`, or "".
        side: of the image, pixels: 256, 128 or 64.
    """
    if finish not in _GRAINS:
        return None
    if side < _PATTERN_SIDE:
        fine = grain(finish)
        return fine and fine.reduce(_PATTERN_SIDE // side)
    random = np.random.Generator(np.random.PCG64(7))
    line = (np.arange(_PATTERN_SIDE) + 0.5) / _PATTERN_SIDE
    u, v = np.meshgrid(line, line)
    relief = _GRAINS[finish](u, v, random)
    return _as_tone(np.clip(-relief, 0, 0.46), np.clip(relief, 0, 1))


def _as_tone(shadow: _Grid, light: _Grid) -> Image.Image:
    levels = NEUTRAL * (1 - shadow) + (255 - NEUTRAL) * light
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


def _flat(u: _Grid, v: _Grid) -> _Shade:
    return np.zeros_like(u), np.zeros_like(u)


def _cylinder(u: _Grid, v: _Grid) -> _Shade:
    shadow = 0.5 * np.clip((u - 0.5) / 0.5, 0, 1) ** 1.6 + 0.28 * np.clip((0.16 - u) / 0.16, 0, 1)
    return shadow, 0.32 * np.exp(-(((u - 0.27) / 0.1) ** 2))


def _ball(u: _Grid, v: _Grid) -> _Shade:
    distance = np.hypot(u - 0.34, v - 0.28)
    return 0.52 * np.clip((distance - 0.28) / 0.62, 0, 1) ** 1.3, 0.36 * np.exp(-((distance / 0.17) ** 2))


def _cloth(u: _Grid, v: _Grid) -> _Shade:
    folds = np.sin(7 * u + 2.5 * v) * np.sin(2.2 * v + 0.6) * np.clip(v, 0, 1)
    return 0.04 + 0.14 * np.clip(folds, 0, 1) + 0.16 * np.abs(2 * u - 1) ** 3, 0.12 * np.clip(-folds, 0, 1)


def _gloss(u: _Grid, v: _Grid) -> _Shade:
    band = np.abs(u + 0.55 * v - 0.55)
    return 0.22 * v, 0.4 * np.clip(1 - band / 0.16, 0, 1)


def _down(u: _Grid, v: _Grid) -> _Shade:
    return 0.34 * v, np.zeros_like(u)


def _up(u: _Grid, v: _Grid) -> _Shade:
    return 0.34 * (1 - v), np.zeros_like(u)


def _side(u: _Grid, v: _Grid) -> _Shade:
    return 0.34 * u, np.zeros_like(u)


_SHADES: dict[str, Callable[[_Grid, _Grid], _Shade]] = {
    "": _flat,
    "cylinder": _cylinder,
    "ball": _ball,
    "cloth": _cloth,
    "gloss": _gloss,
    "down": _down,
    "up": _up,
    "side": _side,
}


def _matt_sheen(u: _Grid, v: _Grid, form: _Shade) -> _Shade:
    """No lights: what falls on it is scattered."""
    return 0.8 * form[0] + 0.05, 0.18 * form[1]


def _gloss_sheen(u: _Grid, v: _Grid, form: _Shade) -> _Shade:
    """A window, a narrow lamp and the ceiling's edge, mirrored with hard edges."""
    bent = u - 0.1 * np.sin(np.pi * v)
    window = _between(bent, 0.13, 0.24) * _between(v, 0.1, 0.62) * (1 - 0.8 * _between(v, 0.34, 0.375))
    lamp = _between(bent, 0.76, 0.8) * _between(v, 0.12, 0.86)
    ceiling = _between(v + 0.05 * (2 * u - 1) ** 2, 0.02, 0.085) * _between(u, 0.12, 0.72)
    return form[0] * 1.1, np.maximum(form[1], 0.78 * window + 0.5 * lamp + 0.6 * ceiling)


def _metal_sheen(u: _Grid, v: _Grid, form: _Shade) -> _Shade:
    """Bands of a bright and a dark room."""
    room = np.cos(2 * np.pi * (2.1 * u + 0.18 * v - 0.32)) + 0.45 * np.cos(2 * np.pi * (4.7 * u - 0.1))
    return 0.45 * form[0] + 0.5 * np.clip(-room, 0, 1) ** 1.2, 0.72 * np.clip(room, 0, 1) ** 1.6


def _leather_sheen(u: _Grid, v: _Grid, form: _Shade) -> _Shade:
    """A broad soft light, and edges that are worn darker."""
    edge = np.maximum(np.abs(2 * u - 1), np.abs(2 * v - 1)) ** 6
    return 0.85 * form[0] + 0.22 * edge, 0.24 * np.exp(-(((u - 0.36) / 0.22) ** 2) - ((v - 0.3) / 0.3) ** 2)


def _glass_sheen(u: _Grid, v: _Grid, form: _Shade) -> _Shade:
    """Bright rims where the wall is seen along, and a hard light."""
    rim = np.clip((np.maximum(np.abs(2 * u - 1), 0.9 * np.abs(2 * v - 1)) - 0.74) / 0.26, 0, 1)
    streak = _between(u + 0.12 * v, 0.24, 0.33) * _between(v, 0.12, 0.8)
    second = _between(u + 0.12 * v, 0.37, 0.39) * _between(v, 0.16, 0.7)
    return 0.25 * form[0] + 0.3 * np.clip(rim * 2 - 1.2, 0, 1), np.maximum(0.85 * streak + 0.7 * second, 0.55 * rim)


def _between(x: _Grid, low: float, high: float, soft: float = 0.012) -> _Grid:
    """1 from low to high, 0 elsewhere, with a short way between."""
    return np.clip((x - low) / soft, 0, 1) * np.clip((high - x) / soft, 0, 1)


_SHEENS: dict[str, Callable[[_Grid, _Grid, _Shade], _Shade]] = {
    "matt": _matt_sheen,
    "gloss": _gloss_sheen,
    "metal": _metal_sheen,
    "wood": _matt_sheen,
    "weave": _matt_sheen,
    "leather": _leather_sheen,
    "glass": _glass_sheen,
}


def _matt_grain(u: _Grid, v: _Grid, random: np.random.Generator) -> _Grid:
    half = _PATTERN_SIDE // 2
    specks = 0.085 * random.standard_normal((half, half)).repeat(2, 0).repeat(2, 1)
    return np.where(specks > 0, 1.8 * specks, specks)


def _metal_grain(u: _Grid, v: _Grid, random: np.random.Generator) -> _Grid:
    """Fine lines across, as a brush leaves them."""
    lines = random.standard_normal((u.shape[0], 4))
    return 0.1 * lines[:, (u[0] * 4).astype(int)]


def _wood_grain(u: _Grid, v: _Grid, random: np.random.Generator) -> _Grid:
    """Year rings cut lengthwise, about two knots, and fine pores."""
    bend = 0.02 * np.sin(3.4 * u + 1) + 0.006 * np.sin(13 * u)
    for x, y in ((0.34, 0.33), (0.62, 0.71)):
        around = np.exp(-(((u - x) / 0.1) ** 2) - np.abs(v - y) / 0.12)
        bend = bend + 0.035 * np.tanh((v - y) / 0.015) * around
    rings = np.abs(np.sin(np.pi * 15 * (v + bend) + 2.6 * np.sin(5 * v))) ** 0.55
    pores = random.standard_normal((u.shape[0], 12))[:, (u[0] * 12).astype(int)]
    return 0.62 * (rings - 0.86) + 0.09 * pores


def _weave_grain(u: _Grid, v: _Grid, random: np.random.Generator) -> _Grid:
    """Broad threads that go over and under each other."""
    threads = 36
    over = (np.floor(u * threads) + np.floor(v * threads)) % 2
    across, down = (np.abs(np.sin(np.pi * threads * x)) for x in (u, v))
    return np.where(over > 0, 0.5 * across - 0.42, 0.5 * down - 0.2) - 0.06


def _leather_grain(u: _Grid, v: _Grid, random: np.random.Generator) -> _Grid:
    """Pebbles parted by dark creases: the two nearest of jittered centres are as far."""
    cells = 40
    jitter = random.random((cells, cells, 2))
    column, row = (u * cells).astype(int), (v * cells).astype(int)
    distances = []
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            at = jitter[(row + j) % cells, (column + i) % cells]
            distances.append(np.hypot(column + i + at[..., 0] - u * cells, row + j + at[..., 1] - v * cells))
    nearest = np.sort(np.stack(distances), axis=0)
    return np.asarray(0.42 * np.clip((nearest[1] - nearest[0]) * 2.2, 0, 1) - 0.27)


_GRAINS: dict[str, Callable[[_Grid, _Grid, np.random.Generator], _Grid]] = {
    "matt": _matt_grain,
    "metal": _metal_grain,
    "wood": _wood_grain,
    "weave": _weave_grain,
    "leather": _leather_grain,
}
