"""The tokenizer of a checkpoint made ours: its pieces and its way of finding them, our special tokens."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Regex, Tokenizer
from tokenizers.normalizers import Normalizer, Replace, Sequence
from tokenizers.processors import TemplateProcessing

from item_embed.errors import ModelError
from item_embed.model.tokenizer import CLS, SEP, SPECIAL_TOKENS, UNK

#: Our special tokens, as BERT and as RoBERTa and XLM-RoBERTa spell them.
_SPELLINGS = (SPECIAL_TOKENS, ("<pad>", "<unk>", "<s>", "</s>", "<mask>"))
_SPELT_OUT = Regex(rf"\[(?=({'|'.join(name.strip('[]') for name in SPECIAL_TOKENS)})\])")


class Vocabulary(NamedTuple):
    """A checkpoint's tokenizer with our special tokens.

    Attributes:
        tokenizer: cuts titles as the checkpoint's own. [PAD], [UNK], [CLS], [SEP] and [MASK], however that spells them,
            are its tokens 0 to 4; the others follow in their old order, without gaps.
        old_ids: the number that each token has in the checkpoint, V of them.
    """

    tokenizer: Tokenizer
    old_ids: list[int]


def adopt_vocabulary(file: Path) -> Vocabulary:
    """Read the tokenizer of BERT (WordPiece), RoBERTa (byte-level BPE) or XLM-RoBERTa (Unigram) and make it ours.

    As in tokenizers of ours, "[MASK]" in a title is a word in brackets, and no special token.

    Args:
        file: a `tokenizer.json`.

    Raises:
        ModelError: when it is damaged, or lacks a special token.

    Examples:
        >>> adopt_vocabulary(Path("bert-base-uncased/tokenizer.json")).old_ids[:5]  # doctest: +SKIP
        [0, 100, 101, 102, 103]
    """
    try:
        spec = json.loads(file.read_text(encoding="utf8"))
        old = Tokenizer.from_str(json.dumps(spec)).get_vocab(with_added_tokens=True)
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(f"{file} is damaged and cannot be read: {error}.") from None
    special = next((spelling for spelling in _SPELLINGS if old.keys() >= set(spelling)), None)
    if special is None:
        raise ModelError(
            f"{file} lacks special tokens: it needs {' or '.join(', '.join(names) for names in _SPELLINGS)}."
        )
    ours = dict(zip(special, SPECIAL_TOKENS, strict=True))
    if clash := sorted(set(SPECIAL_TOKENS) & old.keys() - ours.keys()):
        raise ModelError(f"{file} has {clash[0]} besides {special[SPECIAL_TOKENS.index(clash[0])]}: it cannot be used.")
    pieces = dict(spec["model"]["vocab"])  # and their log probabilities, in Unigram; else their old numbers
    others = sorted(old.keys() - ours.keys(), key=lambda token: (token not in pieces, old[token]))
    new = {token: number for number, token in enumerate([*special, *others])}
    _renumber(spec, pieces, new, ours)
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    if isinstance(spec["model"]["vocab"], list):  # Unigram's pieces are found as they are spelt, the special ones too
        spaced: Normalizer = Replace(_SPELT_OUT, "[ ")
        tokenizer.normalizer = Sequence([tokenizer.normalizer, spaced]) if tokenizer.normalizer else spaced
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    return Vocabulary(tokenizer, [old[token] for token in new])


def _renumber(spec: dict[str, Any], pieces: dict[str, Any], new: dict[str, int], ours: dict[str, str]) -> None:
    """Give the tokens of a tokenizer's JSON their new numbers, and the special ones our names."""
    kept = [token for token in new if token in ours or token in pieces]
    model = spec["model"]
    if isinstance(model["vocab"], list):
        model["vocab"] = [[ours.get(token, token), pieces.get(token, 0.0)] for token in kept]
        model["unk_id"] = UNK
    else:
        model["vocab"] = {ours.get(token, token): new[token] for token in kept}
        unknown = model.get("unk_token")  # byte-level BPE has none
        model["unk_token"] = ours.get(unknown, unknown)
    # What was added is found in titles before they are cut: our special tokens are not.
    spec["added_tokens"] = [
        {**token, "id": new[token["content"]]} for token in spec.get("added_tokens", []) if token["content"] not in ours
    ]
    spec["post_processor"] = spec["truncation"] = spec["padding"] = None
