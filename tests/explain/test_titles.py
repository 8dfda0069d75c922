import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from item_embed.embedding.seen import seen_title
from item_embed.explain.titles import place_of, shared_out, without, word_spans
from item_embed.model.words import Words, words_of

TITLE = "Café-Mug, Größe 3  mug 红色杯子XL"


def test_words_are_what_spaces_part_and_chinese_letter_by_letter() -> None:
    words = [TITLE[start:end] for start, end in word_spans(TITLE)]
    assert words == ["Café-Mug,", "Größe", "3", "mug", "红", "色", "杯", "子", "XL"]
    assert word_spans(None) == []


def test_a_word_is_left_out_with_the_space_beside_it() -> None:
    assert [without("Red canvas shoe", span) for span in word_spans("Red canvas shoe")] == [
        "canvas shoe",
        "Red shoe",
        "Red canvas",
    ]
    assert without("mug", (0, 3)) == ""


@pytest.mark.parametrize(
    ("piece", "place"), [((0, 3), 0), ((0, 0), None), ((3, 4), 0), ((10, 15), 1), ((9, 15), 1), ((19, 22), 3)]
)
def test_a_token_belongs_to_the_word_that_its_last_letter_is_in(piece: tuple[int, int], place: int | None) -> None:
    assert place_of(word_spans(TITLE), piece) == place


def test_a_hashed_word_is_shared_out_to_where_it_is_written() -> None:
    spans = word_spans(TITLE)
    words = words_of(TITLE)
    assert words[:2] == ["cafe", "mug"]
    found = shared_out(TITLE, spans, words)
    assert found.shape == (len(words), len(spans))
    assert found[:2, :4].tolist() == [[1, 0, 0, 0], [0.5, 0, 0, 0.5]]
    assert shared_out(None, [], []).shape == (0, 0)


@example("0\U0002b820")  # which BERT's normaliser does not take for Chinese, though it is
@given(st.text(max_size=40).map(seen_title))
def test_every_hashed_word_of_a_title_is_written_somewhere(title: str | None) -> None:
    found = shared_out(title, word_spans(title), words_of(title))
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)


@given(st.lists(st.text(max_size=20), max_size=4), st.text(max_size=30))
def test_what_words_add_to_a_title_is_its_vector(titles: list[str], title: str) -> None:
    words = Words.of(titles, width=24)
    summed = sum(words.shares(title).values(), np.zeros(24, np.float32))
    np.testing.assert_allclose(summed, words([title])[0], atol=1e-6)
    assert list(words.shares(title)) == words_of(title)
