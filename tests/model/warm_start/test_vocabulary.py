import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer

from item_embed.errors import ModelError
from item_embed.model.tokenizer import SPECIAL_TOKENS, load_tokenizer
from item_embed.model.warm_start.vocabulary import adopt_vocabulary
from tests.model.warm_start.made import TITLES, byte_pairs, unigram, word_piece

MADE = {"bert": word_piece, "roberta": byte_pairs, "xlm-roberta": unigram}
SPELT = {"[PAD]": "<pad>", "[UNK]": "<unk>", "[CLS]": "<s>", "[SEP]": "</s>", "[MASK]": "<mask>"}


@pytest.fixture(scope="module", params=sorted(MADE))
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, Any]:
    file = tmp_path_factory.mktemp(request.param) / "tokenizer.json"
    MADE[request.param]().save(str(file))
    return Tokenizer.from_file(str(file)), adopt_vocabulary(file)


@given(st.text(alphabet="Rreddmug, lps3ß鼎́ï☕\t-0123", max_size=20) | st.sampled_from(TITLES))
@settings(max_examples=200, deadline=None)
def test_titles_are_cut_as_by_their_own(both: tuple[Tokenizer, Any], title: str) -> None:
    theirs, ours = both
    expected, found = theirs.encode(title), ours.tokenizer.encode(title)
    assert [ours.old_ids[number] for number in found.ids] == expected.ids
    names = SPELT if theirs.token_to_id("<s>") is not None else {}
    assert [names.get(token, token) for token in found.tokens] == expected.tokens


def test_special_tokens_lie_where_ours_do_and_the_others_follow_in_their_order(both: tuple[Tokenizer, Any]) -> None:
    theirs, ours = both
    assert [ours.tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]
    assert sorted(ours.old_ids) == list(range(theirs.get_vocab_size()))
    assert ours.old_ids[5:] == sorted(ours.old_ids[5:])
    assert ours.tokenizer.get_vocab_size() == theirs.get_vocab_size() == len(ours.old_ids)


def test_what_is_saved_is_a_tokenizer_of_ours(both: tuple[Tokenizer, Any], tmp_path: Path) -> None:
    _, ours = both
    ours.tokenizer.save(str(tmp_path / "tokenizer.json"))
    loaded = load_tokenizer(tmp_path / "tokenizer.json")
    for title in TITLES:
        assert loaded.encode(title).ids == ours.tokenizer.encode(title).ids


@pytest.mark.parametrize("title", ["[MASK] mug [CLS]", "<mask> <s>mug</s>", "[SEP][PAD] red", "\uff3bMASK\uff3d"])
def test_a_special_token_in_a_title_is_text(both: tuple[Tokenizer, Any], title: str) -> None:
    found = both[1].tokenizer.encode(title, add_special_tokens=False)
    assert not {0, 2, 3, 4} & set(found.ids), found.tokens


def test_what_else_was_added_is_found_as_before(tmp_path: Path) -> None:
    tokenizer = word_piece()
    tokenizer.add_tokens([AddedToken("350ml", normalized=False)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    ours = adopt_vocabulary(tmp_path / "tokenizer.json")
    encoded = ours.tokenizer.encode("red 350ml mug")
    assert encoded.tokens == ["[CLS]", "red", "350ml", "mug", "[SEP]"]
    assert [ours.old_ids[number] for number in encoded.ids] == tokenizer.encode("red 350ml mug").ids


def test_gaps_in_the_numbers_are_closed(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    spec = json.loads(word_piece().to_str())
    assert spec["model"]["vocab"].pop("[unused1]") == 13
    file.write_text(json.dumps(spec))
    ours = adopt_vocabulary(file)
    assert sorted(ours.tokenizer.get_vocab().values()) == list(range(len(ours.old_ids)))
    assert sorted(ours.old_ids) == [*range(13), *range(14, 33)]


def test_what_is_no_usable_tokenizer_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text("{}")
    with pytest.raises(ModelError, match=r"tokenizer\.json is damaged and cannot be read"):
        adopt_vocabulary(file)
    text = json.dumps(json.loads(word_piece().to_str()))
    file.write_text(text.replace("[MASK]", "[HIDE]"))
    with pytest.raises(ModelError, match=r"lacks special tokens: it needs \[PAD\], .* or <pad>, <unk>"):
        adopt_vocabulary(file)
    spec = json.loads(byte_pairs().to_str())
    spec["model"]["vocab"]["[SEP]"] = len(spec["model"]["vocab"]) + 1
    file.write_text(json.dumps(spec))
    with pytest.raises(ModelError, match=r"has \[SEP\] besides </s>"):
        adopt_vocabulary(file)
