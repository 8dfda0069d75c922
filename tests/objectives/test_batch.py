from dataclasses import replace

import numpy as np
import pytest
import torch

from item_embed.config import ObjectiveSettings
from item_embed.model.arrays import Tokens
from item_embed.model.tokenizer import CLS, MASK, PAD, SEP
from item_embed.objectives.batch import PretrainingBatch, Views, make_batch, total_counts

IDS = np.array(
    [
        [CLS, 10, 11, 12, 13, SEP, PAD],
        [CLS, 20, SEP, PAD, PAD, PAD, PAD],
        [CLS, SEP, PAD, PAD, PAD, PAD, PAD],  # no title
        [CLS, 30, 31, 32, 33, 34, SEP],
        [CLS, 40, 41, SEP, PAD, PAD, PAD],
    ]
)
BACKGROUND = np.zeros((5, 8), np.bool_)
BACKGROUND[2, :4] = True  # of a photo in which half is empty
MISSING = np.array([False, True, False, False, False])
MATCHED = np.array([True, True, True, False, True])


@pytest.fixture
def batch() -> PretrainingBatch:
    return make_batch(
        tokens=Tokens(IDS, IDS == PAD),
        pixels=np.zeros((5, 3, 8, 16), np.uint8),
        photo_missing=MISSING,
        matched=MATCHED,
        settings=ObjectiveSettings(token_mask_rate=0.5, token_corruption=(1, 0, 0), patch_mask_rate=0.5),
        vocab_size=60,
        background=BACKGROUND,
        seed=3,
        epochs=np.zeros(5, np.int64),
        rows=np.arange(5),
    )


def test_what_counts_is_what_loops_over_pairs_count(batch: PretrainingBatch) -> None:
    judged = tokens = patches = 0
    for b in range(5):
        judged += bool(not MISSING[b] and any(IDS[b] > MASK))
        for i in range(7):
            counted = bool(batch.masked_tokens[b, i]) and bool(MATCHED[b])
            assert bool(batch.predicted_tokens[b, i]) == counted
            tokens += counted
        for j in range(8):
            assert not (batch.masked_patches[b, j] and BACKGROUND[b, j])
            counted = bool(batch.masked_patches[b, j]) and bool(MATCHED[b]) and not MISSING[b]
            assert bool(batch.predicted_patches[b, j]) == counted
            patches += counted
    assert judged == 3
    assert tokens == 2 + 1 + 0 + 1  # half of each title, of matched pairs
    assert patches == 4 + 2 + 4  # half of what each photo shows, of matched pairs that have one
    assert torch.equal(batch.background, torch.from_numpy(BACKGROUND))
    assert batch.counts() == {"itm": judged, "mlm": tokens, "gmlm": tokens, "mim": patches, "gmim": patches}


def test_the_encoder_sees_masked_tokens_corrupted_and_all_else_as_it_is(batch: PretrainingBatch) -> None:
    assert torch.equal(batch.tokens, torch.from_numpy(IDS))
    assert (batch.input_ids[batch.masked_tokens] == MASK).all()
    assert torch.equal(batch.input_ids[~batch.masked_tokens], batch.tokens[~batch.masked_tokens])
    assert batch.title_missing.tolist() == [False, False, True, False, False]


def test_mismatched_pairs_are_masked_too(batch: PretrainingBatch) -> None:
    """Or [CLS] could tell them by what is not masked."""
    assert batch.masked_tokens[3].sum() == 3
    assert batch.masked_patches[3].sum() == 4


def test_parts_of_a_step_are_counted_together(batch: PretrainingBatch) -> None:
    assert total_counts([batch, batch, batch]) == {name: 3 * n for name, n in batch.counts().items()}
    assert len(batch) == 5


def test_moving_a_batch_keeps_every_tensor(batch: PretrainingBatch) -> None:
    moved = batch.to(torch.device("cpu"))
    tensors = {name: value for name, value in vars(batch).items() if name != "views"}
    assert all(torch.equal(getattr(moved, name), value) for name, value in tensors.items())
    assert moved.views is None
    views = Views(*(torch.full((2,), float(number)) for number in range(8)))
    moved = replace(batch, views=views).to(torch.device("cpu"))
    assert moved.views is not None
    assert all(torch.equal(getattr(moved.views, name), value) for name, value in vars(views).items())
