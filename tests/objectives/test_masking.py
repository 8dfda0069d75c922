import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from item_embed.model.tokenizer import MASK, SPECIAL_TOKENS
from item_embed.objectives.masking import Stream, corrupt_tokens, mask_patches, mask_tokens, masked_count

LENGTHS = st.lists(st.integers(0, 12), min_size=1, max_size=8)
RATES = st.floats(0.01, 0.99)
SEEDS = st.integers(0, 2**31)


def words(lengths: list[int], width: int | None = None) -> NDArray[np.bool_]:
    """[CLS], so many words, [SEP], padding."""
    position = np.arange(width or max(lengths) + 2)[None]
    return (position >= 1) & (position <= np.array(lengths)[:, None])


def anywhere(count: int, patches: int) -> NDArray[np.bool_]:
    """Photos without background."""
    return np.ones((count, patches), np.bool_)


def expected_count(candidates: int, rate: float) -> int:
    return 0 if candidates == 0 else max(1, math.floor(candidates * rate + 0.5))


@given(LENGTHS, RATES, SEEDS)
@settings(max_examples=60, deadline=None)
def test_the_share_of_masked_tokens_is_exact_and_no_special_token_among_them(
    lengths: list[int], rate: float, seed: int
) -> None:
    predictable = words(lengths)
    rows = np.arange(len(lengths))
    masked = mask_tokens(predictable, rate, seed, np.zeros_like(rows), rows)
    assert not (masked & ~predictable).any()
    assert masked.sum(axis=1).tolist() == [expected_count(length, rate) for length in lengths]


@given(st.integers(1, 60), RATES, SEEDS)
@settings(max_examples=60, deadline=None)
def test_every_photo_has_the_same_exact_share_of_masked_patches(patches: int, rate: float, seed: int) -> None:
    rows = np.arange(5)
    masked = mask_patches(anywhere(5, patches), rate, seed, np.zeros_like(rows), rows)
    assert masked.shape == (5, patches)
    assert masked.sum(axis=1).tolist() == [min(patches - 1, expected_count(patches, rate))] * 5


@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=8), RATES, SEEDS)
@settings(max_examples=60, deadline=None)
def test_background_is_never_masked_and_the_rate_is_that_of_the_rest(
    shown: list[list[bool]], rate: float, seed: int
) -> None:
    rows = np.arange(len(shown))
    masked = mask_patches(np.array(shown), rate, seed, rows * 0, rows)
    assert not (masked & ~np.array(shown)).any()
    for photo, mask in zip(shown, masked, strict=True):
        assert mask.sum() == min(expected_count(sum(photo), rate), max(0, sum(photo) - 1))  # one is left to be seen
    nothing_empty = mask_patches(anywhere(len(shown), 6), rate, seed, rows * 0, rows)
    full = np.array(shown).all(axis=1)
    assert (masked[full] == nothing_empty[full]).all()


def test_rounding_of_the_share() -> None:
    counts = masked_count(np.array([0, 1, 3, 10, 16, 17, 20]), 0.15)
    assert counts.tolist() == [0, 1, 1, 2, 2, 3, 3]


