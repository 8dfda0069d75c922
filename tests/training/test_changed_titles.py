from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from item_embed.training.changed_titles import change_title

TITLE, OTHER = "Acme red ceramic mug with a handle 350 ml", "Blue suede shoes"
words = st.text(st.characters(exclude_categories=("Z", "C")), min_size=1, max_size=9)
titles = st.lists(words, min_size=1, max_size=12).map(" ".join)


@given(titles, st.one_of(titles, st.just("")), st.integers(0, 2**63), st.floats(0, 2))
def test_a_title_keeps_at_least_a_word_and_takes_none_from_elsewhere(
    title: str, other: str, key: int, strength: float
) -> None:
    changed = change_title(title, other, key, strength)
    assert changed.split()
    assert set(changed) <= set(title) | set(other) | {" "}
    assert len(changed.split()) <= len(title.split()) + 3
    assert change_title(title, other, key, strength) == changed


def test_without_strength_nothing_changes() -> None:
    assert {change_title(TITLE, OTHER, key, 0) for key in range(50)} == {TITLE}


def test_other_keys_change_otherwise_and_more_strength_changes_more() -> None:
    weak, full = ([change_title(TITLE, OTHER, key, s) for key in range(200)] for s in (0.2, 1))
    assert len(set(full)) > 150
    assert sum(title == TITLE for title in weak) > 3 * sum(title == TITLE for title in full)


def test_each_kind_of_change_comes_about_as_often_as_said() -> None:
    changed = [change_title(TITLE, OTHER, key).split() for key in range(2000)]
    own, n = TITLE.split(), len(changed)
    put_in = sum(bool({"Blue", "suede", "shoes"} & set(title)) for title in changed) / n
    assert 0.24 < put_in < 0.36
    lacking = Counter(word for title in changed for word in own if word not in title)
    assert lacking["Acme"] > lacking["with"] * 1.2  # the brand is left out more often than another word of its length
    ordered = [[own.index(word) for word in title if word in own] for title in changed]
    moved = sum(places != sorted(places) for places in ordered) / n
    assert 0.2 < moved < 0.32
    misspelt = [word for title in changed for word in title if word not in own and word not in OTHER.split()]
    assert 0.5 < len(misspelt) / n < 2


def test_short_words_are_spelt_as_they_are() -> None:
    assert {word for key in range(300) for word in change_title("a ab abc", "", key).split()} == {"a", "ab", "abc"}


def test_the_documented_example() -> None:
    assert change_title("Acme red ceramic mug", "Blue shoe", key=3) == "Ace red ceramic mug"
