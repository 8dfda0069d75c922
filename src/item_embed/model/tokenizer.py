"""The title tokenizer: WordPiece trained on the catalogue's own titles."""

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


def train_tokenizer(titles: Iterable[str], vocab_size: int, min_frequency: int = 2, letters: str = "") -> Tokenizer:
    """Train BERT's kind of tokenizer (lower case, accents folded, WordPiece) on titles.

    Args:
        titles: the titles of the training rows.
        vocab_size: most tokens, the five special ones included.
        min_frequency: a piece must occur this often.
        letters: further ones to be kept, as those of the titles are.

    Returns:
        A tokenizer that puts [CLS] and [SEP] around a title; the same titles always give the same one.

    Example:
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
