import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE

from item_embed.errors import ModelError
from item_embed.model.tokenizer import (
    CLS,
    MASK,
    PAD,
    SEP,
    SPECIAL_TOKENS,
    UNK,
    added_pieces,
    extend_tokenizer,
    load_tokenizer,
    train_tokenizer,
)

_TRAIN = """
from item_embed.model.tokenizer import train_tokenizer
letters = "abcdefghijklmnopqrstuvwxyz"
words = ["".join(letters[(i * k * k + 7 * k + i // 3) % 26] for k in range(2 + i % 6)) for i in range(400)]
titles = [" ".join(words[(i * 31 + k * 17) % 400] for k in range(5)) for i in range(600)]
print(train_tokenizer(titles, 300).to_str())
"""


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["Red shoe", "red sock", "Café mug"] * 3, 100)


def test_special_tokens_come_first_and_stand_around_a_title(tokenizer: Tokenizer) -> None:
    assert [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == [PAD, UNK, CLS, SEP, MASK]
    ids = tokenizer.encode("red shoe").ids
    assert (ids[0], ids[-1]) == (CLS, SEP)
    assert tokenizer.encode("").ids == [CLS, SEP]


def test_case_and_accents_make_no_difference(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("RED cafe").ids == tokenizer.encode("red Café").ids
    assert UNK not in tokenizer.encode("red cafe").ids
    assert tokenizer.encode("猫").ids == [CLS, UNK, SEP]


def test_frequent_words_are_one_token_and_the_vocabulary_has_no_gap() -> None:
    tokenizer = train_tokenizer(["unusual sandal"] * 9, 200)
    assert tokenizer.encode("unusual sandal").tokens == ["[CLS]", "unusual", "sandal", "[SEP]"]
    assert sorted(tokenizer.get_vocab().values()) == list(range(tokenizer.get_vocab_size()))


def test_the_vocabulary_is_no_larger_than_asked_for() -> None:
    titles = [f"thing {'abcdefgh'[i % 8]}{'ijklmnop'[i // 8 % 8]} {i}" for i in range(500)] * 2
    assert train_tokenizer(titles, 64).get_vocab_size() == 64


def test_a_special_token_in_a_title_is_a_word_in_brackets(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("red [PAD] [SEP] [MASK] shoe").ids
    assert ids.count(SEP) == ids.count(CLS) == 1
    assert PAD not in ids
    assert MASK not in ids


def test_no_titles_give_a_tokenizer_all_the_same() -> None:
    assert train_tokenizer([], 64).encode("red").ids == [CLS, UNK, SEP]


def test_two_processes_train_the_same_tokenizer() -> None:
    processes = [subprocess.Popen([sys.executable, "-c", _TRAIN], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert len(outputs[0]) > 1000
    assert len({hashlib.sha256(output.encode()).hexdigest() for output in outputs}) == 1


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.json is missing: this is no folder of an item-embed model"):
        load_tokenizer(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model": 3}'])
def test_a_damaged_file_is_one_sentence(content: str, tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(content)
    with pytest.raises(ModelError, match="damaged and cannot be read"):
        load_tokenizer(file)


def test_another_models_tokenizer_is_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(tokenizer.to_str().replace('"[MASK]":4', '"[GAP]":4'))
    assert file.read_text() != tokenizer.to_str()
    with pytest.raises(ModelError, match="does not have the special tokens"):
        load_tokenizer(file)


NEW = ["Hoodie, red", "hoodie ЖЮ"] * 3


def test_an_extended_tokenizer_keeps_every_id_and_cuts_what_it_knows_as_before(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    before = tokenizer.to_str()
    extended = extend_tokenizer(tokenizer, NEW, 200)
    assert tokenizer.to_str() == before
    ids, known = extended.get_vocab(), tokenizer.get_vocab()
    assert {piece: ids[piece] for piece in known} == known
    assert sorted(ids.values()) == list(range(len(ids)))
    for title in ("Red shoe", "café sock", "mug red SOCK", ""):
        assert extended.encode(title).ids == tokenizer.encode(title).ids
    extended.save(str(tmp_path / "tokenizer.json"))
    assert load_tokenizer(tmp_path / "tokenizer.json").to_str() == extended.to_str()
    assert json.loads(extended.to_str()).keys() == json.loads(before).keys()


def test_frequent_words_become_whole_and_no_letter_is_unknown_any_more(tokenizer: Tokenizer) -> None:
    assert UNK in tokenizer.encode("hoodie жю").ids
    extended = extend_tokenizer(tokenizer, NEW, 200)
    assert extended.encode("Hoodie").tokens == ["[CLS]", "hoodie", "[SEP]"]
    assert UNK not in extended.encode("жю, ж hie").ids
    assert extended.token_to_id("жю") is None  # three times are too few
    assert extend_tokenizer(tokenizer, NEW, 200, min_frequency=3).token_to_id("жю") is not None


def test_the_most_frequent_words_come_first_and_letters_even_past_the_limit(tokenizer: Tokenizer) -> None:
    titles = ["hoodie"] * 5 + ["tee"] * 9 + ["cap"] * 9
    everything = list(added_pieces(tokenizer, extend_tokenizer(tokenizer, titles, 500)))
    letters = [piece for piece in everything if len(piece.removeprefix("##")) == 1]
    assert everything == [*sorted(letters), "cap", "tee", "hoodie"]
    size = tokenizer.get_vocab_size()
    for room in (-size, 0, len(letters), len(letters) + 2):
        some = list(added_pieces(tokenizer, extend_tokenizer(tokenizer, titles, size + room)))
        assert some == everything[: max(room, len(letters))]


def test_letters_of_further_titles_are_kept_where_they_begin_a_word_and_where_they_continue_one(
    tokenizer: Tokenizer,
) -> None:
    extended = extend_tokenizer(tokenizer, [], 64, letters="ЖZ鼎")
    assert UNK not in extended.encode("жж zz 鼎鼎").ids
    assert UNK in extend_tokenizer(tokenizer, [], 64).encode("ж").ids


def test_titles_without_anything_new_leave_the_tokenizer_as_it_is(tokenizer: Tokenizer) -> None:
    assert extend_tokenizer(tokenizer, ["red shoe", "Café mug"] * 9, 500).to_str() == tokenizer.to_str()


def test_another_kind_of_tokenizer_is_left_as_it_is() -> None:
    other = Tokenizer(BPE({"[UNK]": 0, "a": 1}, [], unk_token="[UNK]"))
    assert extend_tokenizer(other, ["hoodie"] * 9, 64).to_str() == other.to_str()


def test_a_new_piece_tells_what_it_was_cut_into_before(tokenizer: Tokenizer) -> None:
    extended = extend_tokenizer(tokenizer, ["redshoe mugock Ж"] * 5, 500)
    cut, size = added_pieces(tokenizer, extended), tokenizer.get_vocab_size()
    assert [extended.token_to_id(piece) for piece in cut] == list(range(size, size + len(cut)))
    assert [tokenizer.id_to_token(number) for number in cut["mugock"]] == ["mug", "##ock"]
    assert cut["ж"] == []


KNOWN = train_tokenizer(["red shoe", "red sock", "Café mug"] * 3, 100)


@settings(max_examples=40)
@given(st.lists(st.text(max_size=20), max_size=8), st.integers(0, 120))
def test_extending_never_moves_an_id_or_leaves_a_letter_out(titles: list[str], vocab_size: int) -> None:
    extended = extend_tokenizer(KNOWN, titles, vocab_size, min_frequency=1)
    ids, known = extended.get_vocab(), KNOWN.get_vocab()
    assert {piece: ids[piece] for piece in known} == known
    assert sorted(ids.values()) == list(range(len(ids)))
    assert all(UNK not in extended.encode(title).ids for title in titles)
