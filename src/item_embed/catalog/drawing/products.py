"""Products with known attributes, each a function of (seed, number): what photos and titles are made from.

Products come in families of three, because a real assortment does: the same thing in another size, another colour,
or in another shape under the same words. Telling those apart takes the photo in one case, the title in the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from item_embed.catalog.drawing.kinds import BRANDS, COLOURS, KINDS, LINES, STYLES, Brand, Kind
from item_embed.catalog.drawing.pen import RGB, Paint, brightness
from item_embed.hashing import hash64

FAMILY = 3  # products in a family
_PRODUCT_STREAM = 1
_T = TypeVar("_T")


@dataclass(frozen=True)
class Product:
    """One product: its attributes as words for titles, and its looks for photos."""

    number: int
    kind: Kind
    brand: Brand
    line: str  # the maker's name for the series
    model: str
    colour: str  # a name in `COLOURS`
    second_colour: str
    material: str
    size: str
    style: str
    price: float
    paint: Paint  # the exact shades, and the pattern
    trim: RGB  # straps, soles, lids
    shape: Mapping[str, float]  # proportions, by the names that `kind.shape` gives
    finish: str = ""  # how the material looks: one of `textures.FINISHES`, or "" for no sign of it
    tag: tuple[str, ...] = ()  # lines on a paper tag that hangs at the product

    @property
    def product_id(self) -> str:
        """The identity that listings of this product share."""
        return f"P{self.number:07d}"


def rng(seed: int, stream: int, *keys: int) -> np.random.Generator:
    """A generator of its own for one thing of the marketplace, whatever else is drawn."""
    return np.random.Generator(np.random.PCG64(int(hash64(seed, stream, *keys))))


def pick(random: np.random.Generator, choices: Sequence[_T]) -> _T:
    """One of the choices, each as likely."""
    return choices[int(random.random() * len(choices))]


def make_product(seed: int, number: int) -> Product:
    """Make product `number` of the marketplace `seed`.

    Kinds take turns, so any run of `len(KINDS)` products has every kind; members of a family are `len(KINDS)` apart.

    Example:
        >>> make_product(0, 5) == make_product(0, 5)
        True
    """
    turn, place = divmod(number, len(KINDS))
    generation, member = divmod(turn, FAMILY)
    eldest = _independent(seed, (generation * FAMILY) * len(KINDS) + place, KINDS[place])
    if member == 0:
        return eldest
    own = _independent(seed, number, KINDS[place])
    relation = rng(seed, _PRODUCT_STREAM, number, 1).random()
    if relation < 0.2:  # another size: the photo cannot tell
        size = pick(rng(seed, _PRODUCT_STREAM, number, 2), [s for s in own.kind.sizes if s != eldest.size])
        price = round(eldest.price * 1.2, 2)
        return replace(eldest, number=number, size=size, model=own.model, price=price)
    if relation < 0.4:  # another shape and pattern under the same words: the title cannot tell
        paint = replace(own.paint, colour=eldest.paint.colour)
        return replace(eldest, number=number, model=own.model, paint=paint, trim=own.trim, shape=own.shape)
    if relation < 0.6:  # another colour
        return replace(
            eldest,
            number=number,
            colour=own.colour,
            second_colour=own.second_colour,
            paint=own.paint,
            trim=own.trim,
        )
    return own


def _independent(seed: int, number: int, kind: Kind) -> Product:
    random = rng(seed, _PRODUCT_STREAM, number)
    brand = pick(random, [brand for brand in BRANDS if kind.department in brand.departments])
    colour, second = (pick(random, kind.colours) for _ in range(2))
    paint = Paint(_shade_of(colour, random), _shade_of(second, random), *_pattern(kind, random))
    if abs(brightness(paint.colour) - brightness(paint.second)) < 0.16:
        second = "white" if brightness(paint.colour) < 0.55 else "black"
        paint = replace(paint, second=_shade_of(second, random))
    low, high = kind.price
    return Product(
        number=number,
        kind=kind,
        brand=brand,
        line=pick(random, LINES),
        model=f"{brand.name[:2].upper()}-{int(random.integers(100, 9990))}{pick(random, ('', '', 'A', 'B', 'S', 'X'))}",
        colour=colour,
        second_colour=second,
        material=pick(random, kind.materials),
        size=pick(random, kind.sizes),
        style=pick(random, STYLES),
        price=round(low * (high / low) ** float(random.random()), 2),
        paint=paint,
        trim=_shade_of(pick(random, kind.trims), random),
        shape={name: float(random.uniform(low, high)) for name, (low, high) in kind.shape.items()},
    )


def _pattern(kind: Kind, random: np.random.Generator) -> tuple[str, int]:
    name = pick(random, kind.patterns) if random.random() < 0.6 else "plain"
    return name, int(random.integers(4, 10))


def _shade_of(colour: str, random: np.random.Generator) -> RGB:
    """The product's own shade of a named colour."""
    r, g, b = np.clip(np.asarray(COLOURS[colour]) + random.normal(0, 9, 3), 8, 248).astype(int).tolist()
    return r, g, b
