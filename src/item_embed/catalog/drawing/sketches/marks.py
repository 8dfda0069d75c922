"""The signs that brands put on their products."""

import numpy as np

from item_embed.catalog.drawing.pen import RGB, Pen, brightness
from item_embed.catalog.drawing.shapes import Outline, Point, ellipse, polygon, smooth

INK: RGB = (30, 30, 34)
PAPER: RGB = (246, 245, 242)


def contrast(colour: RGB) -> RGB:
    """Ink or paper, whichever can be read on the colour."""
    return INK if brightness(colour) > 0.5 else PAPER


def sign(pen: Pen, name: str, centre: Point, size: float, colour: RGB) -> None:
    """Draw a brand's sign about a centre; `size` is its radius."""
    for outline in SIGNS[name]:
        pen.fill(outline * size + np.asarray(centre), colour, edge=False)


def _spokes(count: int, outer: float, inner: float) -> Outline:
    angles = np.arange(2 * count) * np.pi / count - np.pi / 2
    radii = np.where(np.arange(2 * count) % 2 == 0, outer, inner)
    return np.stack([np.cos(angles) * radii, np.sin(angles) * radii], axis=1)


SIGNS: dict[str, tuple[Outline, ...]] = {
    "drop": (smooth((0, -1.1), (0.5, -0.1), (0.6, 0.5), (0, 1), (-0.6, 0.5), (-0.5, -0.1)),),
    "ring": (np.concatenate([ellipse(0, 0, 1, 1), ellipse(0, 0, 0.55, 0.55)[::-1]]),),
    "triangle": (polygon((0, -1), (1, 0.8), (-1, 0.8)),),
    "bars": tuple(
        polygon((x, -h), (x + 0.4, -h), (x + 0.4, 0.9), (x, 0.9)) for x, h in ((-1, 0.1), (-0.2, 0.9), (0.6, 0.4))
    ),
    "diamond": (polygon((0, -1.1), (0.8, 0), (0, 1.1), (-0.8, 0)),),
    "chevron": tuple(
        polygon((-1, y + 0.5), (0, y - 0.4), (1, y + 0.5), (1, y + 0.95), (0, y + 0.05), (-1, y + 0.95))
        for y in (-0.65, 0.15)
    ),
    "leaf": (smooth((-0.9, 0.9), (-0.7, -0.3), (0.9, -0.9), (0.4, 0.6)),),
    "square": (polygon((-0.85, -0.85), (0.85, -0.85), (0.85, 0.2), (0.2, 0.85), (-0.85, 0.85)),),
    "moon": (np.concatenate([ellipse(0, 0, 1, 1, (60, 300)), ellipse(0.35, 0, 0.78, 0.78, (290, 70))]),),
    "sun": (_spokes(8, 1.1, 0.62),),
    "bolt": (polygon((0.2, -1.1), (-0.7, 0.2), (-0.05, 0.2), (-0.3, 1.1), (0.7, -0.3), (0.05, -0.3), (0.5, -1.1)),),
    "star": (_spokes(5, 1.1, 0.45),),
}
