"""The title tokenizer: WordPiece trained on the catalogue's own titles."""

from collections.abc import Iterable
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


def train_tokenizer(titles: Iterable[str], vocab_size: int, min_frequency: int = 2) -> Tokenizer:
    """Train BERT's kind of tokenizer (lower case, accents folded, WordPiece) on titles.

    Args:
        titles: the titles of the training rows.
        vocab_size: most tokens, the five special ones included.
        min_frequency: a piece must occur this often.

    Returns:
        A tokenizer that puts [CLS] and [SEP] around a title.

    Example:
        >>> tokenizer = train_tokenizer(["red shoe", "red sock"] * 3, vocab_size=64)
        >>> tokenizer.encode("red shoe").tokens[0]
        '[CLS]'
    """
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    trainer = WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=list(SPECIAL_TOKENS),
        show_progress=False,
    )
    tokenizer.train_from_iterator(titles, trainer)
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    return tokenizer


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
