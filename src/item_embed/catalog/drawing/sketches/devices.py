"""Watches, headphones, cameras and guitars."""

import numpy as np

from item_embed.catalog.drawing.pen import RGB, Pen, darker, lighter, mix
from item_embed.catalog.drawing.products import Product
from item_embed.catalog.drawing.shapes import box, ellipse, polygon, profile, ray, smooth
from item_embed.catalog.drawing.sketches.marks import INK, PAPER, contrast, mark, name, sign

_STEEL: RGB = (176, 180, 188)
_GLASS: RGB = (44, 62, 120)
_STRING: RGB = (228, 224, 210)


def watch(pen: Pen, product: Product) -> None:
    """A wrist watch: strap with holes or links, a round or square case, dial, hands, crown."""
    s, paint = product.shape, product.paint
    r, inner = s["case"], s["case"] * 0.82
    _strap(pen, product)
    pen.fill(box(0.49 + r, 0.475, 0.535 + r, 0.525, 0.008), darker(product.trim, 0.15))
    corner = 0.3 * r if s["square"] < 0.35 else r
    pen.fill(box(0.5 - r, 0.5 - r, 0.5 + r, 0.5 + r, corner), product.trim, "gloss")
    face = mix(paint.second, PAPER if s["links"] < 0.5 else INK, 0.3)
    ink = contrast(face)
    pen.fill(box(0.5 - inner, 0.5 - inner, 0.5 + inner, 0.5 + inner, corner * 0.82), face, "gloss")
    for hour in range(12):
        pen.line(ray(30 * hour, 0.78 * inner, 0.93 * inner), 0.014 if hour % 3 == 0 else 0.007, ink)
    if s["dials"] >= 1.5:
        for x, y in ((-0.38, 0.05), (0.38, 0.05), (0, 0.42)):
            dial = ellipse(0.5 + x * inner, 0.5 + y * inner, inner * 0.22, inner * 0.22)
            pen.fill(dial, mix(face, ink, 0.2))
    sign(pen, product.brand.sign, (0.5, 0.5 - inner * 0.44), inner * 0.19, ink)
    for turn, length, width in ((-60, 0.5, 0.02), (58, 0.72, 0.014)):
        pen.line(ray(turn, -0.1 * inner, length * inner), width, ink)


def _strap(pen: Pen, product: Product) -> None:
    """The two halves of a watch's strap, narrower away from the case."""
    s, colour = product.shape, product.paint.colour
    wide, r = s["case"] * s["strap"], s["case"]
    for way in (-1, 1):
        near, far = 0.5 + way * r * 0.8, 0.5 + way * 0.47
        half = polygon((0.5 - wide, near), (0.5 + wide, near), (0.5 + wide * 0.72, far), (0.5 - wide * 0.72, far))
        pen.fill(half, product.paint.plain(), "cylinder")
        for y in (0.5 + way * np.linspace(r + 0.05, 0.44, 6)).tolist():
            if s["links"] < 0.4:
                across = wide * (0.97 - 0.28 * (abs(y - 0.5) - r * 0.8) / (0.47 - r * 0.8))
                pen.line(polygon((0.5 - across, y), (0.5 + across, y)), 0.008, darker(colour, 0.4))
            elif way > 0:
                pen.fill(ellipse(0.5, y, 0.012, 0.015), darker(colour, 0.55), edge=False)


def headphones(pen: Pen, product: Product) -> None:
    """Over-ear headphones: a padded band, two arms, two cushioned cups with the maker's sign."""
    s, paint, band = product.shape, product.paint, product.shape["band"]
    half, cup, y = s["width"] / 2, s["cup"], 0.66
    tall = cup * s["tall"]
    pen.line(ellipse(0.5, 0.5, half, 0.39, (180, 360)), band, paint, edge=True)
    if s["rest"] < 0.6:
        pen.line(ellipse(0.5, 0.51, half - 0.035, 0.35, (215, 325)), band * 0.7, mix(product.trim, INK, 0.3))
    for way in (-1, 1):
        x = 0.5 + way * half
        pen.line(polygon((x, 0.48), (x, y - tall * 0.3)), band * 0.62, _STEEL, edge=True)
        pen.fill(ellipse(x - way * cup * 0.42, y, cup * 0.62, tall), mix(product.trim, INK, 0.45), "ball")
        pen.fill(ellipse(x + way * cup * 0.12, y, cup * 0.66, tall * 0.94), paint.plain(), "ball")
        plate = x + way * cup * 0.2
        pen.fill(ellipse(plate, y, cup * 0.42, tall * 0.64), paint.second, "ball")
        sign(pen, product.brand.sign, (plate, y), cup * 0.3, contrast(paint.second))


