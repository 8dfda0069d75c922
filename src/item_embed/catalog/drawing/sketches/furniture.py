"""Table lamps, chairs, sofas and wall clocks."""

from itertools import pairwise

import numpy as np

from item_embed.catalog.drawing.pen import Pen, brightness, darker, lighter, mix
from item_embed.catalog.drawing.products import Product
from item_embed.catalog.drawing.shapes import Outline, box, ellipse, polygon, profile, ray
from item_embed.catalog.drawing.sketches.marks import INK, PAPER, contrast, mark, sign


def table_lamp(pen: Pen, product: Product) -> None:
    """A table lamp: a round foot, one of three stems, a patterned shade."""
    s, paint, trim = product.shape, product.paint, product.trim
    rim, foot, body = 0.06 + s["shade"], 0.93, paint.plain(trim)
    pen.fill(ellipse(0.5, foot, s["foot"] / 2, 0.042), darker(trim, 0.25))
    pen.fill(ellipse(0.5, foot - 0.026, s["foot"] / 2, 0.042), body, "ball")
    if s["stem"] < 1:
        pen.fill(box(0.473, rim - 0.03, 0.527, foot - 0.02), body, "cylinder")
    elif s["stem"] < 2:
        for y in np.linspace(rim + 0.07, foot - 0.08, 4):
            pen.fill(ellipse(0.5, y, 0.08, 0.075), body, "ball")
        pen.fill(box(0.485, rim - 0.03, 0.515, rim + 0.02), darker(trim), "cylinder")
    else:
        middle = (rim + foot) / 2
        vase = profile((0.03, rim - 0.02), (0.04, rim + 0.06), (0.14, middle), (0.1, foot - 0.1), (0.04, foot - 0.02))
        pen.fill(vase, body, "ball")
    half, oval = s["width"] / 2, s["width"] * 0.06
    top = half * s["top"]
    upper, lower = ellipse(0.5, 0.06, top, top * 0.12, (180, 360)), ellipse(0.5, rim, half, oval, (0, 180))
    pen.fill(np.concatenate([upper, lower]), paint, "cylinder")
    pen.line(ellipse(0.5, 0.06, top, top * 0.12, (0, 180)), 0.008, darker(paint.colour, 0.2))
    pen.line(ellipse(0.5, rim - 0.012, half * 0.99, oval, (4, 176)), 0.012, lighter(paint.second, 0.2))
    mark(pen, product, (0.5, rim - s["shade"] * 0.3), 0.05)


def chair(pen: Pen, product: Product) -> None:
    """A chair, seen a little from the side: a solid, slatted or barred back, a seat, four legs."""
    s, paint, thick = product.shape, product.paint, product.shape["leg"] * 1.15
    wood, behind, far_off = (paint.plain(darker(product.trim, share)) for share in (0.0, 0.1, 0.25))
    left, right, skew = 0.5 - s["width"] / 2, 0.5 + s["width"] / 2, 0.09
    seat = 0.14 + s["back"]
    front = seat + 0.12
    for x in (left + skew, right + skew - 0.02):
        pen.line(polygon((x, seat), (x + 0.02, 0.86)), thick, far_off, edge=True)
    for x in (left + skew + 0.01, right + skew - 0.03):
        pen.line(polygon((x, 0.1), (x, seat)), thick, behind, edge=True)
    _chair_back(pen, product, left + skew - 0.01, right + skew - 0.01, seat)
    for x, lean in ((left + 0.01, -0.02), (right - 0.03, 0.0)):
        pen.line(polygon((x, front), (x + lean, 0.97)), thick * 1.1, wood, edge=True)
    bar = polygon((left + 0.01, front + 0.16), (right - 0.03, front + 0.16))
    pen.line(bar, thick * 0.6, behind, edge=True)
    near, far, lip = front - 0.03, seat - 0.02, front + 0.035
    pen.fill(box(left - 0.02, near, right, lip), paint.plain(darker(paint.colour, 0.22)))
    flank = polygon((right, near), (right + skew, far), (right + skew, far + 0.06), (right, lip))
    pen.fill(flank, darker(paint.colour, 0.4))
    pen.fill(polygon((left + skew, far), (right + skew, far), (right, near), (left - 0.02, near)), paint, "side")


