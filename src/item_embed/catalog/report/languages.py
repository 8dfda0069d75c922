"""Scripts and languages of titles. A script is sure, a language is an estimate: titles are short."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

NO_LETTERS = "no letters"
OTHER = "other"
_LETTER = re.compile("[A-Za-z]")
# The first word of a letter's Unicode name -> the script's usual name.
_SCRIPTS = {
    "CJK": "Chinese",
    "HIRAGANA": "Japanese",
    "KATAKANA": "Japanese",
    "KATAKANA-HIRAGANA": "Japanese",
    "HALFWIDTH": "Japanese",
    "FULLWIDTH": "Latin",
}
# Others are called as Unicode calls them; what is missing here are letters such as ª and µ, which tell no script.
_SCRIPTS |= {
    name.upper(): name
    for name in (
        *("Latin", "Cyrillic", "Greek", "Armenian", "Georgian", "Hebrew", "Arabic", "Hangul", "Ethiopic"),
        *("Devanagari", "Bengali", "Gurmukhi", "Gujarati", "Oriya", "Tamil", "Telugu", "Kannada", "Malayalam"),
        *("Sinhala", "Thai", "Lao", "Tibetan", "Myanmar", "Khmer", "Mongolian"),
    )
}
#: Scripts whose words are not parted by spaces.
UNSPACED = {"Chinese", "Japanese", "Thai", "Lao", "Khmer", "Myanmar"}
_LETTERS_OF_A_WORD = 2  # in scripts without spaces; Chinese words have about two, Thai ones more
# Languages in which shops commonly write. With all that the identifier knows, short titles look like rare languages.
LANGUAGES = {
    "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "ca": "Catalan", "cs": "Czech", "da": "Danish",
    "de": "German", "el": "Greek", "en": "English", "es": "Spanish", "et": "Estonian", "fa": "Persian",
    "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian",
    "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ko": "Korean", "lt": "Lithuanian", "lv": "Latvian",
    "ms": "Malay", "nl": "Dutch", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian",
    "ru": "Russian", "sk": "Slovak", "sl": "Slovenian", "sr": "Serbian", "sv": "Swedish", "ta": "Tamil",
    "th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip
_ROUNDS = 30  # of the estimate below; it settles within ten


def script_and_words(title: str) -> tuple[str, int]:
    """The script of most of a title's letters, and its length in words.

    Where a script writes no spaces, two of its letters count as a word.

    Examples:
        >>> script_and_words("red mug"), script_and_words("красная кружка 2")
        (('Latin', 2), ('Cyrillic', 3))
    """
    words = len(title.split())
    if title.isascii():
        return ("Latin" if _LETTER.search(title) else NO_LETTERS), words
    scripts = Counter(filter(None, map(_script, title)))
    if not scripts:
        return NO_LETTERS, words
    if "Japanese" in scripts:  # whose titles hold Chinese characters too
        scripts["Japanese"] += scripts.pop("Chinese", 0)
    unspaced = sum(number for script, number in scripts.items() if script in UNSPACED)
    return max(scripts, key=scripts.__getitem__), max(words, unspaced // _LETTERS_OF_A_WORD)


@lru_cache(maxsize=65536)
def _script(character: str) -> str | None:
    """The script of a letter; None for what is no letter."""
    return _SCRIPTS.get(unicodedata.name(character, OTHER).split()[0], OTHER) if character.isalpha() else None


def languages(titles: Sequence[str]) -> Counter[str] | None:
    """How many of the titles are in which language: an estimate.

    One title is too short to tell. So the shares of languages and the language of each title are estimated
    together (expectation maximisation): "Nike Air Max" is English among English titles, German among German ones.

    Returns:
        Language -> titles, or None without the package `py3langid`.
    """
    identifier = _identifier()
    if identifier is None:
        return None
    if not titles:
        return Counter()
    codes = sorted(identifier.labels)
    ranked = [dict(identifier.rank(title)) for title in titles]
    likely = np.array([[float(one[code]) for code in codes] for one in ranked])
    found = np.bincount((likely * _shares(likely)).argmax(axis=1), minlength=len(codes))
    return Counter({LANGUAGES[code]: int(n) for code, n in zip(codes, found, strict=True) if n})


@cache
def _identifier() -> Any:
    """The package's model, which takes half a second to unpack; None without the package."""
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        return None
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([code for code in LANGUAGES if code in identifier.labels])
    return identifier


def _shares(likely: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shares of the columns that make the rows' likelihoods (n, k) most likely, (k,)."""
    shares = np.full(likely.shape[1], 1 / likely.shape[1])
    for _ in range(_ROUNDS):
        weighted = likely * shares + 1e-12
        shares = (weighted / weighted.sum(axis=1, keepdims=True)).mean(axis=0)
    return shares
