"""Handbags, backpacks and umbrellas."""

from itertools import pairwise

import numpy as np

from item_embed.catalog.drawing.pen import Pen, darker, lighter
from item_embed.catalog.drawing.products import Product
from item_embed.catalog.drawing.shapes import Outline, box, curve, ellipse, flipped, polygon, profile
from item_embed.catalog.drawing.sketches.marks import contrast, mark, sign

_BRASS = (206, 172, 92)
_STEEL = (150, 152, 158)


def handbag(pen: Pen, product: Product) -> None:
    """A handbag: two handles, a body wider below, a flap with a clasp or an open top with a zip."""
    s, paint, trim = product.shape, product.paint, product.trim
    half, bottom, narrow = s["width"] / 2, 0.9, s["width"] / 2 - s["slope"]
    top, reach = bottom - s["height"], half * 0.5
    behind = ellipse(0.5, top + 0.02, reach * 0.92, s["handle"] * 0.94, (180, 360))
    pen.line(behind, 0.026, darker(trim, 0.35), edge=True)
    body = profile(
        (narrow * 0.9, top), (narrow, top + 0.015), (half * 0.98, bottom - 0.1), (half, bottom - 0.03),
        (half * 0.93, bottom),
    )  # fmt: skip
    pen.fill(body, paint, "cloth")
    pen.fill(box(0.5 - half * 0.96, bottom - 0.045, 0.5 + half * 0.96, bottom, 0.03), trim, "side")
    if s["flap"] < 0.5:
        deep = top + s["height"] * 0.55
        flap = profile(
            (narrow * 0.98, top - 0.01),
            (narrow * 1.03, top + 0.06),
            (narrow * 0.8, deep - 0.06),
            (0.08, deep),
            (0, deep),
        )
        pen.fill(flap, paint.plain(lighter(paint.colour, 0.08)), "down")
        pen.fill(box(0.46, deep - 0.035, 0.54, deep + 0.045, 0.015), _BRASS, "gloss")
        sign(pen, product.brand.sign, (0.5, top + s["height"] * 0.26), 0.05, contrast(paint.colour))
    else:
        pen.line(polygon((0.5 - narrow * 0.93, top + 0.03), (0.5 + narrow * 0.93, top + 0.03)), 0.012, _BRASS)
        pen.fill(box(0.425, top + 0.13, 0.575, top + 0.25, 0.015), trim)
        sign(pen, product.brand.sign, (0.5, top + 0.19), 0.04, contrast(trim))
    pen.line(ellipse(0.5, top + 0.07, reach, s["handle"] + 0.05, (180, 360)), 0.032, trim, edge=True)
    for x in (0.5 - reach, 0.5 + reach):
        pen.line(polygon((x, top + 0.06), (x, top + 0.13)), 0.04, trim, edge=True)
        pen.fill(ellipse(x, top + 0.075, 0.016, 0.016), _BRASS)


def backpack(pen: Pen, product: Product) -> None:
    """A backpack from the front: loop, straps beside it, a domed top or a buckled lid, a front pocket."""
    s, paint, trim = product.shape, product.paint, product.trim
    half, bottom, top = s["width"] / 2, 0.95, 0.95 - s["height"]
    pen.line(ellipse(0.5, top + 0.02, 0.075, 0.085, (180, 360)), 0.026, trim, edge=True)
    strap = curve(
        (0.5 + half * 0.7, top + 0.05),
        (0.56 + half, top + 0.22),
        (0.555 + half, bottom - 0.2),
        (0.5 + half * 0.9, bottom - 0.06),
    )
    side_pocket = box(0.5 + half * 0.8, bottom - 0.27, 0.545 + half, bottom - 0.03, 0.03)
    for line, outline in ((strap, side_pocket), (flipped(strap), flipped(side_pocket))):
        pen.line(line, 0.05, darker(trim, 0.1), edge=True)
        pen.fill(outline, paint.plain(darker(paint.colour, 0.25)))
    body = profile(
        (0, top), (half * 0.62, top + s["top"] * 0.18), (half * 0.96, top + s["top"]), (half, bottom - 0.2),
        (half * 0.96, bottom - 0.03), (half * 0.8, bottom), (0, bottom),
    )  # fmt: skip
    pen.fill(body, paint, "cloth")
    if s["roll"] < 0.4:
        _lid(pen, product, half, top)
    else:
        pen.line(ellipse(0.5, top + s["top"] + 0.08, half * 0.84, s["top"] + 0.02, (180, 360)), 0.012, trim)
        pull = 0.5 + half * 0.5
        pen.line(polygon((pull, top + 0.09), (pull, top + 0.15)), 0.016, _BRASS)
    high = bottom - s["pocket"]
    pocket = box(0.5 - half * 0.74, high, 0.5 + half * 0.74, bottom - 0.05, 0.05)
    pen.fill(pocket, paint.plain(paint.second if paint.pattern == "plain" else paint.colour), "cloth")
    pen.line(polygon((0.5 - half * 0.62, high + 0.045), (0.5 + half * 0.62, high + 0.045)), 0.012, trim)
    pen.fill(box(0.43, high + 0.09, 0.57, high + 0.22, 0.012), trim)
    mark(pen, product, (0.5, high + 0.155), 0.044, trim)


