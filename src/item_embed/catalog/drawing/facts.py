"""What photos and titles tell of products, as numbers: a product's facts as codes, what is told as sets of bits.

Facts are finer than attributes, because a photo and a title tell different parts of one: of the pattern a title tells
the name, a photo the scale too; of the material a title tells the name, a photo the finish.
"""

from collections.abc import Iterable

from item_embed.catalog.drawing.kinds import BRANDS, COLOURS, FINISH, KINDS, LINES, STYLES
from item_embed.catalog.drawing.products import Product
from item_embed.catalog.drawing.showing import Showing
from item_embed.catalog.drawing.words import PATTERN_WORDS

FACTS = (
    "kind", "brand", "line", "model", "colour", "pattern", "patterned", "scale", "second colour", "material", "finish",
    "size", "style", "shape", "trim",
)  # fmt: skip
_BIT = {name: 1 << i for i, name in enumerate(FACTS)}
_FINISHES = tuple(dict.fromkeys(FINISH.values()))
_PLACES = {
    name: {value: i for i, value in enumerate(values)}
    for name, values in (
        ("kind", [kind.name for kind in KINDS]),
        ("brand", [brand.name for brand in BRANDS]),
        ("line", LINES),
        ("colour", COLOURS),
        ("pattern", PATTERN_WORDS),
        ("material", FINISH),
        ("finish", _FINISHES),
        ("style", STYLES),
    )
}
_LETTERS = " ABSX"


def bits(names: Iterable[str]) -> int:
    """A set of facts as one number."""
    return sum(_BIT[name] for name in set(names))


def codes(product: Product) -> tuple[int, ...]:
    """The product's facts, in the order of `FACTS`; equal where two products of one kind agree."""
    kind, shape = product.kind, 0
    for level, steps in zip(product.levels, kind.levels(), strict=True):
        shape = shape * steps + level
    return (
        _PLACES["kind"][kind.name],
        _PLACES["brand"][product.brand.name],
        _PLACES["line"][product.line],
        _model_code(product.model),
        _PLACES["colour"][product.colour],
        _PLACES["pattern"][product.pattern],
        int(product.pattern != "plain"),
        product.scale,
        _PLACES["colour"][product.second_colour],
        _PLACES["material"][product.material],
        _PLACES["finish"][FINISH[product.material]],
        kind.sizes.index(product.size),
        _PLACES["style"][product.style],
        shape,
        _PLACES["colour"][product.trim_colour],
    )


def photo_facts(showing: Showing) -> int:
    """What every photo tells."""
    shown = showing.photo
    told = {"kind", *(shown & {"brand", "model", "colour", "size", "shape"})}
    if "pattern" in shown:
        told |= {"pattern", "patterned", "scale"}
    if "material" in shown:
        told.add("finish")
    if "colour" in shown:  # without it, all is grey
        told |= {part for whole, part in (("pattern", "second colour"), ("shape", "trim")) if whole in shown}
    return bits(told)


def _model_code(model: str) -> int:
    letters, number = model[:2], model[3:]
    suffix = number[-1] if number[-1].isalpha() else " "
    place = (ord(letters[0]) - 65) * 26 + ord(letters[1]) - 65
    return (place * 10_000 + int(number.rstrip("ABSX"))) * len(_LETTERS) + _LETTERS.index(suffix)
