"""How a seller writes a product's title: which attributes, their order, the words, and how carelessly."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from item_embed.catalog.drawing.facts import bits
from item_embed.catalog.drawing.measures import models, sizes
from item_embed.catalog.drawing.products import Product, pick
from item_embed.catalog.drawing.showing import ATTRIBUTES, Showing
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


@dataclass(frozen=True)
class TitleManner:
    """What a seller's titles have in common.

    Attributes:
        order: one of `ORDERS`.
        keeps: attribute -> share of titles that mention it, where titles can.
        joiner: what stands where the order has a bar.
        case: "as is", "lower", "upper" or "title".
        habit: where in a list of synonyms this seller's usual word stands, from 0 to 1.
        imperial: writes ounces, inches and British shoe sizes.
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
        "material": (0.3, 0.85),
        "size": (0.35, 0.95),
        "style": (0.3, 0.8),
        "shape": (0.3, 0.8),
        "extra": (0.1, 0.6),
    }
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


@dataclass(frozen=True)
class Title:
    """A title, and what it tells.

    Attributes:
        text: the title.
        mentioned: the attributes that it names.
        facts: what it tells a reader who knows the seller's ways, see `facts.bits`; for the ceilings. More than is
            written: that a seller who tells patterns is silent about a plain product tells that it is plain.
    """

    text: str
    mentioned: tuple[str, ...]
    facts: int


def write_title(
    product: Product, manner: TitleManner, random: np.random.Generator, showing: Showing | None = None
) -> Title:
    """Write a product's title in a seller's manner.

    What titles hide has no influence on them at all: not on the words, and not on which other words are chosen.

    Args:
        product: what to describe.
        manner: how its seller writes.
        random: where this title's own variation comes from.
        showing: where attributes show.
    """
    writer = _Writer(product, manner, random, showing or Showing())
    title = _in_case(manner.joiner.join(writer.segments()), manner.case)
    if manner.shortens:
        title = " ".join(_shortened(word, manner, random) for word in title.split(" "))
    if random.random() < manner.misspells:
        title = _misspelt(title, random)
    if random.random() < manner.shouts:
        title = f"{pick(random, OPENINGS)} {title}" if random.random() < 0.5 else f"{title} {pick(random, CLOSINGS)}"
    mentioned = tuple(name for name in ATTRIBUTES if name in writer.mentioned)
    return Title(title, mentioned, bits(("kind", *writer.told)))


def colour_words(
    product: Product, manner: TitleManner, random: np.random.Generator, showing: Showing | None = None
) -> str:
    """The product's colour as this seller says it; "" where titles hide it."""
    showing = showing or Showing()
    return _Writer(product, manner, random, showing).colour() if "colour" in showing.title else ""


class _Writer:
    """Writes the parts of one title and remembers what they tell."""

    def __init__(self, product: Product, manner: TitleManner, random: np.random.Generator, showing: Showing) -> None:
        self.product, self.manner, self.random, self.showing = product, manner, random, showing
        self.mentioned: set[str] = set()
        self.told: set[str] = set()

    def segments(self) -> Iterator[str]:
        """The parts between which the seller's joiner stands."""
        order, mention = self.manner.order, self.showing.mention
        for segment in order.split("|"):
            if words := " ".join(filter(None, map(self._part, segment.split()))):
                yield words
        # What a seller's order has no place for is told where all sellers are bidden to, and the shape, which has a
        # place in none.
        missing = self.showing.title.difference(order.split())
        if mention is None:
            missing &= {"shape"}
        if words := " ".join(filter(None, (self._part(name) for name in ATTRIBUTES if name in missing))):
            yield words

    def _part(self, name: str) -> str:
        """One attribute in the seller's words, or "" where it is hidden, left out, or nothing worth saying."""
        if name == "kind":
            return self._synonym(KIND_WORDS[self.product.kind.name])
        if name == "extra":
            extra = pick(self.random, EXTRAS[self.product.kind.department])
            return extra if self.random.random() < self.manner.keeps[name] else ""
        mention = self.showing.mention
        if name not in self.showing.title:
            return ""
        if self.random.random() >= (self.manner.keeps[name] if mention is None else mention):
            return ""
        self.told.add(name)
        words = self._words(name)
        if words:
            self.mentioned.add(name)
        return words

    def _words(self, name: str) -> str:
        product, manner = self.product, self.manner
        match name:
            case "brand":
                words = product.brand.name
            case "colour":
                words = self.colour()
            case "pattern":
                self.told.add("patterned")
                untold = product.pattern == "plain" and self.random.random() < 0.8
                words = "" if untold else self._synonym(PATTERN_WORDS[product.pattern])
            case "model":
                words = self._synonym(models(product.model))
            case "size":
                words = self._synonym(sizes(product.size, manner.imperial))
            case "shape":
                words = "form " + "".join(str(level + 1) for level in product.levels)
            case _:
                words = str(getattr(product, name))
        return words

    def colour(self) -> str:
        """The colour, or both of a pattern's."""
        product, random = self.product, self.random
        first = self._synonym(COLOUR_WORDS[product.colour])
        if "pattern" not in self.showing.title or random.random() < 0.5:
            return first
        self.told.add("patterned")
        if product.pattern == "plain":
            return first
        self.told.add("second colour")
        second = self._synonym(COLOUR_WORDS[product.second_colour])
        return first + pick(random, ("/", " and ", " & ")) + second

    def _synonym(self, words: tuple[str, ...]) -> str:
        """The seller's usual word, or now and then another."""
        usual = self.random.random() < 0.65
        return words[int(self.manner.habit * len(words))] if usual else pick(self.random, words)


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
