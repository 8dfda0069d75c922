"""The title tokenizer: WordPiece trained on the catalogue's own titles, or a trained one with new words."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import WordPieceTrainer

from item_embed.errors import ModelError

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(5)

_CONTINUES = "##"  # before a piece that is not a word's first


def train_tokenizer(titles: Iterable[str], vocab_size: int, min_frequency: int = 2, letters: str = "") -> Tokenizer:
    """Train BERT's kind of tokenizer (lower case, accents folded, WordPiece) on titles.

    Args:
        titles: the titles of the training rows.
        vocab_size: most tokens, the five special ones included.
        min_frequency: a piece must occur this often.
        letters: further ones to be kept, as those of the titles are.

    Returns:
        A tokenizer that puts [CLS] and [SEP] around a title; the same titles always give the same one.

    Examples:
        >>> tokenizer = train_tokenizer(["red shoe", "red sock"] * 3, vocab_size=64)
        >>> tokenizer.encode("red shoe").tokens[0]
        '[CLS]'
    """
    titles = list(titles)
    # Pieces of equal frequency are merged in the order of their ids, and the trainer would number the letters in the
    # order of a hash table, which is another in every process. So the letters are found first, and numbered here.
    spelt = [*titles, *(2 * letter for letter in letters)]  # twice: as a word's first letter and as a later one
    alphabet = sorted(_train(spelt, 0, min_frequency, SPECIAL_TOKENS).keys() - set(SPECIAL_TOKENS))
    vocabulary = _train(titles, vocab_size, min_frequency, [*SPECIAL_TOKENS, *alphabet])
    # The special tokens are not added to it once more: "[MASK]" in a shop's title is a word in brackets.
    tokenizer = _untrained(vocabulary)
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    return tokenizer


def extend_tokenizer(
    tokenizer: Tokenizer, titles: Iterable[str], vocab_size: int, min_frequency: int = 5, letters: str = ""
) -> Tokenizer:
    """Give a trained tokenizer the letters and the frequent words that it lacks; what it has keeps its ids.

    New are every letter, and the words that it cuts into several pieces, whole: the most frequent first. They go into
    the vocabulary of WordPiece itself: the library's `add_tokens` takes words out of titles before others are cut, and
    then makes "moom" and a word "cake" of "moomcake" (https://github.com/huggingface/tokenizers/issues/786). A
    tokenizer that is no WordPiece stays as it is; those of the GPT-2 kind know every letter by its bytes.

    Args:
        tokenizer: as `train_tokenizer` or `load_tokenizer` gives it; it is not changed.
        titles: those to learn words from.
        vocab_size: most tokens, the old ones included; every letter is kept, even past it.
        min_frequency: a word must occur this often.
        letters: further ones to be kept, as those of the titles are.

    Returns:
        Another tokenizer; the same titles always give the same one.

    Examples:
        >>> known = train_tokenizer(["red shoe"] * 3, vocab_size=64)
        >>> extended = extend_tokenizer(known, ["red hoodie"] * 5, vocab_size=64)
        >>> extended.encode("red hoodie").tokens
        ['[CLS]', 'red', 'hoodie', '[SEP]']
    """
    stored = json.loads(tokenizer.to_str())
    if stored["model"]["type"] == "WordPiece":
        known = tokenizer.get_vocab()
        counts = Counter(word for title in titles for word in _words(tokenizer, title))
        spelt = [*counts, *(word for letter in letters for word in _words(tokenizer, 2 * letter))]
        alphabet = {_CONTINUES * (place > 0) + letter for word in spelt for place, letter in enumerate(word)}
        new = sorted(alphabet - known.keys())
        frequent = sorted((-count, word) for word, count in counts.items() if count >= min_frequency)
        room = max(0, vocab_size - len(known) - len(new))
        new += [word for _, word in frequent if word not in known and len(word) > 1][:room]
        stored["model"]["vocab"].update({piece: number for number, piece in enumerate(new, len(known))})
    return Tokenizer.from_str(json.dumps(stored))


def added_pieces(tokenizer: Tokenizer, extended: Tokenizer) -> dict[str, list[int]]:
    """What `extend_tokenizer` added, in the order of its ids, each with the ids of what it was cut into before.

    Args:
        tokenizer: as it was.
        extended: the same with new pieces behind the old.

    Returns:
        By new piece, the old ids; none where the tokenizer did not know one of its letters.

    Examples:
        >>> known = train_tokenizer(["red shoe"] * 3, vocab_size=64)
        >>> extended = extend_tokenizer(known, ["shoed"] * 5, vocab_size=64)
        >>> [known.id_to_token(number) for number in added_pieces(known, extended)["shoed"]]
        ['shoe', '##d']
    """
    ids = extended.get_vocab()
    pieces = sorted(ids.keys() - tokenizer.get_vocab().keys(), key=ids.__getitem__)
    bare = [piece.removeprefix(_CONTINUES) for piece in pieces]
    cut = [encoded.ids for encoded in tokenizer.encode_batch(bare, add_special_tokens=False)]
    return {piece: [] if UNK in parts else parts for piece, parts in zip(pieces, cut, strict=True)}


def _words(tokenizer: Tokenizer, title: str) -> list[str]:
    """The words of a title, before they are cut."""
    normalised = tokenizer.normalizer.normalize_str(title)
    return [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normalised)]


def _untrained(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer


def _train(titles: list[str], vocab_size: int, min_frequency: int, first: Sequence[str]) -> dict[str, int]:
    """A vocabulary that begins with the pieces `first` and holds every letter."""
    tokenizer = _untrained({})
    trainer = WordPieceTrainer(
        vocab_size=vocab_size, min_frequency=min_frequency, special_tokens=list(first), show_progress=False
    )
    tokenizer.train_from_iterator(titles, trainer)
    return tokenizer.get_vocab()


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer file.

    Raises:
        ModelError: when the file is missing, damaged, or has other special tokens than ours.
    """
    if not path.is_file():
        raise ModelError(f"{path} is missing: this is no folder of an item-embed model.")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(f"{path} is damaged and cannot be read: {error}.") from None
    if [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] != list(range(len(SPECIAL_TOKENS))):
        raise ModelError(f"{path} does not have the special tokens {', '.join(SPECIAL_TOKENS)} as its first.")
    return tokenizer
