"""The words of a title as they are written, and which of them each token and each hashed word belongs to."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from item_embed.model.words import words_of

# What BERT's normaliser takes for Chinese and parts letter by letter; such a title has no spaces. It leaves a gap.
_CHINESE = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002b81f\U0002b920-\U0002ceaf\U0002f800-\U0002fa1f"
_WORD = re.compile(rf"[{_CHINESE}]|[^\s{_CHINESE}]+")

Spans = Sequence[tuple[int, int]]


def word_spans(title: str | None) -> list[tuple[int, int]]:
    """Where the words of a title begin and end: what spaces part, and Chinese letter by letter.

    Examples:
        >>> word_spans("T-shirt, red")
        [(0, 8), (9, 12)]
    """
    return [match.span() for match in _WORD.finditer(title or "")]


def without(title: str, span: tuple[int, int]) -> str:
    """A title without one of its words.

    Examples:
        >>> without("Red canvas shoe", (4, 10))
        'Red shoe'
    """
    start, end = span
    return " ".join(part for part in (title[:start].strip(), title[end:].strip()) if part)


def place_of(spans: Spans, piece: tuple[int, int]) -> int | None:
    """The number of the word that a token's letters end in; None for a token without letters, as [CLS].

    The last letter decides, since the tokens of some models begin with the space before the word.
    """
    start, end = piece
    place = bisect_right(spans, end - 1, key=lambda span: span[0]) - 1
    return place if start < end and place >= 0 else None


def shared_out(title: str | None, spans: Spans, words: Iterable[str]) -> NDArray[np.float32]:
    """Which written words each hashed word stands for, (hashed words, written words); a row adds up to 1.

    A word that is written twice is hashed once, and both have half of it.

    Examples:
        >>> shared_out("Mug, red mug", word_spans("Mug, red mug"), ["mug", "red"]).tolist()
        [[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]]
    """
    written = [words_of((title or "")[start:end]) for start, end in spans]
    rows = [[word in parts for parts in written] for word in words]
    found = np.array(rows, np.float32).reshape(len(rows), len(spans))
    return np.asarray(found / np.maximum(found.sum(axis=1, keepdims=True), 1), np.float32)
