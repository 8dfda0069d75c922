"""T-shirts, sneakers, caps and sunglasses."""

import numpy as np

from item_embed.catalog.drawing.pen import Pen, darker, lighter, mix
from item_embed.catalog.drawing.products import Product
from item_embed.catalog.drawing.shapes import (
    Outline,
    box,
    curve,
    ellipse,
    flipped,
    polygon,
    smooth,
    symmetric,
)
from item_embed.catalog.drawing.sketches.marks import contrast, mark, name, sign


def t_shirt(pen: Pen, product: Product) -> None:
    """A T-shirt laid flat: a round or V neck, short sleeves, a print, a small sign or a band."""
    s, paint = product.shape, product.paint
    half, sleeve, top, neck = s["width"] / 2, s["sleeve"], 0.12, 0.105
    bottom, shoulder = top + s["length"] - 0.03, half * 0.95
    cuff = (min(0.5 + half + sleeve * 0.75, 0.98), top + 0.12 + sleeve * 0.6)
    under = (0.5 + half, top + 0.2 + sleeve * 0.45)
    right = polygon(
        (0.5 + neck, top), (0.5 + shoulder, top + 0.055), cuff, (cuff[0] - 0.1, cuff[1] + 0.085), under,
        (0.5 + half * 0.98, bottom - 0.1), (0.5 + half * 1.02, bottom),
    )  # fmt: skip
    if s["neck"] > 0.6:
        collar = polygon((0.5 - neck, top), (0.5, top + 0.14), (0.5 + neck, top))
    else:
        collar = ellipse(0.5, top, neck, 0.075, (180, 0))
    lining = np.concatenate([ellipse(0.5, top + 0.005, neck, 0.022, (180, 360)), collar[::-1]])
    pen.fill(lining, paint.plain(darker(paint.colour, 0.4)))
    pen.fill(np.concatenate([symmetric(right), collar]), paint, "cloth")
    pen.line(collar, 0.02, darker(paint.colour, 0.18) if s["print"] < 2 else paint.second)
    seam = polygon(under, (0.5 + shoulder * 0.92, top + 0.07))
    for side in (seam, flipped(seam)):
        pen.line(side, 0.006, darker(paint.colour, 0.3))
    ink = contrast(paint.colour) if paint.pattern != "plain" else paint.second
    if s["print"] < 1:
        if paint.pattern == "plain":
            sign(pen, product.brand.sign, (0.5, top + 0.3), 0.115, ink)
            name(pen, product.brand, (0.5, top + 0.49), 0.05, ink)
        else:
            mark(pen, product, (0.5, top + 0.32), 0.1)
    elif s["print"] < 2:
        mark(pen, product, (0.5 + half * 0.45, top + 0.23), 0.05)
    else:
        band = box(0.5 - half * 0.98, top + 0.28, 0.5 + half * 0.98, top + 0.44)
        pen.fill(band, paint.plain(paint.second), "cloth", edge=False)
        mark(pen, product, (0.5 - half * 0.5, top + 0.36), 0.055, paint.second)


def sneaker(pen: Pen, product: Product) -> None:
    """A sneaker from the side, its toe on the right: upper, toe cap, heel, side stripes or sign, laces, sole."""
    s, paint = product.shape, product.paint
    base, heel, ankle = 0.76 - s["sole"], 0.07, 0.36 - s["ankle"]
    pen.fill(ellipse(heel + 0.19, ankle + 0.055, 0.15, 0.05), darker(paint.colour, 0.55))
    tongue = smooth(
        (0.33, ankle + 0.06), (0.36, ankle - 0.05), (0.44, ankle - 0.07), (0.5, ankle + 0.05), (0.44, ankle + 0.14)
    )
    pen.fill(tongue, lighter(paint.colour, 0.15), "down")
    upper = smooth(
        (heel + 0.02, base + 0.02), (heel + 0.005, base - 0.16), (heel + 0.02, ankle + 0.03),
        (heel + 0.06, ankle - 0.02), (heel + 0.15, ankle + 0.05), (0.36, ankle + 0.02), (0.44, ankle + 0.03),
        (0.62, 0.5), (0.76, base - 0.14), (0.9, base - 0.1), (0.955, base - 0.01), (0.95, base + 0.03),
        (0.5, base + 0.03),
    )  # fmt: skip
    pen.fill(upper, paint, "down")
    toe = 0.96 - s["toe"]
    toe_cap = curve(
        (toe, base + 0.025), (toe + 0.03, base - 0.1), (0.85, base - 0.115), (0.94, base - 0.05), (0.955, base + 0.02)
    )
    pen.fill(toe_cap, paint.plain(mix(paint.colour, paint.second, 0.85)), "down")
    stripes = int(s["stripes"])
    for i in range(stripes):
        x, high = 0.36 + i * 0.075, base - 0.19 + i * 0.022
        stripe = polygon((x, base + 0.01), (x + 0.04, base + 0.01), (x + 0.12, high), (x + 0.085, high - 0.01))
        pen.fill(stripe, paint.second)
    if not stripes:
        sign(pen, product.brand.sign, (0.46, base - 0.09), 0.08, paint.second)
    counter = smooth((heel - 0.005, base), (heel, base - 0.14), (heel + 0.09, base - 0.13), (heel + 0.13, base))
    pen.fill(counter, paint.plain(paint.second), "down")
    mark(pen, product, (heel + 0.062, base - 0.068), 0.042, paint.second)
    for t in np.linspace(0.08, 0.92, int(s["laces"])):
        x, y = 0.43 + 0.21 * t, ankle + 0.055 + (0.49 - ankle) * t
        lace = polygon((x - 0.075, y + 0.05), (x + 0.012, y - 0.006))
        pen.line(lace, 0.02, lighter(product.trim, 0.35), edge=True)
    _sole(pen, product, base, heel)


