import math

import pytest
import torch

from item_embed.model.configuration import ItemConfig
from item_embed.model.heads import ItemForPreTraining, MIMDecoderHead, MIMHead
from item_embed.objectives.mim import decoded_mim_loss, mim_loss, patch_targets
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


def plainly_decoded(head: MIMDecoderHead, query: plain.Vector, memory: list[plain.Vector]) -> plain.Vector:
    """One patch: cross-attention in two heads of two numbers, then an MLP, each on a residual branch, then pixels."""
    q = plain.linear(head.query.weight, head.query.bias, plain.layer_norm(head.query_norm, query))
    keys_values = [plain.linear(head.key_value.weight, head.key_value.bias, h) for h in memory]
    asked: plain.Vector = []
    for first in (0, 2):
        scores = [sum(q[first + i] * kv[first + i] for i in range(2)) / math.sqrt(2) for kv in keys_values]
        shares = [math.exp(score) / sum(math.exp(other) for other in scores) for score in scores]
        for i in range(2):
            asked.append(sum(share * kv[4 + first + i] for share, kv in zip(shares, keys_values, strict=True)))
    x = [a + b for a, b in zip(query, plain.linear(head.out.weight, head.out.bias, asked), strict=True)]
    first_layer, _, second = head.mlp
    assert isinstance(first_layer, torch.nn.Linear)
    assert isinstance(second, torch.nn.Linear)
    inner = plain.linear(first_layer.weight, first_layer.bias, plain.layer_norm(head.mlp_norm, x))
    x = [a + b for a, b in zip(x, plain.linear(second.weight, second.bias, plain.gelu(inner)), strict=True)]
    return plain.linear(head.decoder.weight, head.decoder.bias, plain.layer_norm(head.norm, x))


@pytest.mark.parametrize("kind", ["l1", "l2"])
def test_the_decoders_loss_is_its_formula(kind: str) -> None:
    head = MIMDecoderHead(plain.CONFIG)
    plain.randomised(head, 1)
    queries, memory, patches = plain.drawn(4, 4, seed=2), plain.drawn(2, 5, 4, seed=3), plain.drawn(3, 12, seed=4)
    absent = torch.tensor([[False, False, True, False, False], [False, True, True, True, False]])
    index, padding = torch.tensor([[1, 3], [2, 0]]), torch.tensor([[False, False], [False, True]])

    expected = 0.0
    for patch, (pair, position) in zip(plain.rows(patches), ((0, 1), (0, 3), (1, 2)), strict=True):
        seen = plain.rows(memory[pair][~absent[pair]])
        expected += plain.distance(plainly_decoded(head, plain.rows(queries)[position], seen), patch, kind)

    loss = decoded_mim_loss(
        head,
        queries=queries,
        index=index,
        padding=padding,
        memory=memory,
        absent=absent,
        patches=patches,
        kind=kind,
    )
    assert loss.total.item() == pytest.approx(expected, rel=1e-4)
    assert loss.count == 3
    assert loss.metrics["mim_error"].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("patch_masking", ["keep", "drop"])
def test_the_configuration_decides_which_head_there_is(patch_masking: str) -> None:
    config = ItemConfig(**{**plain.CONFIG.to_dict(), "patch_masking": patch_masking})
    head = ItemForPreTraining(config).heads["mim"]
    assert type(head) is (MIMHead if patch_masking == "keep" else MIMDecoderHead)


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
