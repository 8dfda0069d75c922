"""Titles altered as sellers, translators and forms alter them.

Each alteration is a pure function of (title, strength, key): equal arguments give equal titles, in any process. What
is random is drawn from the key with a place in the title, so a title altered more is altered where it was altered
less, too. Strength 0 changes nothing, but for `cut`, whose strength is what is left. A title of which nothing is left
is None.
"""

import numpy as np
from numpy.typing import NDArray

from item_embed.hashing import uniform

_DROP, _ORDER, _MISSPELT, _ERROR, _SCRIPT = range(201, 206)  # streams that nothing else uses

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
#: Each letter's right neighbour on a QWERTY keyboard; the last of a row has its left one.
_NEIGHBOUR = {row[i]: (row + row[-2])[i + 1] for row in _ROWS for i in range(len(row))}

#: Each letter by its sound, as a Russian keyboard has it.
_CYRILLIC = dict(zip("abcdefghijklmnopqrstuvwyz", "абкдефгхижклмнопкрстуввйз", strict=True)) | {"x": "кс"}
#: Each letter by its looks (a, e, i, k, n, o, p, t, u, w, x, y) or its sound.
_GREEK = dict(zip("abcdefghijklmnopqrstuvwxyz", "αβκδεφγηιικλμνοπκρστυβωχυζ", strict=True))


def cut(title: str, words: float, key: int = 0) -> str | None:
    """The first words of a title.

    Examples:
        >>> cut("red ceramic mug 350 ml", 3)
        'red ceramic mug'
    """
    return " ".join(title.split()[: int(words)]) or None


def drop_words(title: str, share: float, key: int) -> str | None:
    """A title without a share of its words, drawn at random: what is left keeps its order.

    Examples:
        >>> len(drop_words("red ceramic mug 350 ml", 0.4, key=7).split())
        3
    """
    words = title.split()
    dropped = _lowest(uniform(key, _DROP, np.arange(len(words))), share)
    return " ".join(word for word, gone in zip(words, dropped, strict=True) if not gone) or None


def reorder_words(title: str, share: float, key: int) -> str:
    """A title of which a share of the words, at least two, change places, each into that of another.

    Examples:
        >>> reorder_words("red mug", 1, key=0)
        'mug red'
    """
    words = title.split()
    if share <= 0 or len(words) < 2:
        return title
    draws = uniform(key, _ORDER, np.arange(len(words)))
    moved = np.argsort(draws, kind="stable")[: max(2, _count(share, len(words)))]
    altered = list(words)
    for place, source in zip(moved, np.roll(moved, 1), strict=True):  # one cycle: no word stays
        altered[place] = words[source]
    return " ".join(altered)


def misspell(title: str, share: float, key: int) -> str | None:
    """A title with an error at a share of its letters: swapped with the next, a neighbouring key, or omitted.

    The three are drawn equally often. A letter that cannot be swapped (the last of its word, the same as the next)
    becomes a neighbouring key; one that a QWERTY keyboard lacks is omitted. A letter that was swapped with the one
    before it has had its error.

    Examples:
        >>> misspell("ceramic mug", 0.1, key=0) != "ceramic mug"
        True
    """
    letters = np.array([i for i, c in enumerate(title) if c.isalpha()], np.int64)
    wrong = set(letters[_lowest(uniform(key, _MISSPELT, letters), share)].tolist())
    errors = uniform(key, _ERROR, np.arange(len(title)))
    altered: list[str] = []
    place = 0
    while place < len(title):
        letter, after = title[place], title[place + 1 : place + 2]
        place += 1
        if place - 1 not in wrong:
            altered.append(letter)
        elif errors[place - 1] < 1 / 3 and after.isalpha() and after != letter:
            altered.append(after + letter)
            place += 1
        elif errors[place - 1] < 2 / 3:
            neighbour = _NEIGHBOUR.get(letter.lower(), "")
            altered.append(neighbour.upper() if letter.isupper() else neighbour)
    return " ".join("".join(altered).split()) or None  # a word of one letter may be gone


def in_cyrillic(title: str, share: float, key: int) -> str:
    """A title of which a share of the words is written in Cyrillic letters, each Latin letter by its sound.

    One letter for each of a to z (x: кс), whatever its neighbours: c, k and q become к, v and w become в. Digits and
    letters with accents stay as they are.

    Examples:
        >>> in_cyrillic("Red mug 350 ml", 1, key=0)
        'Ред муг 350 мл'
    """
    return _transliterated(title, share, key, _CYRILLIC)


def in_greek(title: str, share: float, key: int) -> str:
    """The same in Greek letters, by their looks or their sound: h becomes η, x becomes χ, w becomes ω.

    Examples:
        >>> in_greek("Red mug 350 ml", 1, key=0)
        'Ρεδ μυγ 350 μλ'
    """
    return _transliterated(title, share, key, _GREEK)


def has_several_words(title: str) -> bool:
    """Whether a title has two different words, so that their order can change."""
    return len(set(title.split())) > 1


def has_latin_letters(title: str) -> bool:
    """Whether a title has any of the letters a to z."""
    return any(letter in _CYRILLIC for letter in title.lower())


def has_letters(title: str) -> bool:
    """Whether a title has a letter of any script, which can be misspelt."""
    return any(letter.isalpha() for letter in title)


def _transliterated(title: str, share: float, key: int, table: dict[str, str]) -> str:
    words = title.split()
    latin = np.array([i for i, word in enumerate(words) if has_latin_letters(word)], np.int64)
    for place in latin[_lowest(uniform(key, _SCRIPT, latin), share)]:
        words[place] = "".join(_letter(letter, table) for letter in words[place])
    return " ".join(words)


def _letter(letter: str, table: dict[str, str]) -> str:
    found = table.get(letter.lower(), letter)
    return found.upper() if letter.isupper() else found


def _count(share: float, of: int) -> int:
    """A share of a number, rounded to the nearest."""
    return int(share * of + 0.5)


def _lowest(draws: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
    """(n,) True for a share of the draws, the lowest: a larger share holds every smaller one."""
    chosen = np.zeros(len(draws), np.bool_)
    chosen[np.argsort(draws, kind="stable")[: _count(share, len(draws))]] = True
    return chosen
