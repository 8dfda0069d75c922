"""The words of a title as a vector that nobody trained: TF-IDF, projected at random.

An encoder that learnt from one shop cuts the words of another into pieces that it never saw together, and two titles
that share a rare model name need not be near each other. Words themselves tell: each stands for a direction that is
drawn by its hash, weighted by how rare it is, and a title is their sum. Dot products of such sums are those of TF-IDF
vectors up to noise (Achlioptas, Database-friendly random projections, 2003).
"""

import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from item_embed.hashing import hash64, text_hash

COUNTERS = 1 << 16  # of titles with a word; two words of a catalogue seldom share one
_BITS = 64  # of a hash
_NORMALIZER, _PARTS = BertNormalizer(lowercase=True), BertPreTokenizer()


class Words:
    """Vectors of titles by their words.

    Args:
        counts: (65536,) in how many titles a word with that hash was seen.
        titles: how many titles were looked at.
        width: numbers of a vector, W; the noise of a dot product is about 1 / sqrt(W).

    Examples:
        >>> words = Words.of(["red mug", "blue mug"], width=96)
        >>> red, blue, none = words(["Red mug", "a blue mug", None])
        >>> bool(red @ red > red @ blue), float(abs(none).sum())
        (True, 0.0)
    """

    def __init__(self, counts: NDArray[np.int32], titles: int, width: int) -> None:
        self.counts = counts
        self.titles = titles
        self.width = width

    @classmethod
    def of(cls, titles: Iterable[str | None], width: int) -> "Words":
        """Count the words of titles; None counts as a title without any."""
        counts, number = np.zeros(COUNTERS, np.int32), 0
        for title in titles:
            number += 1
            counts[[_counter(word) for word in words_of(title)]] += 1
        return cls(counts, number, width)

    def __call__(self, titles: Sequence[str | None]) -> NDArray[np.float32]:
        """(n, W) of length 1; zeros for titles without a word."""
        vectors = np.zeros((len(titles), self.width), np.float32)
        for vector, title in zip(vectors, titles, strict=True):
            for word in words_of(title):
                vector[:] += self._weighted(word)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)

    def shares(self, title: str | None) -> dict[str, NDArray[np.float32]]:
        """What each word adds to the vector of a title, (W,) by word; they sum up to it.

        Examples:
            >>> words = Words.of(["red mug", "blue mug"], width=96)
            >>> list(words.shares("Red mug"))
            ['red', 'mug']
        """
        weighted = {word: self._weighted(word) for word in words_of(title)}
        length = np.linalg.norm(sum(weighted.values(), np.zeros(self.width, np.float32))) or 1
        return {word: np.asarray(vector / length, np.float32) for word, vector in weighted.items()}

    def _weighted(self, word: str) -> NDArray[np.float32]:
        """A word's direction, as long as the word is rare."""
        seen = int(self.counts[_counter(word)])
        rarity = np.float32(np.log((1 + self.titles) / (1 + seen)) + 1)
        return rarity * _direction(word, self.width)


def words_of(title: str | None) -> list[str]:
    """The different words of a title as BERT parts them, in order: capitals, accents and widths folded, no punctuation.

    Examples:
        >>> words_of("Café-Mug, mug 3000!")
        ['cafe', 'mug', '3000']
    """
    if not title:
        return []
    folded = unicodedata.normalize("NFKC", title).casefold()
    parts = _PARTS.pre_tokenize_str(_NORMALIZER.normalize_str(folded))
    return list(dict.fromkeys(word for word, _ in parts if any(letter.isalnum() for letter in word)))


def _counter(word: str) -> int:
    return text_hash(word) % COUNTERS


@lru_cache(maxsize=1 << 14)
def _direction(word: str, width: int) -> NDArray[np.float32]:
    """A word's numbers, each 1 or -1 by a bit of its hash."""
    hashes = hash64(text_hash(word), np.arange(-(-width // _BITS)))
    bits = np.unpackbits(hashes.astype("<u8").view(np.uint8))[:width]
    return bits.astype(np.float32) * 2 - 1
