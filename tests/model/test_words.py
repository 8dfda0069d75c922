"""Words of titles, projected at random: against TF-IDF by scikit-learn."""

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from item_embed.model.words import Words, words_of

NAMES = [f"w{number}" for number in range(200)]


def drawn_titles(count: int, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    rare = 1 / np.arange(1, len(NAMES) + 1)
    return [" ".join(random.choice(NAMES, 6, replace=False, p=rare / rare.sum())) for _ in range(count)]


def test_cosines_are_those_of_tfidf_up_to_noise() -> None:
    titles = drawn_titles(300)
    vectorizer = TfidfVectorizer(binary=True, token_pattern=r"\w+")
    exact = vectorizer.fit_transform(titles)
    expected = (exact @ exact.T).toarray()
    errors = {}
    for width in (64, 1024):
        vectors = Words.of(titles, width)(titles)
        errors[width] = float((vectors @ vectors.T - expected).std())
    assert errors[64] < 1.2 / 64**0.5
    assert errors[1024] < errors[64] / 3  # noise falls as 1 / sqrt(width), which bias would not


def test_each_word_counts_once_and_the_rarer_the_more() -> None:
    titles = ["red mug", "blue mug", "blue cup"]
    words = Words.of(titles, 96)
    repeated, once = words(["red red mug", "mug red"])
    np.testing.assert_allclose(repeated, once, atol=1e-6)
    title, rare, frequent = words(["red mug", "red", "mug"])
    assert title @ rare > title @ frequent


def test_titles_without_words_are_zeros_and_none_is_lost() -> None:
    found = Words.of([None, "", "a"], 96)([None, "", "!?", "a"])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [0, 0, 0, 1], rtol=1e-6)
    assert Words.of(["a"], 0)(["a", None]).shape == (2, 0)


def test_words_are_parted_as_bert_does() -> None:
    assert words_of("\N{FULLWIDTH LATIN CAPITAL LETTER X}L Straße") == words_of("xl STRASSE") == ["xl", "strasse"]
    assert words_of("Café-Mug, mug 3000! 東京シャツ") == ["cafe", "mug", "3000", "東", "京", "シャツ"]


@given(st.lists(st.text(max_size=30), max_size=8), st.integers(1, 130))
def test_any_text_has_finite_numbers_whatever_the_others_are(titles: list[str], width: int) -> None:
    words = Words.of(titles, width)
    vectors = words(titles)
    assert np.isfinite(vectors).all()
    for title, vector in zip(titles, vectors, strict=True):
        np.testing.assert_array_equal(words([title])[0], vector)


def test_every_process_has_the_same_numbers() -> None:
    code = "from item_embed.model.words import Words; print(Words.of(['red mug'], 70)(['red mug']).tobytes().hex())"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == Words.of(["red mug"], 70)(["red mug"]).tobytes().hex()
