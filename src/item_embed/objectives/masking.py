"""Which tokens and patches are hidden, as functions of (seed, epoch, row): True means masked.

Every choice ranks counter-based random numbers, so the same row gets the same mask in the same epoch however the
work is split, and padding changes nothing.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from item_embed.hashing import hash64, uniform
from item_embed.model.tokenizer import MASK, SPECIAL_TOKENS


class Stream(IntEnum):
    """Independent sources of randomness in pre-training; the second key of every draw."""

    ORDER = 1
    TOKENS = 2
    CORRUPTION = 3
    REPLACEMENT = 4
    PATCHES = 5
    MISMATCH = 6
    PARTNER = 7
    DROPOUT = 8
    MIRROR = 9
    AREA = 10
    ASPECT = 11
    DOWN = 12
    ACROSS = 13
    BRIGHTNESS = 14
    CONTRAST = 15
    SATURATION = 16
    KIND = 17
    PHOTO_VIEW = 18
    TITLE_VIEW = 19
    OTHER = 20


def masked_count(candidates: NDArray[np.int64], rate: float) -> NDArray[np.int64]:
    """How many of `candidates` to mask: the rate, rounded to the nearest, but at least one where there are any."""
    return np.where(candidates > 0, np.maximum(1, np.floor(candidates * rate + 0.5)), 0).astype(np.int64)


def mask_tokens(
    predictable: NDArray[np.bool_], rate: float, seed: int, epochs: NDArray[np.int64], rows: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Choose the tokens to predict.

    Args:
        predictable: (B, T) True where a position holds a title's own token.
        rate: share of each title's tokens.
        seed: of the run.
        epochs: (B,) epoch of each row.
        rows: (B,) number of each row in the catalogue.

    Returns:
        (B, T) True where a token is to be predicted.
    """
    draw = uniform(seed, Stream.TOKENS, epochs[:, None], rows[:, None], np.arange(predictable.shape[1])[None])
    return _lowest(np.where(predictable, draw, np.inf), masked_count(predictable.sum(axis=1), rate))


def corrupt_tokens(
    ids: NDArray[np.int64],
    masked: NDArray[np.bool_],
    shares: tuple[float, float, float],
    vocab_size: int,
    *,
    seed: int,
    epochs: NDArray[np.int64],
    rows: NDArray[np.int64],
) -> NDArray[np.int64]:
    """What the encoder sees instead of the masked tokens: [MASK], a random token, or the token itself (BERT).

    Args:
        ids: (B, T) the title's tokens.
        masked: (B, T) True where a token is to be predicted.
        shares: of [MASK], of random tokens, of unchanged ones; 0.8, 0.1, 0.1 in BERT.
        vocab_size: random tokens are drawn from the ordinary ones of the vocabulary.
        seed: of the run.
        epochs: (B,) epoch of each row.
        rows: (B,) number of each row in the catalogue.
    """
    positions = np.arange(ids.shape[1])[None]
    keys = (epochs[:, None], rows[:, None], positions)
    draw = uniform(seed, Stream.CORRUPTION, *keys)
    first = min(len(SPECIAL_TOKENS), vocab_size - 1)  # without any title to train on there are no ordinary tokens
    random_ids = first + (hash64(seed, Stream.REPLACEMENT, *keys) % np.uint64(vocab_size - first)).astype(np.int64)
    corrupted = np.where(draw < shares[0], MASK, np.where(draw < shares[0] + shares[1], random_ids, ids))
    return np.where(masked, corrupted, ids)


def mask_patches(
    predictable: NDArray[np.bool_], rate: float, seed: int, epochs: NDArray[np.int64], rows: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Choose the patches to predict: the same share of every photo, uniformly (MAE); at least one is left to be seen.

    Args:
        predictable: (B, P) True where a patch may be chosen: it is no background.
        rate: share of each photo's predictable patches.
        seed: of the run.
        epochs: (B,) epoch of each row.
        rows: (B,) number of each row in the catalogue.

    Returns:
        (B, P) True where a patch is to be predicted.
    """
    draw = uniform(seed, Stream.PATCHES, epochs[:, None], rows[:, None], np.arange(predictable.shape[1])[None])
    candidates = predictable.sum(axis=1)
    counts = np.minimum(masked_count(candidates, rate), np.maximum(0, candidates - 1))
    return _lowest(np.where(predictable, draw, np.inf), counts)


def _lowest(draw: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """True at the `counts[b]` smallest numbers of each row b."""
    ranks = np.argsort(np.argsort(draw, axis=1, kind="stable"), axis=1)
    return np.asarray(ranks < counts[:, None])
