"""Products with known attributes, each a function of (seed, number): what photos and titles are made from.

Every attribute takes one of a few values, so that two products agree in it or differ:

    brand, line, style    names
    model                 two letters, a number, perhaps a letter; nothing of the brand is in it
    colour                a named colour, of exactly one shade
    pattern               a name, one of three scales, and the second colour that it is made of
    material              a name, which gives one of seven finishes
    size                  one of the kind's sizes
    shape                 each proportion at one of a few levels, and the colour of straps, soles, lids

Products come in families of three, because a real assortment does: most members differ from the eldest in exactly one
attribute. Telling those apart takes the photo in one case, the title in the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from item_embed.catalog.drawing.kinds import (
    BRANDS,
    COLOURS,
    FINISH,
    KINDS,
    LINES,
    SCALES,
    STYLES,
    Brand,
    Kind,
)
from item_embed.catalog.drawing.pen import RGB, Paint, brightness
from item_embed.catalog.drawing.showing import ATTRIBUTES, Showing

FAMILY = 3  # products in a family
#: What an attribute consists of: names of fields of `Product`.
FIELDS: Mapping[str, tuple[str, ...]] = {
    **{name: (name,) for name in ATTRIBUTES},
    "pattern": ("pattern", "scale", "second_colour"),
    "shape": ("levels", "trim_colour"),
}
_PRODUCT_STREAM = 1
_SIBLINGS = 0.75  # share of the younger members of families that differ from the eldest in one attribute only
_PATTERNED = 0.6
_CONTRAST = 0.16  # in brightness, between a colour and the second one
_MODEL_LETTERS = "BCDFGHKLMNPRSTVX"
_MASK = (1 << 64) - 1
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
    pattern: str  # one of `textures.PATTERNS`
    scale: int  # of the pattern: 0 to 2, and 0 where there is none
    material: str
    size: str
    style: str
    levels: tuple[int, ...]  # of the proportions, in the order of `kind.shape`
    trim_colour: str
    paint: Paint  # the shades, and the pattern
    trim: RGB  # straps, soles, lids
    shape: Mapping[str, float]  # proportions, by the names that `kind.shape` gives
    finish: str = ""  # how the material looks: one of `textures.FINISHES`, or "" for no sign of it
    tag: tuple[str, ...] = ()  # lines on a paper tag that hangs at the product

    @property
    def product_id(self) -> str:
        """The identity that listings of this product share."""
        return f"P{self.number:07d}"


def mixed(*keys: int) -> int:
    """`hash64` of a few integers, eight times as fast: it is asked for several times per listing."""
    state = 0
    for key in keys:
        state = ((state ^ (key & _MASK)) + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


def rng(seed: int, stream: int, *keys: int) -> np.random.Generator:
    """A generator of its own for one thing of the marketplace, whatever else is drawn."""
    return np.random.Generator(np.random.PCG64(mixed(seed, stream, *keys)))


def pick(random: np.random.Generator, choices: Sequence[_T]) -> _T:
    """One of the choices, each as likely."""
    return choices[int(random.random() * len(choices))]


def make_product(seed: int, number: int, showing: Showing | None = None) -> Product:
    """Make product `number` of the marketplace `seed`.

    Kinds take turns, so any run of `len(KINDS)` products has every kind; members of a family are `len(KINDS)` apart.

    Args:
        seed: of the marketplace.
        number: from 0.
        showing: where attributes show: a family's members differ in one that shows somewhere.

    Examples:
        >>> make_product(0, 5) == make_product(0, 5)
        True
    """
    turn, place = divmod(number, len(KINDS))
    generation, member = divmod(turn, FAMILY)
    return _family(seed, generation, place, showing or Showing())[member]


def elders(number: int) -> tuple[int, ...]:
    """The numbers of the products of the same family that come before this one."""
    member = number // len(KINDS) % FAMILY
    return tuple(number - len(KINDS) * back for back in range(member, 0, -1))


def differing(product: Product, other: Product) -> tuple[str, ...]:
    """The attributes in which two products of one kind differ."""
    return tuple(
        name for name in ATTRIBUTES if any(getattr(product, part) != getattr(other, part) for part in FIELDS[name])
    )


@lru_cache(maxsize=256)
def _family(seed: int, generation: int, place: int, showing: Showing) -> tuple[Product, ...]:
    kind = KINDS[place]
    first = generation * FAMILY * len(KINDS) + place
    family = [_independent(seed, first, kind)]
    plan = rng(seed, _PRODUCT_STREAM, first, 1)
    may_differ = _may_differ(kind, showing)
    attributes = [may_differ[i] for i in plan.permutation(len(may_differ)).tolist()]
    for member in range(1, FAMILY):
        number = first + member * len(KINDS)
        sibling = None
        if plan.random() < _SIBLINGS and attributes:
            attribute = attributes[(member - 1) % len(attributes)]
            sibling = _sibling(family, attribute, number, rng(seed, _PRODUCT_STREAM, number, 2), showing)
        family.append(sibling or _independent(seed, number, kind))
    return tuple(family)


def _independent(seed: int, number: int, kind: Kind) -> Product:
    random = rng(seed, _PRODUCT_STREAM, number)
    colour = pick(random, kind.colours)
    pattern = pick(random, kind.patterns) if random.random() < _PATTERNED else "plain"
    scale = int(random.random() * len(SCALES))
    return _looking(
        number=number,
        kind=kind,
        brand=pick(random, _brands(kind.department)),
        line=pick(random, LINES),
        model=_model(random),
        colour=colour,
        second_colour=pick(random, _contrasting(colour, tuple(COLOURS))),
        pattern=pattern,
        scale=0 if pattern == "plain" else scale,
        material=pick(random, kind.materials),
        size=pick(random, kind.sizes),
        style=pick(random, STYLES),
        levels=_levels(kind, random),
        trim_colour=pick(random, kind.trims),
    )


def _looking(**attributes: Any) -> Product:
    """The product with these attributes, and the looks that they give."""
    kind, scale = attributes["kind"], attributes["scale"]
    shades = COLOURS[attributes["colour"]], COLOURS[attributes["second_colour"]]
    return Product(
        paint=Paint(*shades, attributes["pattern"], SCALES[scale]),
        trim=COLOURS[attributes["trim_colour"]],
        shape=kind.proportions(attributes["levels"]),
        finish=FINISH[attributes["material"]],
        **attributes,
    )


def _may_differ(kind: Kind, showing: Showing) -> list[str]:
    """The attributes that show somewhere and of which the kind has more than one value to show."""
    shown = [name for name in ATTRIBUTES if name in showing.photo or name in showing.title]
    fixed = set()
    if set(kind.patterns) == {"plain"}:
        fixed.add("pattern")
    if "material" in showing.photo and len({FINISH[material] for material in kind.materials}) == 1:
        fixed.add("material")
    return [name for name in shown if name not in fixed]


def _sibling(
    family: Sequence[Product], attribute: str, number: int, random: np.random.Generator, showing: Showing
) -> Product | None:
    """A product that differs from the eldest in one attribute, and from any other in that too; or None."""
    eldest = family[0]
    attributes: dict[str, Any] = {part: getattr(eldest, part) for names in FIELDS.values() for part in names}
    change = _CHANGES.get(attribute, _another)(family, attribute, random, showing)
    if change is None:
        return None
    return _looking(**{**attributes, "number": number, "kind": eldest.kind, **change})


_Change = dict[str, Any] | None


def _another(family: Sequence[Product], attribute: str, random: np.random.Generator, showing: Showing) -> _Change:
    kind, taken = family[0].kind, [getattr(product, attribute) for product in family]
    choices: Mapping[str, Sequence[Any]] = {
        "brand": _brands(kind.department),
        "line": LINES,
        "size": kind.sizes,
        "style": STYLES,
        "colour": _contrasting(family[0].second_colour, kind.colours),
    }
    free = [choice for choice in choices[attribute] if choice not in taken]
    return {attribute: pick(random, free)} if free else None


def _another_model(family: Sequence[Product], _: str, random: np.random.Generator, __: Showing) -> _Change:
    while (model := _model(random)) in {product.model for product in family}:
        pass
    return {"model": model}


def _another_pattern(family: Sequence[Product], _: str, random: np.random.Generator, __: Showing) -> _Change:
    """Another name: another scale alone is hard to see."""
    taken = {product.pattern for product in family}
    free = [name for name in dict.fromkeys(("plain", *family[0].kind.patterns)) if name not in taken]
    if not free:
        return None
    name = pick(random, free)
    return {"pattern": name, "scale": 0 if name == "plain" else int(random.random() * len(SCALES))}


def _another_material(family: Sequence[Product], _: str, random: np.random.Generator, showing: Showing) -> _Change:
    """Another material; where photos show it, one that looks different."""
    taken = {product.material for product in family}
    looks = {FINISH[material] for material in taken} if "material" in showing.photo else set()
    free = [name for name in family[0].kind.materials if name not in taken and FINISH[name] not in looks]
    return {"material": pick(random, free)} if free else None


def _another_shape(family: Sequence[Product], _: str, random: np.random.Generator, __: Showing) -> _Change:
    """Other proportions, two at least: one alone is hard to see. The trim stays."""
    while True:
        levels = _levels(family[0].kind, random)
        if all(sum(a != b for a, b in zip(levels, other.levels, strict=True)) >= 2 for other in family):
            return {"levels": levels}


_CHANGES = {
    "model": _another_model,
    "pattern": _another_pattern,
    "material": _another_material,
    "shape": _another_shape,
}


def _levels(kind: Kind, random: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(random.random() * steps) for steps in kind.levels())


def _model(random: np.random.Generator) -> str:
    first, second = pick(random, _MODEL_LETTERS), pick(random, _MODEL_LETTERS)
    return f"{first}{second}-{100 + int(random.random() * 9890)}{pick(random, ('', '', 'A', 'B', 'S', 'X'))}"


@lru_cache(maxsize=32)
def _brands(department: str) -> tuple[Brand, ...]:
    return tuple(brand for brand in BRANDS if department in brand.departments)


@lru_cache(maxsize=1024)
def _contrasting(colour: str, colours: tuple[str, ...]) -> tuple[str, ...]:
    """The colours that stand out from one."""
    tone = brightness(COLOURS[colour])
    return tuple(name for name in colours if abs(brightness(COLOURS[name]) - tone) >= _CONTRAST)
