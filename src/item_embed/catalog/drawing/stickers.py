"""What sellers put in front of a product or onto its photo: leaves, cards, badges, watermarks."""

from functools import lru_cache

import numpy as np
from PIL import Image

from item_embed.catalog.drawing import shapes
from item_embed.catalog.drawing.painting import paint
from item_embed.catalog.drawing.pen import RGB, Pen
from item_embed.catalog.drawing.products import pick

Box = tuple[int, int, int, int]
_BADGES = (
    ("SALE", (214, 40, 44)),
    ("NEW", (30, 130, 76)),
    ("-20%", (226, 110, 30)),
    ("TOP", (40, 80, 170)),
    ("-35%", (200, 30, 90)),
)
_CARDS = ("only 1 left", "best price", "in stock", "sample")
_LEAVES: tuple[RGB, ...] = ((70, 122, 74), (124, 138, 70), (150, 96, 60))


def meet(a: Box, b: Box) -> bool:
    """Whether two boxes have a pixel in common."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def cover(photo: Image.Image, keep_off: Box | None, random: np.random.Generator) -> None:
    """Put leaves or a card in front, at a corner of the product, but not over the box."""
    size = min(photo.size)
    what, turn = int(random.random() * 6), int(random.random() * 4)
    sticker = _cover_image(what, turn, round(size * 0.42))
    x, y = pick(random, ((0.58, 0.58), (0.02, 0.6), (0.6, 0.04), (0.0, 0.04)))
    _lay(photo, sticker, (round(x * photo.width), round(y * photo.height)), keep_off)


def badge(photo: Image.Image, keep_off: Box | None, random: np.random.Generator) -> None:
    """Stick a badge into a corner, but not over the box."""
    words, colour = pick(random, _BADGES)
    sticker = _badge_image(words, colour, max(8, round(min(photo.size) * 0.23)))
    right, bottom = photo.width - sticker.width - 3, photo.height - sticker.height - 3
    _lay(photo, sticker, pick(random, ((3, 3), (right, 3), (right, bottom))), keep_off)


def watermark(photo: Image.Image, words: str) -> None:
    """Write words across the photo, faintly."""
    photo.paste(Image.new("RGB", photo.size, (255, 255, 255)), (0, 0), _watermark(words, photo.size))


def _lay(photo: Image.Image, sticker: Image.Image, at: tuple[int, int], keep_off: Box | None) -> None:
    box = (*at, at[0] + sticker.width, at[1] + sticker.height)
    if keep_off is None or not meet(box, keep_off):
        photo.paste(sticker, at, sticker)


@lru_cache(maxsize=96)
def _cover_image(what: int, turn: int, side: int) -> Image.Image:
    pen = Pen()
    if what < 3:
        leaf = shapes.smooth((0, 0), (0.2, -0.08), (0.4, -0.03), (0.46, 0), (0.4, 0.03), (0.2, 0.08))
        for degrees in (0, 52, 104):
            c, s = np.cos(np.deg2rad(degrees + 23 * turn)), np.sin(np.deg2rad(degrees + 23 * turn))
            turned = np.array([[c, s], [-s, c]])
            pen.fill(leaf @ turned + (0.5, 0.5), _LEAVES[what], "side")
            pen.line(shapes.polygon((0, 0), (0.42, 0)) @ turned + (0.5, 0.5), 0.01, (226, 226, 200))
    else:
        pen.fill(shapes.box(0.12, 0.32, 0.88, 0.68, 0.03), (250, 248, 240), "down")
        pen.text(_CARDS[turn], (0.5, 0.5), 0.12, (60, 60, 66))
    return _finished(pen, side)


@lru_cache(maxsize=64)
def _badge_image(words: str, colour: RGB, side: int) -> Image.Image:
    pen = Pen()
    pen.fill(shapes.ellipse(0.5, 0.5, 0.48, 0.48), colour)
    pen.text(words, (0.5, 0.5), 0.26, (255, 255, 255), turn=-8)
    return _finished(pen, side)


def _finished(pen: Pen, side: int) -> Image.Image:
    painted = paint(pen.drawing(), np.diag([float(side), side, 1]), (side, side))
    sticker = painted.colours.convert("RGBA")
    sticker.putalpha(painted.cover)
    return sticker


@lru_cache(maxsize=128)
def _watermark(words: str, size: tuple[int, int]) -> Image.Image:
    pen, side = Pen(), float(min(size))
    for y in (0.25, 0.55, 0.85):
        pen.text(words, (0.5 * size[0] / side, y * size[1] / side), 0.075, (255, 255, 255), turn=-20)
    written = paint(pen.drawing(), np.diag([side, side, 1]), size).cover
    return written.point([round(level * 0.34) for level in range(256)])
