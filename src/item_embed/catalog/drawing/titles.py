"""How a seller writes a product's title: which attributes, their order, the words, and how carelessly."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from item_embed.catalog.drawing.products import Product, pick
from item_embed.catalog.drawing.words import (
    CLOSINGS,
    COLOUR_WORDS,
    EXTRAS,
    KIND_WORDS,
    OPENINGS,
    PATTERN_WORDS,
    SHORT,
)

#: Orders of attributes; a bar is where a seller puts a comma or a dash.
ORDERS = (
    "brand line kind | colour pattern | material | size | model",
    "colour pattern material kind | size | brand line | extra",
    "brand model line kind | size colour pattern",
    "style kind | colour pattern | brand | size | extra",
    "kind brand line model | material colour pattern size",
    "brand style colour material kind | line | pattern | size",
    "size colour pattern kind | brand model | extra",
    "line kind | pattern colour | material | brand",
)
_OUNCES = 29.57  # millilitres
_INCH = 2.54  # centimetres


@dataclass(frozen=True)
class TitleManner:
    """What a seller's titles have in common.

    Attributes:
        order: one of `ORDERS`.
        keeps: attribute -> share of titles that mention it.
        joiner: what stands where the order has a bar.
        case: "as is", "lower", "upper" or "title".
        habit: where in a list of synonyms this seller's usual word stands, from 0 to 1.
        imperial: writes ounces and inches.
        shortens: share of words written short where a short form is known.
        misspells: share of titles with a slip of the finger.
        shouts: share of titles with decoration before or after.
    """

    order: str
    keeps: Mapping[str, float]
    joiner: str
    case: str
    habit: float
    imperial: bool
    shortens: float
    misspells: float
    shouts: float


def make_title_manner(random: np.random.Generator) -> TitleManner:
    """Draw a seller's manner of writing titles."""
    likely = {
        "brand": (0.55, 1),
        "line": (0.35, 0.9),
        "model": (0.1, 0.6),
        "colour": (0.5, 1),
        "pattern": (0.4, 0.95),
    }
    likely |= {"material": (0.3, 0.85), "size": (0.35, 0.95), "style": (0.3, 0.8), "extra": (0.1, 0.6)}
    return TitleManner(
        order=pick(random, ORDERS),
        keeps={name: float(random.uniform(*shares)) for name, shares in likely.items()},
        joiner=pick(random, (" ", " ", ", ", " - ", " | ", " / ")),
        case=pick(random, ("as is", "as is", "lower", "upper", "title", "title")),
        habit=float(random.random() ** 1.8),  # most use the common words
        imperial=random.random() < 0.25,
        shortens=pick(random, (0, 0, 0, 0.3, 0.6)),
        misspells=pick(random, (0.02, 0.08, 0.25)),
        shouts=pick(random, (0, 0, 0.2, 0.7)),
    )


def write_title(product: Product, manner: TitleManner, random: np.random.Generator) -> str:
    """Write a product's title in a seller's manner.

    Args:
        product: what to describe.
        manner: how its seller writes.
        random: where this title's own variation comes from.
    """
    segments = []
    for segment in manner.order.split("|"):
        kept = [name for name in segment.split() if name == "kind" or random.random() < manner.keeps[name]]
        words = " ".join(filter(None, (_phrase(name, product, manner, random) for name in kept)))
        if words:
            segments.append(words)
    title = _in_case(manner.joiner.join(segments), manner.case)
    if manner.shortens:
        title = " ".join(_shortened(word, manner, random) for word in title.split(" "))
    if random.random() < manner.misspells:
        title = _misspelt(title, random)
    if random.random() < manner.shouts:
        title = f"{pick(random, OPENINGS)} {title}" if random.random() < 0.5 else f"{title} {pick(random, CLOSINGS)}"
    return title


def colour_words(product: Product, manner: TitleManner, random: np.random.Generator) -> str:
    """The product's colour as this seller says it."""
    first = _synonym(COLOUR_WORDS[product.colour], manner, random)
    if product.paint.pattern == "plain" or random.random() < 0.5:
        return first
    second = _synonym(COLOUR_WORDS[product.second_colour], manner, random)
    return first + pick(random, ("/", " and ", " & ")) + second


def _phrase(name: str, product: Product, manner: TitleManner, random: np.random.Generator) -> str:
    """One attribute in the seller's words, or "" where there is nothing worth saying."""
    match name:
        case "kind":
            words = _synonym(KIND_WORDS[product.kind.name], manner, random)
        case "brand":
            words = product.brand.name
        case "colour":
            words = colour_words(product, manner, random)
        case "pattern":
            untold = product.paint.pattern == "plain" and random.random() < 0.8
            words = "" if untold else _synonym(PATTERN_WORDS[product.paint.pattern], manner, random)
        case "size":
            words = _measure(product.size, manner)
        case "extra":
            words = pick(random, EXTRAS[product.kind.department])
        case _:
            words = str(getattr(product, name))
    return words


def _synonym(words: tuple[str, ...], manner: TitleManner, random: np.random.Generator) -> str:
    """The seller's usual word, or now and then another."""
    return words[int(manner.habit * len(words))] if random.random() < 0.65 else pick(random, words)


def _measure(size: str, manner: TitleManner) -> str:
    """A size in the seller's units and spacing."""
    number, _, unit = size.partition(" ")
    if manner.imperial and unit == "ml":
        return f"{round(float(number) / _OUNCES)} oz"
    if manner.imperial and unit == "cm":
        return f"{round(float(number) / _INCH)} inch"
    return number + unit if manner.habit < 0.4 and unit in ("ml", "cm", "mm", "L") else size


def _in_case(title: str, case: str) -> str:
    match case:
        case "lower":
            return title.lower()
        case "upper":
            return title.upper()
        case "title":
            return " ".join(word[:1].upper() + word[1:] for word in title.split(" "))
        case _:
            return title[:1].upper() + title[1:]


def _shortened(word: str, manner: TitleManner, random: np.random.Generator) -> str:
    short = SHORT.get(word.lower().rstrip(","))
    if short is None or random.random() >= manner.shortens:
        return word
    return short.upper() if word.isupper() else short


def _misspelt(title: str, random: np.random.Generator) -> str:
    """Swap, drop or double one letter inside a longer word."""
    words = title.split(" ")
    long = [i for i, word in enumerate(words) if len(word) >= 5 and word.isalpha()]
    if not long:
        return title
    at = pick(random, long)
    word = words[at]
    i = int(random.integers(1, len(word) - 2))
    words[at] = pick(
        random,
        (
            word[:i] + word[i + 1] + word[i] + word[i + 2 :],
            word[:i] + word[i + 1 :],
            word[: i + 1] + word[i:],
        ),
    )
    return " ".join(words)
