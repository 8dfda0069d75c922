"""The signs that brands put on their products."""

import numpy as np

from item_embed.catalog.drawing.kinds import Brand
from item_embed.catalog.drawing.pen import RGB, Pen, brightness, mix
from item_embed.catalog.drawing.products import Product
from item_embed.catalog.drawing.shapes import Outline, Point, ellipse, polygon, smooth

INK: RGB = (30, 30, 34)
PAPER: RGB = (246, 245, 242)


def contrast(colour: RGB) -> RGB:
    """Ink or paper, whichever can be read on the colour."""
    return INK if brightness(colour) > 0.5 else PAPER


def sign(pen: Pen, name: str, centre: Point, size: float, colour: RGB) -> None:
    """Draw a brand's sign about a centre, nothing if it has none; `size` is its radius."""
    for outline in SIGNS[name] if name else ():
        pen.fill(outline * size + np.asarray(centre), colour, edge=False)


def mark(pen: Pen, product: Product, centre: Point, size: float, ground: RGB | None = None) -> None:
    """Draw the sign of the product's brand on its paint, on a round patch where a pattern would hide it.

    Args:
        pen: draws.
        product: whose brand.
        centre: of the sign.
        size: its radius.
        ground: the colour under the sign, where that is not the paint.
    """
    colour = ground or product.paint.colour
    if product.brand.sign and ground is None and product.paint.pattern != "plain":
        patch = PAPER if brightness(mix(colour, product.paint.second, 0.4)) < 0.5 else INK
        pen.fill(ellipse(*centre, size * 1.5, size * 1.5), patch)
        colour = patch
    sign(pen, product.brand.sign, centre, size, contrast(colour))


def name(pen: Pen, brand: Brand, centre: Point, height: float, colour: RGB, *, turn: float = 0.0) -> None:
    """Write a brand's name about a centre, nothing if its products are unmarked."""
    if brand.sign:
        pen.text(brand.name, centre, height, colour, turn)


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
