"""Titles of a simulated second listing: worded freely, or written in haste.

Each is a pure function of (title, key): equal arguments give equal titles, in any process. A title is never lost: one
of which nothing readable would be left stays as it is. Words are what spaces part, in any script.
"""

import numpy as np

from item_embed.embedding.seen import seen_title
from item_embed.evaluation.altered_titles import drop_words, misspell, reorder_words
from item_embed.hashing import uniform

_RESHOT, _RESTAGED, _ADDED, _SIDE, _SHORT, _FORM, _CAPITALS = range(531, 538)  # streams that nothing else uses

_FEW = 3  # words of a title below which none is left out
_LONG = 5  # letters from which on a word is written short
_VOWELS = frozenset("aeiou")

#: What sellers put around a title. It tells nothing of the product.
DECORATIONS = (
    "new", "original", "genuine", "authentic", "trendy", "stylish", "latest", "best price", "free shipping",
    "in stock", "top quality", "sale", "hot offer", "gift idea", "fast delivery", "*NEW*", "!!!", "(boxed)",
)  # fmt: skip


def reshot_title(title: str, key: int) -> str:
    """A title by a seller who words it freely: words left out, in another order, and decorated.

    Examples:
        >>> reshot_title("Acme red ceramic mug | 350 ml", key=7)
        'authentic gift idea red ceramic mug ml'
    """
    left_out, ordered, moved = uniform(key, _RESHOT, np.arange(3)).tolist()
    worded = _without(_words(title), 0.15 + 0.35 * left_out, key)
    worded = reorder_words(worded, moved if ordered < 0.6 else 0, key)
    return _readable(decorate(worded, key), title)


def restaged_title(title: str, key: int) -> str:
    """A title by a seller in haste: the brand left out, words written short, misspelt, in capitals.

    The brand is taken to be the first word, where most feeds have it, and left out of half of the titles.

    Examples:
        >>> restaged_title("Acme red ceramic mug | 350 ml", key=5)
        'RED veramic MUG 350 ML'
    """
    brand, left_out, short, wrong, capitals = uniform(key, _RESTAGED, np.arange(5)).tolist()
    worded = _words(title)
    if brand < 0.5 and _is_long(worded):
        worded = worded.partition(" ")[2]
    worded = _without(worded, 0.2 * left_out, key)
    worded = abbreviate(worded, 0.4 * short, key)
    worded = misspell(worded, 0.06 * wrong, key) or worded
    return _readable(capitalise(worded, 0.4 * capitals, key), title)


def decorate(title: str, key: int) -> str:
    """A title with none, one or two different `DECORATIONS`, each before or after it.

    Examples:
        >>> decorate("red mug", key=3)
        'sale red mug fast delivery'
    """
    count = int(3 * uniform(key, _ADDED))
    chosen = np.argsort(uniform(key, _ADDED, np.arange(len(DECORATIONS))), kind="stable")[:count]
    for place in chosen:
        parts = (DECORATIONS[place], title)
        title = " ".join(parts if uniform(key, _SIDE, place) < 0.5 else parts[::-1])
    return title


def abbreviate(title: str, share: float, key: int) -> str:
    """A title in which a share of the words of five letters or more is written short.

    Equally often its first three letters and a full stop, or, if it has other vowels than the first letter, without
    them.

    Examples:
        >>> abbreviate("red ceramic bottle", 1, key=0)
        'red cer. bttl'
    """
    return " ".join(
        _shortened(word, key, place) if len(word) >= _LONG and word.isalpha() and chosen < share else word
        for place, (word, chosen) in enumerate(_drawn(title, _SHORT, key))
    )


def capitalise(title: str, share: float, key: int) -> str:
    """A title of which a share of the words is in capitals.

    Examples:
        >>> capitalise("red mug", 1, key=0)
        'RED MUG'
    """
    return " ".join(word.upper() if chosen < share else word for word, chosen in _drawn(title, _CAPITALS, key))


def _words(title: str) -> str:
    """A title without the bars and dashes that stand between its words."""
    return " ".join(word for word in title.split() if any(letter.isalnum() for letter in word)) or title


def _without(title: str, share: float, key: int) -> str:
    """A title without a share of its words, if it can spare any."""
    return (drop_words(title, share, key) if _is_long(title) else None) or title


def _is_long(title: str) -> bool:
    return len(title.split()) >= _FEW


def _shortened(word: str, key: int, place: int) -> str:
    bare = word[0] + "".join(letter for letter in word[1:] if letter.lower() not in _VOWELS)
    return bare if bare != word and uniform(key, _FORM, place) < 0.5 else f"{word[:3]}."


def _drawn(title: str, stream: int, key: int) -> list[tuple[str, float]]:
    """Each word with a number drawn for its place."""
    words = title.split()
    return list(zip(words, uniform(key, stream, np.arange(len(words))).tolist(), strict=True))


def _readable(worded: str, title: str) -> str:
    """A title as a query file's is read, or the one it was made from if nothing readable is left."""
    return seen_title(worded) or title
