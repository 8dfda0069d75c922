"""Pairs of drawn products that differ in one attribute, for tests of what shows it."""

from dataclasses import replace
from functools import cache
from typing import Any

from item_embed.catalog.drawing.kinds import KINDS
from item_embed.catalog.drawing.products import Product, differing, elders, make_product
from item_embed.catalog.drawing.showing import ATTRIBUTES, CHANNELS, Showing


def changed(showing: Showing, **changes: Any) -> Showing:
    """The settings with some of them changed."""
    return replace(showing, **changes)


#: Nothing shows anywhere.
NOTHING = changed(Showing(), **dict.fromkeys(ATTRIBUTES, "neither"))
#: Everything shows wherever it can.
OPEN = changed(Showing(), **{name: "title" if name in {"line", "style"} else "both" for name in ATTRIBUTES})


def allowed(attribute: str) -> tuple[str, ...]:
    """The channels in which an attribute can show."""
    return ("title", "neither") if attribute in {"line", "style"} else CHANNELS


@cache
def pairs(attribute: str, count: int = 10) -> tuple[tuple[Product, Product], ...]:
    """Products that differ in an attribute only, of several kinds."""
    found: list[tuple[Product, Product]] = []
    for number in range(len(KINDS), 200 * len(KINDS)):
        for other in elders(number)[:1]:
            elder, product = make_product(3, other, OPEN), make_product(3, number, OPEN)
            if differing(elder, product) == (attribute,) and all(elder.kind != known.kind for known, _ in found):
                found.append((elder, product))
        if len(found) == count:
            break
    return tuple(found)
