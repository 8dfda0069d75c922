"""What is packed, and what is left out: the encoder's fast ways against its slow one."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from item_embed.model import encoder
from item_embed.model.encoder import ItemModel, ItemOutput, plain_attention, ragged_kernel_takes
from tests.model.small import CONFIG, IDS, PADDING, PHOTOS, drawn, small_model


@pytest.fixture(scope="module")
def model() -> ItemModel:
    return small_model()


Result = tuple[Tensor, Tensor, dict[str, Tensor]]


def judged(hidden: Tensor, model: ItemModel, photos: Tensor) -> Result:
    """Outputs by position, (B, T + P, D), zero where there is none; and the gradients of a sum over them."""
    model.zero_grad()
    (hidden * drawn(*hidden.shape, seed=9).to(hidden.device)).sum().backward()
    assert photos.grad is not None
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return hidden.detach().float(), photos.grad, gradients


def packed(model: ItemModel, ids: Tensor, photos: Tensor, missing: Tensor, masked: Tensor, left_out: Tensor) -> Result:
    """The encoder's own way, its patches put back in their places."""
    photos = photos.clone().requires_grad_()
    output = model(ids, photos, ids == 0, missing, masked, left_out=left_out)
    assert output.patch_index is not None
    padding = output.absent[:, ids.shape[1] :]
    places = output.hidden.new_zeros(len(ids), left_out.shape[1], 16)
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
    return torch.cat([v[:0], *parts])


@contextmanager
def ragged() -> Iterator[None]:
    """As on a GPU, with the loop in place of its kernel."""
    with (
        patch.object(encoder, "attends_ragged", return_value=True),
        patch.object(encoder, "varlen_attn", by_loop),
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


@pytest.mark.parametrize(
    ("dtype", "head_size", "capability", "takes"),
    [
        (torch.bfloat16, 64, (9, 0), True),
        (torch.bfloat16, 64, (7, 5), False),
        (torch.float32, 64, (9, 0), False),
        (torch.bfloat16, 12, (9, 0), False),
        (torch.bfloat16, 264, (9, 0), False),
    ],
)
def test_what_the_kernel_without_padding_takes(
    dtype: torch.dtype, head_size: int, capability: tuple[int, int], takes: bool
) -> None:
    assert ragged_kernel_takes(dtype, head_size, capability) == takes


@pytest.mark.gpu
@pytest.mark.parametrize("compiled", [False, True])
def test_a_gpus_kernel_without_padding_is_near_attending_to_none_of_it(compiled: bool) -> None:
    model = small_model()
    nn.Module.cuda(model)  # the annotation of transformers' own does not fit
    args = [tensor.cuda() for tensor in (*many(40), drawn(40, 6, seed=7) > 0)]
    exact = reference(model, *args)
    with torch.autocast("cuda", torch.bfloat16):
        slow = reference(model, *args)
        if compiled:
            for block in model.blocks:
                block.compile(dynamic=True)
        assert encoder.attends_ragged(torch.zeros(1, device="cuda"), CONFIG["hidden_size"] // 2)
        fast = packed(model, *args)
    torch.testing.assert_close(fast[0], exact[0], atol=0.1, rtol=0.05)
    assert_no_farther(fast, slow, exact)


def assert_no_farther(fast: Result, slow: Result, exact: Result) -> None:
    """The fast way's gradients are about as near to those of fp32 as the slow way's."""
    for name, gradient in exact[2].items():
        farthest = max(0.03, 1.5 * float((slow[2][name] - gradient).norm() / gradient.norm()))
        assert (fast[2][name] - gradient).norm() / gradient.norm() < farthest, name


def test_a_batch_of_nothing_has_no_output(model: ItemModel) -> None:
    assert model(torch.zeros(0, 3, dtype=torch.long)).hidden.shape == (0, 3, 16)
    with ragged():
        assert model(torch.zeros(0, 3, dtype=torch.long)).hidden.shape == (0, 3, 16)


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
    assert_no_farther(fast, slow, reference(model, *many(40), left_out))


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
