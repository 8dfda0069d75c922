"""What an exported model's folder keeps of words."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from item_embed.embedding.exported import WORDS_FILE, load_words, save_words
from item_embed.errors import ModelError
from item_embed.model.words import Words

TITLES = st.lists(st.none() | st.text("abcé 12,", max_size=12), max_size=8)


@given(TITLES, TITLES, st.integers(1, 100))
def test_words_are_read_as_they_were_written(seen: list[str | None], asked: list[str | None], width: int) -> None:
    words = Words.of(seen, width)
    with TemporaryDirectory() as folder:
        save_words(words, Path(folder))
        again = load_words(Path(folder))
    assert (again.titles, again.width) == (len(seen), width)
    np.testing.assert_array_equal(again.counts, words.counts)
    np.testing.assert_array_equal(again(asked), words(asked))


def test_the_file_names_counters_that_are_not_zero(tmp_path: Path) -> None:
    """What a program in another language reads: the counter of each word is its hash modulo 65,536."""
    save_words(Words.of(["red mug", "mug"], 8), tmp_path)
    told = json.loads((tmp_path / WORDS_FILE).read_text(encoding="utf8"))
    assert sorted(told.pop("counts").values()) == [1, 2]
    assert told == {"width": 8, "titles": 2}


@pytest.mark.parametrize("counts", [{"65536": 1}, {"red": 1}, {"1": 10**12}, {"1": "many"}, {"1": None}, [1], None])
def test_damaged_counts_are_one_sentence(counts: object, tmp_path: Path) -> None:
    (tmp_path / WORDS_FILE).write_text(json.dumps({"width": 8, "titles": 2, "counts": counts}))
    with pytest.raises(ModelError, match=r"words\.json cannot be read .*; copy the whole folder, or export the model"):
        load_words(tmp_path)
