import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from item_embed.model import encoder
from item_embed.model.configuration import ItemConfig
from item_embed.model.encoder import ItemModel, ItemOutput, attention, plain_attention
from item_embed.model.heads import ItemForPreTraining

CONFIG: dict[str, Any] = {
    "image_size": (24, 16),  # 3 x 2 patches
    "patch_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 70,
    "max_title_tokens": 10,
    "dropout": 0.0,
}


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def model() -> ItemModel:
    torch.manual_seed(0)
    model = ItemModel(ItemConfig(**CONFIG))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.train(False)
    return model


IDS = torch.tensor([[2, 11, 12, 13, 3], [2, 21, 3, 0, 0], [2, 3, 0, 0, 0]])
PADDING = IDS == 0
PHOTOS = drawn(3, 3, 24, 16).clamp(-1, 1)


def test_shapes(model: ItemModel) -> None:
    output = model(IDS, PHOTOS, PADDING)
    assert output.hidden.shape == (3, 11, 16)
    assert (output.title.shape, output.photo.shape, output.cls.shape) == ((3, 5, 16), (3, 6, 16), (3, 16))
    assert torch.equal(torch.cat([output.title, output.photo], dim=1), output.hidden)
    assert torch.equal(output.cls, output.title[:, 0])


def test_each_row_alone_is_as_it_is_in_a_padded_batch(model: ItemModel) -> None:
    together = model(IDS, PHOTOS, PADDING)
    for row, length in enumerate((5, 3, 2)):
        alone = model(IDS[row : row + 1, :length], PHOTOS[row : row + 1])
        torch.testing.assert_close(together.title[row, :length], alone.title[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(together.photo[row], alone.photo[0], atol=1e-5, rtol=1e-5)


def test_more_padding_changes_nothing(model: ItemModel) -> None:
    wider = F.pad(IDS, (0, 5))
    before, after = model(IDS, PHOTOS, PADDING), model(wider, PHOTOS, wider == 0)
    torch.testing.assert_close(after.cls, before.cls, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(after.photo, before.photo, atol=1e-5, rtol=1e-5)


def test_a_missing_photo_changes_nothing_whatever_its_pixels(model: ItemModel) -> None:
    without = model(IDS, None, PADDING)
    missing = torch.ones(3, dtype=torch.bool)
    for pixels in (PHOTOS, torch.full_like(PHOTOS, 1e4)):
        torch.testing.assert_close(model(IDS, pixels, PADDING, missing).title, without.title, atol=1e-5, rtol=1e-5)
    one = torch.tensor([False, True, False])
    mixed = model(IDS, PHOTOS, PADDING, one)
    torch.testing.assert_close(mixed.cls[1], without.cls[1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mixed.cls[0], model(IDS, PHOTOS, PADDING).cls[0], atol=1e-5, rtol=1e-5)


def test_both_modalities_do_matter(model: ItemModel) -> None:
    output = model(IDS, PHOTOS, PADDING).cls
    assert (model(IDS, -PHOTOS, PADDING).cls - output).abs().max() > 1e-2
    assert (model(IDS.where(IDS != 11, 14), PHOTOS, PADDING).cls[0] - output[0]).abs().max() > 1e-2
    swapped = IDS.clone()
    swapped[0, 1:3] = IDS[0, [2, 1]]
    assert (model(swapped, PHOTOS, PADDING).cls[0] - output[0]).abs().max() > 1e-3  # positions count


def test_what_a_masked_patch_shows_has_no_influence(model: ItemModel) -> None:
    masked = torch.tensor([[True, False, False, True, False, False]] * 3)
    other = PHOTOS.clone()
    other[:, :, :8, :8] = 0.9  # patch 0
    other[:, :, 8:16, 8:] = -0.9  # patch 3
    before = model(IDS, PHOTOS, PADDING, masked_patches=masked).hidden
    assert torch.equal(model(IDS, other, PADDING, masked_patches=masked).hidden, before)
    assert not torch.equal(model(IDS, other, PADDING).hidden, model(IDS, PHOTOS, PADDING).hidden)
    assert not torch.equal(model(IDS, PHOTOS, PADDING).hidden, before)


Result = tuple[Tensor, Tensor, dict[str, Tensor]]


def judged(hidden: Tensor, model: ItemModel, photos: Tensor) -> Result:
    """Outputs by position, (B, T + P, D), zero where there is none; and the gradients of a sum over them."""
    model.zero_grad()
    (hidden * drawn(*hidden.shape, seed=9)).sum().backward()
    assert photos.grad is not None
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return hidden.detach().float(), photos.grad, gradients


def packed(model: ItemModel, ids: Tensor, photos: Tensor, missing: Tensor, masked: Tensor, left_out: Tensor) -> Result:
    """The encoder's own way, its patches put back in their places."""
    photos = photos.clone().requires_grad_()
    output = model(ids, photos, ids == 0, missing, masked, left_out=left_out)
    assert output.patch_index is not None
    padding = output.absent[:, ids.shape[1] :]
    places = torch.zeros(len(ids), left_out.shape[1], 16, dtype=output.hidden.dtype)
    index = output.patch_index[..., None].expand(-1, -1, 16)
    places = places.scatter(1, index, output.photo.masked_fill(padding[..., None], 0))
    title = output.title.masked_fill((ids == 0)[..., None], 0)
    return judged(torch.cat([title, places], dim=1), model, photos)


def reference(
    model: ItemModel, ids: Tensor, photos: Tensor, missing: Tensor, masked: Tensor, left_out: Tensor
) -> Result:
    """The slow way: encode every patch, and let nothing attend to those left out."""
    photos = photos.clone().requires_grad_()
    gone = left_out | missing[:, None]
    x = model.embeddings(ids, photos, masked)
    absent = torch.cat([ids == 0, gone], dim=1)
    for block in model.blocks:
        x = block(x, ~absent[:, None, None, :])
    return judged(model.norm(x).masked_fill(absent[..., None], 0), model, photos)


def many(count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Titles of several lengths, photos, some of them missing, some patches masked."""
    ids = (torch.arange(count * 5).reshape(count, 5) * 7 % 60 + 5).masked_fill(
        torch.arange(5) >= (torch.arange(count) % 4 + 2)[:, None], 0
    )
    missing = torch.arange(count) % 5 == 3
    masked = drawn(count, 6, seed=4) > 0.8
    return ids, drawn(count, 3, 24, 16, seed=5).clamp(-1, 1), missing, masked


def by_loop(q: Tensor, k: Tensor, v: Tensor, bounds: Tensor, *_: object) -> Tensor:
    """What torch's kernel for sequences without padding computes, a sequence at a time; (N, H, K)."""
    parts = []
    for start, end in pairwise(bounds.tolist()):
        here = [x[start:end].transpose(0, 1) for x in (q, k, v)]
        weights = F.softmax(here[0] @ here[1].transpose(1, 2) * q.shape[-1] ** -0.5, dim=-1)
        parts.append((weights @ here[2]).transpose(0, 1))
    return torch.cat(parts)


@contextmanager
def ragged() -> Iterator[None]:
    """As on a GPU, with the loop in place of its kernel."""
    with (
        patch.object(encoder, "attends_ragged", return_value=True),
        patch.object(encoder, "varlen", SimpleNamespace(varlen_attn=by_loop)),
    ):
        yield


def assert_equal(fast: Result, slow: Result) -> None:
    torch.testing.assert_close(fast[0], slow[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(fast[1], slow[1], atol=1e-4, rtol=1e-3)
    for name, gradient in slow[2].items():
        torch.testing.assert_close(fast[2].get(name, torch.zeros(())) + gradient * 0, gradient, atol=1e-3, rtol=1e-3)


@given(st.integers(1, 40), st.floats(0, 1), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_leaving_patches_out_is_attending_to_none_of_them_in_values_and_gradients(
    model: ItemModel, count: int, share: float, seed: int
) -> None:
    left_out = torch.rand((count, 6), generator=torch.Generator().manual_seed(seed)) < share
    slow = reference(model, *many(count), left_out)
    assert_equal(packed(model, *many(count), left_out), slow)
    with ragged():
        assert_equal(packed(model, *many(count), left_out), slow)


@given(st.integers(1, 40), st.floats(0, 1), st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_packing_unequal_titles_and_missing_photos_changes_no_value_and_no_gradient(
    model: ItemModel, count: int, share: float, seed: int
) -> None:
    ids, photos, _, masked = many(count)
    missing = torch.rand(count, generator=torch.Generator().manual_seed(seed)) < share
    nothing = torch.zeros(count, 6, dtype=torch.bool)
    slow = reference(model, ids, photos, missing, masked, nothing)

    def whole() -> Result:
        shown = photos.clone().requires_grad_()
        output = model(ids, shown, ids == 0, missing, masked)
        return judged(output.hidden.masked_fill(output.absent[..., None], 0), model, shown)

    assert_equal(whole(), slow)
    with ragged():
        assert_equal(whole(), slow)


@pytest.mark.gpu
@pytest.mark.parametrize("compiled", [False, True])
def test_a_gpus_kernel_without_padding_is_near_attending_to_none_of_it(compiled: bool) -> None:
    torch.manual_seed(0)
    model = ItemModel(ItemConfig(**CONFIG))
    nn.Module.cuda(model)
    args = [tensor.cuda() for tensor in (*many(40), drawn(40, 6, seed=7) > 0)]
    exact = reference(model, *args)
    if compiled:
        for block in model.blocks:
            block.compile(dynamic=True)
    with torch.autocast("cuda", torch.bfloat16):
        assert encoder.attends_ragged(torch.zeros(1, device="cuda"))
        fast = packed(model, *args)
    torch.testing.assert_close(fast[0], exact[0], atol=0.1, rtol=0.05)
    for name, gradient in exact[2].items():
        assert (fast[2][name] - gradient).norm() / gradient.norm() < 0.05, name


def test_leaving_patches_out_in_bf16_is_near_attending_to_none_of_them(
    model: ItemModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[torch.dtype] = []

    def watched(q: Tensor, *others: Tensor) -> Tensor:
        used.append(q.dtype)
        return plain_attention(q, *others)

    monkeypatch.setattr(encoder, "plain_attention", watched)
    left_out = drawn(40, 6, seed=7) > 0
    with torch.autocast("cpu", torch.bfloat16):
        fast = packed(model, *many(40), left_out)
        calls = len(used)
        slow = reference(model, *many(40), left_out)
    assert calls == 2 * 5  # layers, groups of at least 8 rows
    assert set(used) == {torch.bfloat16}
    torch.testing.assert_close(fast[0], slow[0], atol=0.1, rtol=0.05)
    exact = reference(model, *many(40), left_out)
    for name, gradient in exact[2].items():  # no farther from fp32 than the slow way is
        farthest = max(0.03, 1.5 * float((slow[2][name] - gradient).norm() / gradient.norm()))
        assert (fast[2][name] - gradient).norm() / gradient.norm() < farthest, name


@pytest.mark.parametrize("left_out", [0.0, 0.5])
def test_each_row_alone_is_as_it_is_in_a_batch_of_unequal_photos(model: ItemModel, left_out: float) -> None:
    ids, photos, missing, masked = many(40)
    gone = drawn(40, 6, seed=8) > left_out
    together = model(ids, photos, ids == 0, missing, masked, left_out=gone)
    for row in range(40):
        one = slice(row, row + 1)
        length = int((ids[row] != 0).sum())
        alone = model(ids[one, :length], photos[one], None, missing[one], masked[one], left_out=gone[one])
        torch.testing.assert_close(together.title[row, :length], alone.title[0], atol=1e-5, rtol=1e-5)
        count = 0 if missing[row] else int((~gone[row]).sum())
        assert alone.photo.shape[1] == count
        torch.testing.assert_close(together.photo[row, :count], alone.photo[0], atol=1e-5, rtol=1e-5)


def test_nothing_left_out_changes_no_bit(model: ItemModel) -> None:
    masked = torch.tensor([[True, False, False, True, False, False]] * 3)
    before = model(IDS, PHOTOS, PADDING, masked_patches=masked)
    after = model(IDS, PHOTOS, PADDING, masked_patches=masked, left_out=torch.zeros(3, 6, dtype=torch.bool))
    assert torch.equal(before.hidden, after.hidden)
    assert torch.equal(before.absent, after.absent)
    assert before.patch_index is None
    assert after.patch_index is not None
    assert after.patch_index.tolist() == [list(range(6))] * 3


def test_everything_but_one_patch_left_out(model: ItemModel) -> None:
    gone = torch.ones(3, 6, dtype=torch.bool)
    gone[torch.arange(3), torch.tensor([4, 0, 5])] = False
    output: ItemOutput = model(IDS, PHOTOS, PADDING, left_out=gone)
    assert output.photo.shape == (3, 1, 16)
    other = PHOTOS.clone()
    other[0, :, :8] = 0.3  # patches 0 and 1
    assert torch.equal(model(IDS, other, PADDING, left_out=gone).hidden, output.hidden)
    other[0, :, 16:, :8] = 0.3  # patch 4
    assert not torch.equal(model(IDS, other, PADDING, left_out=gone).cls[0], output.cls[0])


@pytest.mark.parametrize("why", ["missing", "left out"])
def test_a_photo_of_which_nothing_is_left_is_none(why: str, model: ItemModel) -> None:
    gone = torch.full((3, 6), why == "left out")
    missing = torch.full((3,), why == "missing")
    output: ItemOutput = model(IDS, PHOTOS, PADDING, missing, left_out=gone)
    assert output.photo.shape == (3, 0, 16)
    torch.testing.assert_close(output.title, model(IDS, None, PADDING).title, atol=1e-6, rtol=1e-6)
    assert torch.equal(model(IDS, None, PADDING, left_out=gone).title, model(IDS, None, PADDING).title)


def test_patches_are_left_out_of_a_photo_of_another_size(model: ItemModel) -> None:
    photos, gone = drawn(3, 3, 48, 32, seed=1), drawn(3, 24, seed=2) > 0
    output = model(IDS, photos, PADDING, left_out=gone)
    other = photos.clone()
    row, column = divmod(int(gone[1].nonzero()[0]), 4)
    other[1, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 1
    changed = model(IDS, other, PADDING, left_out=gone).hidden
    assert torch.equal(changed[~output.absent], output.hidden[~output.absent])
    assert output.hidden.isfinite().all()


def test_positions_of_the_trained_grid_are_the_embeddings_themselves(model: ItemModel) -> None:
    embeddings = model.embeddings
    assert embeddings.patch_positions((3, 2)) is embeddings.patch_position.weight


def cubic(x: float) -> float:
    """The kernel of bicubic interpolation, a = -0.75 as in torch."""
    a, x = -0.75, abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


@pytest.mark.parametrize("grid", [(6, 4), (2, 5), (1, 1)])
def test_positions_of_another_grid_are_interpolated_bicubically(model: ItemModel, grid: tuple[int, int]) -> None:
    trained = model.embeddings.patch_position.weight.detach().reshape(3, 2, 16)
    positions = model.embeddings.patch_positions(grid).detach().reshape(*grid, 16)
    for row in range(grid[0]):
        for column in range(grid[1]):
            y, x = (row + 0.5) * 3 / grid[0] - 0.5, (column + 0.5) * 2 / grid[1] - 0.5
            expected = torch.zeros(16)
            for i in range(math.floor(y) - 1, math.floor(y) + 3):
                for j in range(math.floor(x) - 1, math.floor(x) + 3):
                    weight = cubic(y - i) * cubic(x - j)
                    expected += weight * trained[min(max(i, 0), 2), min(max(j, 0), 1)]
            torch.testing.assert_close(positions[row, column], expected, atol=1e-5, rtol=1e-4)


def test_a_photo_of_another_size_is_encoded(model: ItemModel) -> None:
    output = model(IDS, drawn(3, 3, 48, 32, seed=1), PADDING)
    assert output.photo.shape == (3, 24, 16)
    assert output.hidden.isfinite().all()


@pytest.mark.parametrize("padded", [False, True])
def test_the_plain_formula_is_torchs_in_values_and_gradients(padded: bool) -> None:
    attended = torch.ones(3, 1, 1, 7, dtype=torch.bool)
    if padded:
        attended[0, ..., 4:] = False
        attended[2, ..., 1:] = False
    results = []
    for plain in (True, False):
        q, k, v = (drawn(3, 2, 7, 8, seed=seed).requires_grad_() for seed in (1, 2, 3))
        y = plain_attention(q, k, v, attended) if plain else F.scaled_dot_product_attention(q, k, v, attn_mask=attended)
        (y * drawn(3, 2, 7, 8, seed=4)).sum().backward()
        results.append([y, q.grad, k.grad, v.grad])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_bf16_on_a_cpu_takes_the_plain_formula_and_is_near_fp32() -> None:
    q, k, v = (drawn(2, 2, 5, 8, seed=seed) for seed in (1, 2, 3))
    attended = torch.ones(2, 1, 1, 5, dtype=torch.bool)
    low = attention(q.bfloat16(), k.bfloat16(), v.bfloat16(), attended)
    assert torch.equal(low, plain_attention(q.bfloat16(), k.bfloat16(), v.bfloat16(), attended))
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), attention(q, k, v, attended), atol=0.05, rtol=0.05)


def test_initial_weights() -> None:
    config = ItemConfig(**{**CONFIG, "hidden_size": 64, "intermediate_size": 256, "vocab_size": 500})
    torch.manual_seed(0)
    model = ItemForPreTraining(config)
    # A normal distribution cut at two deviations keeps 0.8796 of its deviation.
    expected = 0.8796 * config.initializer_range
    for name, parameter in model.named_parameters():
        values = parameter.detach()
        if parameter.dim() == 2 or name.endswith("patch_mask"):
            tolerance = 5 * expected / math.sqrt(2 * values.numel())
            assert abs(values.square().mean().sqrt().item() - expected) < tolerance, name
            assert values.abs().max() <= 2 * config.initializer_range, name
        elif "norm" in name or ".transform." in name:
            assert torch.equal(values, torch.full_like(values, float(name.endswith("weight")))), name
        else:
            assert name.endswith("bias"), name
            assert not values.any(), name


def test_equal_seeds_give_equal_weights_and_others_do_not() -> None:
    models = []
    for seed in (7, 7, 8):
        torch.manual_seed(seed)
        models.append(ItemForPreTraining(ItemConfig(**CONFIG)).state_dict())
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])
    assert not torch.equal(models[0]["item.embeddings.word.weight"], models[2]["item.embeddings.word.weight"])


def test_dropout_is_for_training_only() -> None:
    torch.manual_seed(0)
    model = ItemModel(ItemConfig(**{**CONFIG, "dropout": 0.5}))
    model.train()
    assert not torch.equal(model(IDS, PHOTOS).cls, model(IDS, PHOTOS).cls)
    model.train(False)
    assert torch.equal(model(IDS, PHOTOS).cls, model(IDS, PHOTOS).cls)


def test_word_embeddings_can_be_asked_for_and_replaced() -> None:
    model = ItemModel(ItemConfig(**CONFIG))
    assert model.get_input_embeddings() is model.embeddings.word
    wider = torch.nn.Embedding(80, 16)
    model.set_input_embeddings(wider)
    assert model.embeddings.word is wider