def _chair_back(pen: Pen, product: Product, left: float, right: float, seat: float) -> None:
    s, paint = product.shape, product.paint
    if s["style"] < 1:
        pen.fill(box(left, 0.05, right, seat - 0.08, s["round"]), paint, "side")
        mark(pen, product, (0.5 * (left + right), 0.15), 0.05)
    elif s["style"] < 2:
        for y in np.linspace(0.08, seat - 0.12, 3):
            pen.fill(box(left, y, right, y + 0.085, s["round"]), paint, "down")
        mark(pen, product, (0.5 * (left + right), 0.1225), 0.026)
    else:
        pen.fill(box(left, 0.05, right, 0.16, s["round"]), paint, "down")
        mark(pen, product, (0.5 * (left + right), 0.105), 0.034)
        for x in np.linspace(left + 0.08, right - 0.08, 4):
            pen.line(polygon((x, 0.14), (x, seat)), s["leg"] * 0.7, paint.plain(product.trim), edge=True)


def sofa(pen: Pen, product: Product) -> None:
    """A sofa from the front: back cushions, seat cushions, two arms, short legs, perhaps a pillow."""
    s, paint, arm = product.shape, product.paint, product.shape["arm"]
    left, right = 0.5 - s["width"] / 2, 0.5 + s["width"] / 2
    top, seat, floor = 0.52 - s["back"], 0.52, 0.78
    for x in (left + 0.05, right - 0.05):
        pen.line(polygon((x, floor - 0.02), (x, floor + s["leg"])), 0.03, product.trim, edge=True)
    back = box(left + arm * 0.4, top, right - arm * 0.4, floor - 0.05, 0.05)
    pen.fill(back, paint.plain(darker(paint.colour, 0.16)), "down")
    edges = np.linspace(left + arm, right - arm, int(s["cushions"]) + 1).tolist()
    places = list(pairwise(edges))
    for a, b in places:
        pen.fill(box(a + 0.004, top + 0.035, b - 0.004, seat + 0.03, 0.045), paint, "cloth")
    for a, b in places:
        pen.fill(box(a + 0.002, seat, b - 0.002, seat + 0.11, 0.03), paint, "down")
    apron = box(left + 0.02, seat + 0.1, right - 0.02, floor, 0.015)
    pen.fill(apron, paint.plain(darker(paint.colour, 0.12)), "down")
    for a in (left, right - arm):
        pen.fill(box(a, seat - 0.09, a + arm, floor + 0.005, 0.05), paint, "side")
    if s["back"] > 0.25:
        pillow = box(left + arm + 0.01, seat - 0.14, left + arm + 0.15, seat + 0.02, 0.03)
        pen.fill(pillow, paint.second, "ball")
    if product.brand.sign:
        patch = PAPER if brightness(paint.colour) < 0.5 else INK
        x, size = right - arm / 2, min(0.045, arm * 0.46)
        pen.fill(box(x - size, seat + 0.04 - size, x + size, seat + 0.04 + size, 0.01), patch)
        mark(pen, product, (x, seat + 0.04), size * 0.74, patch)


def wall_clock(pen: Pen, product: Product) -> None:
    """A wall clock: a round, square or eight-sided rim, a face with ticks or numerals, the hands at ten past ten."""
    s, paint, face = product.shape, product.paint, product.trim
    ink, inner = contrast(face), s["radius"] - s["rim"]
    pen.fill(_clock_outline(s["radius"], s["sides"]), paint, "ball")
    pen.fill(_clock_outline(inner, s["sides"]), paint.plain(face), "gloss")
    for hour in range(12):
        full = hour % 3 == 0
        x, y = ray(30 * hour, 0, inner * 0.8)[1].tolist()
        if s["ticks"] < 1:
            pen.text(str(hour or 12), (x, y), 0.075, ink)
        elif s["ticks"] < 2 or full:
            pen.line(ray(30 * hour, inner * (0.7 if full else 0.8), inner * 0.9), 0.018 if full else 0.01, ink)
        else:
            pen.fill(ellipse(x, y, 0.012, 0.012), ink, edge=False)
    sign(pen, product.brand.sign, (0.5, 0.5 + inner * 0.42), inner * 0.13, mix(ink, face, 0.2))
    for turn, length, width in ((-58, 0.5, 1.3), (60, 0.74, 1.0)):
        pen.line(ray(turn, -0.12 * inner, length * inner), s["hands"] * width, ink)
    pen.fill(ellipse(0.5, 0.5, 0.02, 0.02), paint.colour)


def _clock_outline(radius: float, sides: float) -> Outline:
    if sides < 2:
        return ellipse(0.5, 0.5, radius, radius)
    if sides < 3:
        return box(0.5 - radius, 0.5 - radius, 0.5 + radius, 0.5 + radius, 0.08)
    angles = np.deg2rad(np.arange(8) * 45 + 22.5)
    return 0.5 + np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius * 1.06