def _sole(pen: Pen, product: Product, base: float, heel: float) -> None:
    ground = base + product.shape["sole"]
    tread = smooth(
        (heel - 0.03, base + 0.02), (0.3, base + 0.015), (0.7, base + 0.005), (0.985, base - 0.015),
        (0.985, ground - 0.03), (0.93, ground), (0.5, ground), (heel, ground), (heel - 0.04, ground - 0.03),
    )  # fmt: skip
    pen.fill(tread, lighter(product.trim, 0.1), "down")
    y = ground - product.shape["sole"] * 0.37
    pen.line(polygon((heel - 0.03, y), (0.97, y)), 0.012, product.paint.second)


def cap(pen: Pen, product: Product) -> None:
    """A baseball cap, its brim on the right: crown with seams, a button, the sign in front or on a patch."""
    s, paint, tall = product.shape, product.paint, product.shape["height"]
    left, base, top = 0.12, 0.64, 0.64 - s["height"]
    right, middle = left + s["width"], left + s["width"] / 2
    pen.fill(ellipse(middle, top + 0.005, 0.035, 0.02), product.trim)
    crown = curve(
        (left, base), (left + 0.01, base - tall * 0.5), (left + s["width"] * 0.2, top + 0.055), (middle, top),
        (right - s["width"] * 0.16, top + 0.06), (right, base - tall * 0.42), (right + 0.015, base - 0.02),
        (middle, base + 0.035),
    )  # fmt: skip
    pen.fill(crown, paint, "ball")
    for bend in (-0.12, 0.1):
        seam = curve((middle, top), (middle + bend * 1.25, (top + base) / 2 - 0.03), (middle + bend, base + 0.03))
        pen.line(seam, 0.007, darker(paint.colour, 0.35))
        eyelet = ellipse(middle + bend * 2.1, top + tall * 0.4, 0.011, 0.014)
        pen.fill(eyelet, darker(paint.colour, 0.5), edge=False)
    tip, low = right + s["brim"], base + s["drop"]
    brim = smooth(
        (middle + 0.03, base + 0.03), (right - 0.04, base - 0.03), (right + 0.08, base - 0.02), (tip - 0.04, low),
        (tip, low + 0.05), (tip - 0.12, low + 0.045), (right - 0.05, base + 0.07),
    )  # fmt: skip
    pen.fill(brim, product.trim if s["patch"] < 0.5 else paint.colour, "up")
    spot = (middle + s["width"] * 0.27, base - tall * 0.4)
    if s["patch"] < 0.4:
        pen.fill(ellipse(*spot, 0.085, 0.1), product.trim)
        mark(pen, product, spot, 0.058, product.trim)
    else:
        mark(pen, product, spot, 0.064)


def sunglasses(pen: Pen, product: Product) -> None:
    """Sunglasses from the front, the temples going back: round, square or cat-eye lenses."""
    s, paint = product.shape, product.paint
    y, gap, half = 0.52, 0.035, s["lens"] + 0.02
    tall, outer = half * s["tall"], 0.5 + gap + 2 * half
    glass = mix(product.trim, (20, 20, 26), 0.45)
    temple = polygon(
        (outer - 0.02, y - tall * 0.6), (0.97, y - tall - 0.1), (0.99, y - tall - 0.06), (outer + 0.01, y - tall * 0.25)
    )
    for side in (temple, flipped(temple)):
        pen.fill(side, paint.plain(darker(paint.colour, 0.15)), "side")
    hinge = (gap + 0.02, y - tall * 0.35)
    bridge = curve((0.5 - hinge[0], hinge[1]), (0.5, y - tall * 0.55), (0.5 + hinge[0], hinge[1]))
    pen.line(bridge, s["rim"] * 1.1, paint, edge=True)
    frame, lens = (_lens(product, (0.5 + gap + half, y), half - inset, tall - inset) for inset in (0.0, s["rim"]))
    for side in (frame, flipped(frame)):
        pen.fill(side, paint.plain(), "side")
    for side in (lens, flipped(lens)):
        pen.fill(side, glass, "gloss")
    mark(pen, product, (0.5 + gap + half * 1.42, y - tall * 0.4), 0.036, glass)


def _lens(product: Product, centre: tuple[float, float], half: float, tall: float) -> Outline:
    """The right lens: rounded as the product has it, its outer upper corner drawn out for a cat eye."""
    x, y = centre
    outline = box(x - half, y - tall, x + half, y + tall, product.shape["corner"] * min(half, tall))
    lift = np.clip((outline[:, 0] - x) / half, 0, 1) * np.clip((y - outline[:, 1]) / tall, 0, 1)
    return outline + np.stack([0.6 * lift, -lift], axis=1) * product.shape["cat"]
