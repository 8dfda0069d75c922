"""A product as photos show it: what they hide looks alike in all of them."""

from dataclasses import replace
from typing import Any

from item_embed.catalog.drawing.kinds import COLOURS
from item_embed.catalog.drawing.pen import RGB, Paint, brightness
from item_embed.catalog.drawing.products import Product
from item_embed.catalog.drawing.showing import Showing

# Where colour is hidden: one grey for all paint, a lighter one for what a pattern adds, a darker one for trim.
_PAINT: RGB = (158, 160, 163)
_SECOND: RGB = (222, 223, 225)
_TRIM: RGB = (92, 94, 98)
_WORDLESS: dict[str, Any] = dict.fromkeys(
    ("line", "model", "colour", "second_colour", "pattern", "material", "size", "style"), ""
)


def as_photographed(product: Product, showing: Showing) -> Product:
    """The product with everything that photos hide made alike, and without words: a photo has none but the tag's.

    Two products give the same result if and only if they agree in all that a photo tells.

    Args:
        product: what stands before the camera.
        showing: where each attribute shows.
    """
    shown, kind = showing.photo, product.kind
    return replace(
        product,
        number=0,
        brand=product.brand if "brand" in shown else replace(product.brand, name="", sign="", departments=()),
        paint=_paint(product, showing),
        trim=_trim(product, showing),
        shape=product.shape if "shape" in shown else kind.middle(),
        finish=product.finish if "material" in shown else "",
        tag=tuple(getattr(product, name) for name in ("size", "model") if name in shown),
        trim_colour="",
        scale=0,
        levels=(),
        **_WORDLESS,
    )


def _paint(product: Product, showing: Showing) -> Paint:
    paint = product.paint
    if "pattern" not in showing.photo:  # the second colour is part of the pattern; accents take the one that stands out
        accent = COLOURS["white" if brightness(paint.colour) < 0.55 else "black"]
        paint = Paint(paint.colour, accent)
    if "colour" not in showing.photo:
        paint = replace(paint, colour=_PAINT, second=_SECOND)
    return paint


def _trim(product: Product, showing: Showing) -> RGB:
    if "colour" not in showing.photo:
        return _TRIM
    return product.trim if "shape" in showing.photo else COLOURS[product.kind.trims[0]]
