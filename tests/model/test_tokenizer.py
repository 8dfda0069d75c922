import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from item_embed.errors import ModelError
from item_embed.model.tokenizer import CLS, MASK, PAD, SEP, SPECIAL_TOKENS, UNK, load_tokenizer, train_tokenizer

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
    processes = [subprocess.Popen([sys.executable, "-c", _TRAIN], stdout=subprocess.PIPE, text=True) for _ in range(3)]
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
