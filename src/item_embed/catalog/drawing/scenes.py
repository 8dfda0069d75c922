"""Where sellers photograph: a backdrop, a sweep of paper, a surface seen from above, a table before a wall."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from item_embed.catalog.drawing.pen import RGB, darker, lighter, mix

_HORIZON = 0.62  # where the wall meets the table, from the top
_ROOM = 1.25  # a scene is this much larger than a photo, so that each photo can be of another spot
_STOOD_ON = ("sweep", "table")
_LEAF: RGB = (92, 128, 92)
_CLAY: RGB = (200, 120, 90)

Size = tuple[int, int]  # width, height


@dataclass(frozen=True)
class Scene:
    """A seller's place.

    Attributes:
        backdrop: "plain", "graded" (light above), "sweep" (of paper), "surface" (seen from above) or "table"
            (before a wall).
        surface: "wood", "linen", "marble" or "concrete".
        wall: colour of a plain or graded backdrop and of the wall.
        ground: colour of the surface.
        number: keys the grain of the surface and what stands about.
    """

    backdrop: str
    surface: str
    wall: RGB
    ground: RGB
    number: int


def spot(scene: Scene, size: Size, across: float, down: float) -> Image.Image:
    """A photo's part of the scene; `across` and `down`, from 0 to 1, say which spot.

    A table is met at the same height in every photo, or products would float.
    """
    if scene.backdrop == "plain":
        return Image.new("RGB", size, scene.wall)
    image = scenery(scene, size)
    left = round((image.width - size[0]) * across)
    top = round((image.height - size[1]) * (0.5 if scene.backdrop in _STOOD_ON else down))
    return image.crop((left, top, left + size[0], top + size[1]))


@lru_cache(maxsize=96)
def scenery(scene: Scene, size: Size) -> Image.Image:
    """The empty scene, `_ROOM` times as large as a photo of `size` pixels."""
    width, height = round(size[0] * _ROOM), round(size[1] * _ROOM)
    if scene.backdrop == "graded":
        return _graded(lighter(scene.wall, 0.5), darker(scene.wall, 0.12), width, height)
    if scene.backdrop == "sweep":
        return _sweep(scene.wall, width, height)
    random = np.random.Generator(np.random.PCG64(scene.number))
    if scene.backdrop == "surface":
        return _surface(scene, (width, height), random)
    horizon = round(height * _HORIZON)
    image = _graded(lighter(scene.wall, 0.15), scene.wall, width, horizon, height=height)
    _furnish(image, scene, horizon, random)
    image.paste(_surface(scene, (width, height - horizon), random), (0, horizon))
    ImageDraw.Draw(image).line((0, horizon, width, horizon), fill=darker(scene.ground, 0.35), width=2)
    return image


def _sweep(wall: RGB, width: int, height: int) -> Image.Image:
    """A sheet of paper that hangs down and runs out towards the camera: darkest where it bends."""
    run = np.linspace(0, 1, height)[:, None]
    bend = np.exp(-(((run - _HORIZON) / 0.16) ** 2))
    column = np.asarray(lighter(wall, 0.35)) * (1 - bend) + np.asarray(darker(wall, 0.14)) * bend
    return Image.fromarray(column.astype(np.uint8)[:, None, :]).resize((width, height))


def _graded(top: RGB, bottom: RGB, width: int, depth: int, height: int = 0) -> Image.Image:
    """A vertical run of colours over `depth` rows; the last one goes on to `height`."""
    share = np.clip(np.arange(height or depth) / depth, 0, 1)[:, None]
    column = (np.asarray(top) * (1 - share) + np.asarray(bottom) * share).astype(np.uint8)
    return Image.fromarray(column[:, None, :]).resize((width, height or depth))


def _surface(scene: Scene, size: Size, random: np.random.Generator) -> Image.Image:
    grain = np.asarray(_GRAINS[scene.surface](random, size))
    tones = np.linspace(0, 1, 256)[:, None]
    dark, light = np.asarray(darker(scene.ground, 0.3)), np.asarray(lighter(scene.ground, 0.25))
    return Image.fromarray((dark * (1 - tones) + light * tones).astype(np.uint8)[grain])


def _noise(random: np.random.Generator, size: Size, hills: Size, spread: float) -> Image.Image:
    """Smooth grey noise with so many hills across and down."""
    heights = np.clip(128 + spread * random.standard_normal(hills[::-1]), 0, 255).astype(np.uint8)
    return Image.fromarray(heights).resize(size, Image.Resampling.BICUBIC)


def _wood(random: np.random.Generator, size: Size) -> Image.Image:
    width, height = size
    grain = _noise(random, size, (5, max(8, height // 3)), 34)
    draw = ImageDraw.Draw(grain)
    for y in np.linspace(0, height, max(2, round(height / width * 5)) + 1)[1:-1].tolist():
        draw.line((0, y, width, y), fill=20, width=max(1, width // 110))
    return grain


def _linen(random: np.random.Generator, size: Size) -> Image.Image:
    return Image.blend(_noise(random, size, (6, size[1]), 26), _noise(random, size, (size[0], 6), 26), 0.5)


def _marble(random: np.random.Generator, size: Size) -> Image.Image:
    waves = np.asarray(_noise(random, size, (6, 6), 44), np.float64) / 255
    run = np.linspace(0, 4, size[0])[None, :] + np.linspace(0, 2.6, size[1])[:, None]
    veins = 1 - np.abs(np.sin(4 * waves + run))
    clouds = np.asarray(_noise(random, size, (4, 4), 12), np.float64) - 128
    return Image.fromarray(
        np.clip(196 + clouds - 120 * np.clip(veins - 0.8, 0, 1) / 0.2 * waves, 0, 255).astype(np.uint8)
    )


def _concrete(random: np.random.Generator, size: Size) -> Image.Image:
    fine = (max(1, size[0] // 2), max(1, size[1] // 2))
    return Image.blend(_noise(random, size, (9, 9), 40), _noise(random, size, fine, 34), 0.5)


def _furnish(image: Image.Image, scene: Scene, horizon: int, random: np.random.Generator) -> None:
    """Hang a picture on the wall and put a plant before it, both out of focus."""
    draw, size = ImageDraw.Draw(image), image.width
    left = size * random.uniform(0.1, 0.75)
    frame = (left, size * 0.08, left + size * 0.22, size * 0.36)
    edge = mix(scene.wall, (90, 80, 70), 0.35)
    draw.rectangle(frame, fill=lighter(scene.wall, 0.4), outline=edge, width=max(1, size // 60))
    x = size * (random.choice([0.08, 0.86]) + random.uniform(-0.03, 0.03))
    pot, half = horizon - size * 0.12, size * 0.05
    for lean in (-0.08, -0.024, 0.032, 0.088):
        bend, tip = x + lean * size, x + 1.4 * lean * size
        leaf = [
            (x, pot),
            (bend - half / 2, pot - size * 0.12),
            (tip, pot - size * 0.2),
            (bend + half / 2, pot - size * 0.08),
        ]
        draw.polygon(leaf, fill=_LEAF)
    draw.rectangle((x - half, pot, x + half, horizon), fill=mix(scene.ground, _CLAY, 0.5))
    image.paste(image.filter(ImageFilter.GaussianBlur(size / 90)))


_GRAINS = {"wood": _wood, "linen": _linen, "marble": _marble, "concrete": _concrete}