def camera(pen: Pen, product: Product) -> None:
    """A camera from the front: two-tone body, viewfinder hump, grip, lens, flash, buttons, the maker's name."""
    s, paint, trim, tall = product.shape, product.paint, product.trim, product.shape["height"]
    left, right, x = 0.5 - s["width"] / 2, 0.5 + s["width"] / 2, 0.5 + s["side"]
    top, bottom = 0.54 - tall / 2, 0.54 + tall / 2
    pen.fill(box(left + 0.08, top - 0.05, left + 0.19, top + 0.02, 0.015), _STEEL, "cylinder")
    pen.fill(box(right - 0.16, top - 0.035, right - 0.04, top + 0.02, 0.01), darker(_STEEL, 0.35), "cylinder")
    if s["hump"] > 0.035:
        pen.fill(profile((0.1, top - s["hump"]), (0.16, top + 0.02), axis=x), paint.plain(trim), "down")
    pen.fill(box(left, top, right, bottom, 0.05), paint.plain(trim), "down")
    pen.fill(box(left, top + tall * 0.24, right, bottom - tall * 0.12), paint, "side")
    grip = left + 0.035 if s["side"] >= 0 else right - 0.125
    handle = box(grip, top + tall * 0.2, grip + 0.09, bottom - 0.03, 0.035)
    pen.fill(handle, paint.plain(darker(paint.colour, 0.3)), "cylinder")
    pen.fill(box(right - 0.17, top + 0.025, right - 0.05, top + 0.085, 0.01), PAPER, "gloss")
    length = 0.021 * len(product.brand.name)  # of the words: they must not run behind the lens
    name(pen, product.brand, (left + 0.035 + length / 2, top + tall * 0.12), 0.04, contrast(trim))
    mark(pen, product, (right - 0.075 if s["side"] >= 0 else left + 0.075, bottom - tall * 0.28), 0.042)
    rings: tuple[tuple[float, RGB, str], ...] = (
        (1.0, darker(trim, 0.35), "ball"),
        (0.88, INK, ""),
        (0.72, (58, 60, 68), "ball"),
        (0.54, (20, 24, 44), ""),
        (0.42, _GLASS, "ball"),
    )
    for share, colour, shade in rings:
        pen.fill(ellipse(x, 0.57, s["lens"] * share, s["lens"] * share), colour, shade)
    pen.fill(ellipse(x - s["lens"] * 0.16, 0.57 - s["lens"] * 0.18, 0.018, 0.013), PAPER, edge=False)


def guitar(pen: Pen, product: Product) -> None:
    """A guitar, upright: an acoustic body with a sound hole, or an electric one with horns and pickups."""
    s, paint = product.shape, product.paint
    half, bottom, top = s["body"] / 2, 0.97, 0.97 - s["length"]
    waist, upper, hole = half * s["waist"], half * s["upper"], top + s["length"] * 0.44
    if s["electric"] < 0.4:
        body = profile(
            (0.03, top + 0.09), (upper, top - 0.02), (upper * 0.98, top + 0.07), (waist, top + s["length"] * 0.45),
            (half, bottom - 0.14), (half * 0.8, bottom - 0.03), (0, bottom),
        )  # fmt: skip
        pen.fill(body, paint, "ball")
        guard = profile((0.06, top + 0.12), (0.1, hole + 0.1), (0.06, bottom - 0.05))
        pen.fill(guard, lighter(paint.second, 0.25))
        for y in (hole - 0.03, hole + 0.05):
            pen.fill(box(0.445, y, 0.555, y + 0.035, 0.008), INK)
    else:
        body = profile(
            (0, top), (upper * 0.75, top + 0.02), (upper, top + 0.11), (waist, top + s["length"] * 0.46),
            (half, bottom - 0.15), (half * 0.75, bottom - 0.025), (0, bottom),
        )  # fmt: skip
        pen.fill(body, paint, "ball")
        pen.fill(ellipse(0.5, hole, 0.082, 0.082), lighter(paint.colour, 0.35))
        pen.fill(ellipse(0.5, hole, 0.066, 0.066), (38, 26, 20))
        guard = smooth((0.56, hole + 0.02), (0.6, hole + 0.05), (0.6, hole + 0.13), (0.53, hole + 0.08))
        pen.fill(guard, darker(paint.colour, 0.5))
    pen.fill(box(0.41, bottom - 0.13, 0.59, bottom - 0.1, 0.01), (48, 32, 26))
    _neck(pen, product, hole - 0.06, bottom - 0.115)
    mark(pen, product, (0.5 + half * 0.58, bottom - 0.115), 0.036)


def _neck(pen: Pen, product: Product, end: float, bridge: float) -> None:
    """A guitar's neck with frets down to `end`, its head with six pegs, the strings down to the bridge."""
    colour = product.paint.colour
    neck = polygon((0.472, 0.13), (0.528, 0.13), (0.535, end), (0.465, end))
    pen.fill(neck, mix(product.trim, (120, 80, 50), 0.4), "cylinder")
    for y in np.linspace(0.2, end - 0.02, 9).tolist():
        pen.line(polygon((0.47, y), (0.53, y)), 0.005, _STEEL)
    head = smooth(
        (0.465, 0.14), (0.445, 0.05), (0.46, 0.015), (0.5, 0.028), (0.54, 0.015), (0.555, 0.05), (0.535, 0.14)
    )
    pen.fill(head, darker(colour, 0.2))
    for y in (0.045, 0.075, 0.105):
        for x in (0.432, 0.568):
            pen.fill(ellipse(x, y, 0.014, 0.011), _STEEL)
    for x in np.linspace(0.485, 0.515, 4).tolist():
        pen.line(polygon((x, 0.12), (x, bridge)), 0.003, _STRING)
    sign(pen, product.brand.sign, (0.5, 0.075), 0.022, contrast(colour))