def _lid(pen: Pen, product: Product, half: float, top: float) -> None:
    """A lid over the top of a backpack, held by two straps with buckles."""
    lid = profile(
        (0, top - 0.02), (half * 0.7, top + 0.01), (half * 1.02, top + 0.12), (half, top + 0.25),
        (half * 0.5, top + 0.29), (0, top + 0.3),
    )  # fmt: skip
    pen.fill(lid, product.paint.plain(darker(product.paint.colour, 0.1)), "down")
    for x in (0.5 - half * 0.5, 0.5 + half * 0.5):
        pen.line(polygon((x, top + 0.16), (x, top + 0.4)), 0.035, product.trim, edge=True)
        pen.fill(box(x - 0.028, top + 0.3, x + 0.028, top + 0.35), _BRASS)


def umbrella(pen: Pen, product: Product) -> None:
    """An open umbrella: a canopy of panels with a scalloped hem, a shaft, a hook or a straight grip."""
    s, paint = product.shape, product.paint
    half, hem = s["width"] / 2, 0.1 + s["height"]
    pen.line(polygon((0.5, 0.03), (0.5, 0.88)), 0.018, _STEEL, edge=True)
    if s["hook"] < 0.7:
        hook = ellipse(0.56, 0.89, 0.06, 0.065, (180, 0))
        pen.line(np.concatenate([polygon((0.5, 0.76)), hook]), 0.034, product.trim, edge=True)
    else:
        pen.line(polygon((0.5, 0.78), (0.5, 0.95)), 0.046, product.trim, edge=True)
    edges = (0.5 - half * np.cos(np.linspace(0, np.pi, int(s["panels"]) + 1))).tolist()
    scallops = [
        ellipse((a + b) / 2, hem, (b - a) / 2, -s["scallop"] * min(1.0, (b - a) * 6), (0, 180))
        for a, b in pairwise(edges)
    ]
    dome = ellipse(0.5, hem, half, s["height"], (180, 360))
    pen.fill(np.concatenate([dome, *scallops[::-1]]), paint, "ball")
    ribs = [_rib(x, half, hem, s["height"]) for x in edges]
    if paint.pattern == "plain":
        for i in range(1, len(scallops), 2):
            panel = np.concatenate([ribs[i], scallops[i][::-1], ribs[i + 1][::-1]])
            pen.fill(panel, paint.plain(paint.second), "cylinder")
    for rib in ribs[1:-1]:
        pen.line(rib, 0.006, darker(paint.colour, 0.4))
    pen.line(polygon((0.5, 0.05), (0.5, 0.11)), 0.026, product.trim, edge=True)
    _umbrella_mark(pen, product, hem)


def _umbrella_mark(pen: Pen, product: Product, hem: float) -> None:
    """The sign on the panel in the middle, or to the right of it where a rib runs down the middle."""
    panels, second = int(product.shape["panels"]), product.paint.second
    x = 0.5 if panels % 2 else 0.5 + product.shape["width"] / 2 * np.sin(np.pi / panels) * 0.42
    odd = panels // 2 % 2 == 1
    ground = (second if odd else product.paint.colour) if product.paint.pattern == "plain" else None
    mark(pen, product, (x, hem - product.shape["height"] * 0.4), 0.042, ground)


def _rib(x: float, half: float, hem: float, height: float) -> Outline:
    """The seam from the top of the canopy to the hem at x."""
    t = np.linspace(0, np.pi / 2, 14)
    return np.stack([0.5 + (x - 0.5) * np.sin(t), hem - height * np.cos(t)], axis=1)