@given(LENGTHS, SEEDS, st.integers(0, 5), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_masks_depend_on_neither_the_other_rows_nor_their_order_nor_padding(
    lengths: list[int], seed: int, epoch: int, padding: int
) -> None:
    rows = np.arange(len(lengths)) * 7 + 3
    epochs = np.full(len(rows), epoch)
    width = max(lengths) + 2
    ids = (np.arange(width)[None] * 13 + rows[:, None]) % 40 + 5
    shares = (0.4, 0.3, 0.3)

    together = mask_tokens(words(lengths), 0.3, seed, epochs, rows)
    seen = corrupt_tokens(ids, together, shares, 50, seed=seed, epochs=epochs, rows=rows)
    patches = mask_patches(anywhere(len(rows), 8), 0.5, seed, epochs, rows)
    for place in reversed(range(len(rows))):  # each alone, from the last, in a wider batch
        one, now = rows[place : place + 1], epochs[:1]
        alone = mask_tokens(words(lengths[place : place + 1], width + padding), 0.3, seed, now, one)
        assert (alone[0, :width] == together[place]).all()
        wide_ids = np.pad(ids[place : place + 1], ((0, 0), (0, padding)))
        shown = corrupt_tokens(wide_ids, alone, shares, 50, seed=seed, epochs=now, rows=one)
        assert (shown[0, :width] == seen[place]).all()
        assert (mask_patches(anywhere(1, 8), 0.5, seed, now, one)[0] == patches[place]).all()


@pytest.mark.parametrize("changed", ["seed", "epoch"])
def test_another_seed_or_epoch_masks_otherwise(changed: str) -> None:
    rows = np.arange(50)
    predictable = words([10] * 50)
    epochs = np.zeros_like(rows)
    seed, other = (1, epochs) if changed == "seed" else (0, epochs + 1)
    for before, after in (
        (mask_tokens(predictable, 0.3, 0, epochs, rows), mask_tokens(predictable, 0.3, seed, other, rows)),
        (mask_patches(anywhere(50, 20), 0.5, 0, epochs, rows), mask_patches(anywhere(50, 20), 0.5, seed, other, rows)),
    ):
        assert (before != after).any(axis=1).mean() > 0.9


def test_each_token_and_patch_is_masked_equally_often() -> None:
    rows = np.arange(4000)
    epochs = np.zeros_like(rows)
    tokens = mask_tokens(words([10] * 4000), 0.3, 5, epochs, rows)[:, 1:11]
    patches = mask_patches(anywhere(4000, 10), 0.3, 5, epochs, rows)
    bound = 5 * math.sqrt(0.3 * 0.7 / 4000)
    assert np.abs(tokens.mean(axis=0) - 0.3).max() < bound
    assert np.abs(patches.mean(axis=0) - 0.3).max() < bound
    both = (tokens & patches).mean()  # streams of their own: one mask says nothing of the other
    assert abs(both - 0.09) < 5 * math.sqrt(0.09 * 0.91 / 40_000)


def test_corruption_has_its_shares_and_touches_masked_tokens_only() -> None:
    vocab_size = 200
    rows = np.arange(2000)
    epochs = np.zeros_like(rows)
    ids = np.full((2000, 12), 100)
    masked = mask_tokens(words([10] * 2000), 0.5, 0, epochs, rows)
    seen = corrupt_tokens(ids, masked, (0.8, 0.1, 0.1), vocab_size, seed=0, epochs=epochs, rows=rows)
    assert (seen[~masked] == 100).all()
    shown, n = seen[masked], masked.sum()

    def near(share: float, expected: float) -> bool:
        return abs(share - expected) < 5 * math.sqrt(expected * (1 - expected) / n)

    others = shown[(shown != MASK) & (shown != 100)]
    assert near((shown == MASK).mean(), 0.8)
    assert near((shown == 100).mean(), 0.1 + 0.1 / (vocab_size - len(SPECIAL_TOKENS)))
    assert others.min() >= len(SPECIAL_TOKENS)
    assert others.max() < vocab_size
    assert len(np.unique(others)) > 190  # all ordinary tokens get their turn


@pytest.mark.parametrize(("shares", "expected"), [((1, 0, 0), {MASK}), ((0, 0, 1), {100})])
def test_corruption_can_be_all_of_one_kind(shares: tuple[float, float, float], expected: set[int]) -> None:
    rows = np.arange(20)
    masked = words([4] * 20)
    seen = corrupt_tokens(np.full((20, 6), 100), masked, shares, 200, seed=0, epochs=rows * 0, rows=rows)
    assert set(seen[masked].tolist()) == expected


def test_a_vocabulary_of_special_tokens_alone_draws_none_beyond_it() -> None:
    rows = np.arange(100)
    masked = words([4] * 100)
    seen = corrupt_tokens(np.full((100, 6), 1), masked, (0, 1, 0), 5, seed=0, epochs=rows * 0, rows=rows)
    assert seen.max() < 5


def test_no_two_streams_draw_the_same() -> None:
    assert len(set(Stream)) == len(Stream.__members__)
