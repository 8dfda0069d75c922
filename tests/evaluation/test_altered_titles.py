from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.evaluation.alterations import TITLE_ALTERATIONS
from item_embed.evaluation.altered_titles import (
    cut,
    drop_words,
    has_latin_letters,
    has_letters,
    has_several_words,
    in_cyrillic,
    in_greek,
    misspell,
    reorder_words,
)

words = st.text("abcdexyzABCXéß漢1 -", min_size=1, max_size=8).map(lambda w: w.replace(" ", "")).filter(bool)
titles = st.lists(words, min_size=1, max_size=9).map(" ".join)
shares = st.sampled_from((0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0))
keys = st.integers(0, 2**64 - 1)
some = settings(max_examples=60)


def rounded(share: float, count: int) -> int:
    return int(share * count + 0.5)


@some
@given(titles, st.integers(0, 12))
def test_a_cut_title_is_its_first_words(title: str, kept: int) -> None:
    found = cut(title, kept)
    assert (found or "").split() == title.split()[:kept]
    assert found != ""


@some
@given(titles, shares, keys)
def test_the_share_of_words_is_left_out_and_the_rest_keeps_its_order(title: str, share: float, key: int) -> None:
    found = drop_words(title, share, key)
    before, after = title.split(), (found or "").split()
    assert len(before) - len(after) == rounded(share, len(before))
    rest = iter(before)
    assert all(word in rest for word in after)  # a subsequence
    assert found != ""


@some
@given(titles, keys)
def test_what_is_left_out_of_more_holds_what_is_left_out_of_less(title: str, key: int) -> None:
    counts = [Counter((drop_words(title, share, key) or "").split()) for share in (0.9, 0.5, 0.3, 0)]
    assert all(fewer <= more for fewer, more in pairwise(counts))


@some
@given(st.lists(words, min_size=2, max_size=9, unique=True), shares, keys)
def test_the_share_of_words_changes_places(parts: list[str], share: float, key: int) -> None:
    found = reorder_words(" ".join(parts), share, key).split()
    moved = sum(a != b for a, b in zip(parts, found, strict=True))
    assert sorted(found) == sorted(parts)
    assert moved == (max(2, rounded(share, len(parts))) if share else 0)


def editing(one: str, other: str) -> int:
    """The least number of letters to insert, delete, replace, or swap with the next."""
    table = [[i + j if i * j == 0 else 0 for j in range(len(other) + 1)] for i in range(len(one) + 1)]
    for i in range(1, len(one) + 1):
        for j in range(1, len(other) + 1):
            table[i][j] = min(
                table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (one[i - 1] != other[j - 1])
            )
            if i > 1 and j > 1 and one[i - 2 : i] == other[j - 2 : j][::-1]:
                table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    return table[-1][-1]


@some
@given(titles, shares, keys)
def test_a_misspelt_title_has_errors_at_the_share_of_its_letters(title: str, share: float, key: int) -> None:
    found = misspell(title, share, key)
    errors = rounded(share, sum(c.isalpha() for c in title))
    assert (found == title) == (errors == 0)
    spaces = title.count(" ") - (found or "").count(" ")  # those of words that vanished
    assert editing(title, found or "") <= errors + spaces
    assert Counter(c for c in found or "" if c.isdigit()) == Counter(c for c in title if c.isdigit())


def test_all_three_errors_are_made() -> None:
    found = {misspell("lamp", 0.25, key) for key in range(200)}
    swapped, pressed, omitted = {"almp", "lmap", "lapm"}, {"kamp", "lsmp", "lanp", "lamo"}, {"amp", "lmp"}
    assert found & swapped
    assert found & pressed
    assert found & omitted
    shorter = sum(len(misspell("clipboards", 0.1, key) or "") == 9 for key in range(600))
    assert 140 < shorter < 260  # a third


@pytest.mark.parametrize("write", [in_cyrillic, in_greek])
@some
@given(titles, shares, keys)
def test_the_share_of_latin_words_is_written_in_the_other_script(
    write: Callable[[str, float, int], str], title: str, share: float, key: int
) -> None:
    before, after = title.split(), write(title, share, key).split()
    latin = [word for word in before if has_latin_letters(word)]
    assert sum(a != b for a, b in zip(before, after, strict=True)) == rounded(share, len(latin))
    assert share < 1 or not any(has_latin_letters(word) for word in after)


def test_scripts_are_those_of_the_tables() -> None:
    assert in_cyrillic("Max BOX quiz, 10 café", 1, 0) == "Макс БОКС куиз, 10 кафé"
    assert in_greek("Max ADZ quiz, 10 café", 1, 0) == "Μαχ ΑΔΖ κυιζ, 10 καφé"


@pytest.mark.parametrize("name", TITLE_ALTERATIONS)
@some
@given(titles, keys)
def test_an_alteration_is_a_function_of_title_strength_and_key(name: str, title: str, key: int) -> None:
    one = TITLE_ALTERATIONS[name]
    for strength in one.strengths:
        assert one.alter(title, strength, key) == one.alter(title, strength, key)


@pytest.mark.parametrize("name", [name for name in TITLE_ALTERATIONS if name != "cut"])
def test_keys_draw_differently(name: str) -> None:
    one = TITLE_ALTERATIONS[name]
    title = "a long title of eight words or so"
    assert len({one.alter(title, one.strengths[0], key) for key in range(20)}) > 3


@some
@given(titles, keys)
def test_strength_zero_changes_nothing(title: str, key: int) -> None:
    for name, one in TITLE_ALTERATIONS.items():
        assert one.alter(title, 0 if name != "cut" else 99, key) == title


def test_a_title_of_one_word_stands_every_alteration() -> None:
    for one in TITLE_ALTERATIONS.values():
        for strength in one.strengths:
            assert one.alter("漢", strength, 0) in (None, "漢")
    assert drop_words("mug", 0.9, 0) is None
    assert reorder_words("mug", 1, 0) == "mug"


def test_what_can_be_altered() -> None:
    assert [has_several_words(t) for t in ("mug", "mug mug", "red mug")] == [False, False, True]
    assert [has_letters(t) for t in ("350 - 1", "漢", "a")] == [False, True, True]
    assert [has_latin_letters(t) for t in ("350", "é", "3 L")] == [False, False, True]
