"""Mugs, teapots and water bottles."""

import numpy as np

from item_embed.catalog.drawing.pen import Pen, darker, lighter
from item_embed.catalog.drawing.products import Product
from item_embed.catalog.drawing.shapes import box, curve, ellipse, polygon, profile, smooth, symmetric
from item_embed.catalog.drawing.sketches.marks import contrast, mark, name

_COFFEE = (74, 44, 28)
_STEEL = (188, 190, 194)


def mug(pen: Pen, product: Product) -> None:
    """A mug, seen slightly from above: handle, body, rim, inside, perhaps with coffee."""
    s, paint = product.shape, product.paint
    x, half, foot, oval = 0.44, s["width"] / 2, s["width"] / 2 - s["taper"], s["width"] * 0.13
    top, bottom, middle = 0.5 - s["height"] / 2, 0.5 + s["height"] / 2, 0.5
    side, reach = x + half, x + half + s["grip"]
    if s["handle"] < 0.6:
        handle = ellipse(side - 0.02, middle, s["grip"], s["height"] * 0.3, (-90, 90))
    else:
        low = bottom - 0.12
        handle = polygon((side - 0.04, top + 0.12), (reach, top + 0.13), (reach - 0.04, low), (x + foot, low - 0.01))
    pen.line(handle, 0.052, paint, edge=True)
    base, rim = ellipse(x, bottom - oval * 0.6, foot, oval, (0, 180)), ellipse(x, top, half, oval, (180, 0))
    pen.fill(np.concatenate([base, rim]), paint, "cylinder")
    pen.fill(ellipse(x, top, half, oval), lighter(paint.colour, 0.35))
    inside = paint.second if paint.pattern == "blocks" else lighter(paint.colour, 0.75)
    pen.fill(ellipse(x, top + 0.006, half - 0.022, oval - 0.014), inside, "side")
    drink = _COFFEE if s["handle"] < 0.3 else darker(inside, 0.25)
    pen.fill(ellipse(x, top + oval * 0.38, half * 0.8, oval * 0.48), drink, edge=False)
    mark(pen, product, (x - 0.02, middle + 0.03), 0.075)


def teapot(pen: Pen, product: Product) -> None:
    """A teapot: spout on the left, handle on the right or above, lid with a knob."""
    s, paint = product.shape, product.paint
    half, tall, x, y = s["width"] / 2, s["height"] / 2, 0.5, 0.57
    top, bottom = y - tall, y + tall
    if s["handle"] < 0.65:
        ear = ellipse(x + half - 0.02, y - 0.02, 0.17, tall * 0.74, (-80, 85))
        pen.line(ear, 0.045, paint, edge=True)
    else:
        bail = ellipse(x, y - tall * 0.75, half * 0.86, tall * 0.95 + 0.05, (180, 360))
        pen.line(bail, 0.035, product.trim, edge=True)
    _spout(pen, product, x - half, y, tall)
    foot = box(x - half * 0.55, bottom - tall * 0.15, x + half * 0.55, bottom + 0.025, 0.02)
    pen.fill(foot, paint.plain(darker(paint.colour, 0.2)))
    belly = profile(
        (0, top), (half * 0.62, y - tall * 0.86), (half, y - tall * 0.1), (half * 0.86, y + tall * 0.6),
        (half * 0.5, bottom), (0, bottom),
    )  # fmt: skip
    pen.fill(belly, paint, "ball")
    lid = profile((0, top - 0.05), (half * 0.3, top - 0.035), (half * 0.52, y - tall * 0.86), (0, y - tall * 0.8))
    pen.fill(lid, paint.plain(lighter(paint.colour, 0.12)), "ball")
    pen.fill(ellipse(x, top - 0.05 - s["knob"] * 0.8, s["knob"], s["knob"]), product.trim, "ball")
    mark(pen, product, (x, y + 0.01), 0.062)


def _spout(pen: Pen, product: Product, left: float, y: float, tall: float) -> None:
    """The spout on the left side of a belly that is `2 * tall` high."""
    tip, lip = left - product.shape["spout"], y - tall * 0.75
    outline = smooth(
        (left + 0.08, y + tall * 0.45), (left - 0.02, y + tall * 0.2), (tip + 0.05, lip + 0.1), (tip - 0.03, lip),
        (tip + 0.035, lip - 0.012), (tip + 0.1, lip + 0.06), (left + 0.05, y - tall * 0.3),
        (left + 0.12, y - tall * 0.2),
    )  # fmt: skip
    pen.fill(outline, product.paint.plain(), "down")


def water_bottle(pen: Pen, product: Product) -> None:
    """A water bottle: a cap, perhaps with a loop, a neck, shoulders, a long body."""
    s, paint = product.shape, product.paint
    x, half, foot = 0.5, s["width"] / 2, 0.96
    neck, lid = half * s["neck"], 0.04 + s["cap"]
    shoulder, looped = lid + 0.05 + s["shoulder"], s["loop"] < 0.5
    if looped:
        pen.line(ellipse(x, 0.08, neck * 0.7, 0.06, (180, 360)), 0.026, product.trim, edge=True)
    pen.fill(box(x - neck * 0.86, lid - 0.01, x + neck * 0.86, lid + 0.07), _STEEL, "cylinder")
    side = curve(
        (x + neck, lid + 0.04), (x + neck * 1.04, lid + 0.055), (x + half * 0.93, shoulder), (x + half, shoulder + 0.06)
    )
    base = ellipse(x, foot - 0.035, half, 0.035, (0, 90))
    pen.fill(symmetric(np.concatenate([side, base])), paint, "cylinder")
    pen.fill(box(x - neck, 0.07 if looped else 0.04, x + neck, lid, 0.02), product.trim, "cylinder")
    for y in np.linspace(0.35, 0.8, 3) * s["cap"] + 0.05:
        pen.line(polygon((x - neck * 0.95, y), (x + neck * 0.95, y)), 0.004, darker(product.trim, 0.4))
    pen.fill(box(x - half, foot - 0.06, x + half, foot - 0.045), darker(paint.colour, 0.35), edge=False)
    length = half * 0.23 * len(product.brand.name)
    if paint.pattern == "plain":
        name(pen, product.brand, (x, 0.93 - length / 2), half * 0.42, contrast(paint.colour), turn=90)
    mark(pen, product, (x, shoulder + 0.12), half * 0.42)
