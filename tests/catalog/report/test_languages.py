import sys

import pytest

from item_embed.catalog.report import languages as module
from item_embed.catalog.report.languages import NO_LETTERS, languages, script_and_words

ENGLISH = [
    "Red cotton shirt for men",
    "Blue ceramic mug with lid",
    "Wooden chair for the kitchen",
    "Warm winter jacket",
]
GERMAN = [
    "Rotes Hemd aus Baumwolle",
    "Blaue Tasse mit Deckel",
    "Stuhl für die Küche aus Eiche",
    "Warme Jacke für den Winter",
]


@pytest.mark.parametrize(
    ("title", "script", "words"),
    [
        ("red mug", "Latin", 2),
        ("Rote Tasse für Käse", "Latin", 4),
        ("красная кружка 2", "Cyrillic", 3),
        ("كوب سيراميك أحمر", "Arabic", 3),
        ("紅色陶瓷馬克杯帶", "Chinese", 4),
        ("赤いマグカップ", "Japanese", 3),
        ("빨간 머그잔", "Hangul", 2),
        ("Nike кроссовки беговые", "Cyrillic", 3),
        ("12-34 / 5", NO_LETTERS, 3),
        ("②★ 12", NO_LETTERS, 2),
    ],
)
def test_the_script_is_that_of_most_letters(title: str, script: str, words: int) -> None:
    assert script_and_words(title) == (script, words)


def test_titles_of_one_language_are_all_taken_as_that_even_names() -> None:
    found = languages([*ENGLISH * 10, "Nike Air Max 90", "Lenovo T14"])

    assert found == {"English": 42}


def test_two_languages_are_told_apart() -> None:
    found = languages([*ENGLISH * 10, *GERMAN * 10])

    assert found is not None
    assert set(found) == {"English", "German"}
    assert 25 <= found["German"] <= 55


def test_without_titles_there_is_no_language() -> None:
    assert languages([]) == {}


def test_without_the_identifier_languages_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    monkeypatch.setattr(module, "_identifier", module._identifier.__wrapped__)  # what it remembers is for others

    assert languages(ENGLISH) is None
