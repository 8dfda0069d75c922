import math

import pytest
import torch

from item_embed.model.heads import MIMHead
from item_embed.objectives.mim import mim_loss, patch_targets
from tests.objectives import plain


@pytest.mark.parametrize("kind", ["l1", "l2"])
def test_loss_is_its_formula(kind: str) -> None:
    head = MIMHead(plain.CONFIG)
    plain.randomised(head, 1)
    hidden, patches = plain.drawn(5, 4, seed=2), plain.drawn(5, 12, seed=3)

    expected = 0.0
    for x, patch in zip(plain.rows(hidden), plain.rows(patches), strict=True):
        expected += plain.distance(plain.linear(head.decoder.weight, head.decoder.bias, x), patch, kind)

    loss = mim_loss(head, hidden, patches, kind)
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)
    assert loss.count == 5
    assert loss.metrics["mim_error"].item() == pytest.approx(expected, rel=1e-5)


def test_normalized_targets_have_no_mean_and_unit_deviation_in_each_patch() -> None:
    patches = plain.drawn(2, 3, 12, seed=1) * 3 + 5
    targets = patch_targets(patches, "normalized")
    for b in range(2):
        for j in range(3):
            x = plain.rows(patches[b])[j]
            mean = sum(x) / 12
            variance = sum((v - mean) ** 2 for v in x) / 11  # MAE divides by C - 1
            expected = [(v - mean) / math.sqrt(variance + 1e-6) for v in x]
            assert plain.rows(targets[b])[j] == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_a_uniform_patch_is_normalized_to_nothing_and_not_to_nan() -> None:
    assert torch.equal(patch_targets(torch.full((1, 12), 0.25), "normalized"), torch.zeros(1, 12))


def test_raw_targets_are_the_pixels() -> None:
    patches = plain.drawn(2, 12, seed=1)
    assert torch.equal(patch_targets(patches, "raw"), patches)
