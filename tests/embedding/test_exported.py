"""What an exported model's folder keeps of words."""

import hashlib
import json
import math
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


def test_words_are_made_as_the_documentation_tells_other_languages(tmp_path: Path) -> None:
    save_words(Words.of(["red mug", "Blue mug, 350 ml"], 100), tmp_path)
    known = json.loads((tmp_path / WORDS_FILE).read_text(encoding="utf8"))
    expected = [0.0] * known["width"]
    for word in ("red", "mug", "350", "new"):
        hashed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little") // 2
        weight = math.log((1 + known["titles"]) / (1 + known["counts"].get(str(hashed % 65536), 0))) + 1
        blocks = b"".join(splitmix(splitmix(0, hashed), block).to_bytes(8, "little") for block in range(2))
        bits = "".join(f"{byte:08b}" for byte in blocks)
        expected = [one + weight * (1 if bit == "1" else -1) for one, bit in zip(expected, bits, strict=False)]
    length = math.hypot(*expected)
    found = load_words(tmp_path)(["New RED mug - mug 350!"])
    np.testing.assert_allclose(found, [[one / length for one in expected]], atol=1e-6)


def splitmix(state: int, key: int) -> int:
    """One key of `hash64`."""
    mixed = ((state ^ key) + 0x9E3779B97F4A7C15) % 2**64
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB % 2**64
    return mixed ^ mixed >> 31
