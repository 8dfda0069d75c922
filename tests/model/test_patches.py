import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from item_embed.model.patches import kept_patches, patches_at, patchify


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_patches_are_cut_row_by_row_channel_first() -> None:
    photos = drawn(2, 3, 6, 4)
    patches = patchify(photos, 2)
    assert patches.shape == (2, 6, 12)
    back = torch.zeros_like(photos)
    for b in range(2):
        for p in range(6):
            for c in range(3):
                for y in range(2):
                    for x in range(2):
                        row, column = 2 * (p // 2) + y, 2 * (p % 2) + x
                        number = patches[b, p, (c * 2 + y) * 2 + x]
                        assert number == photos[b, c, row, column]
                        back[b, c, row, column] = number
    assert torch.equal(back, photos)


def test_some_patches_are_cut_as_all_are() -> None:
    photos = drawn(3, 3, 6, 4)
    patches = patchify(photos, 2)
    pair, position = torch.tensor([2, 0, 0, 1]), torch.tensor([5, 0, 3, 3])
    assert torch.equal(patches_at(photos, 2, pair, position), patches[pair, position])
    several = torch.tensor([[1, 4], [0, 5], [3, 2]])
    assert torch.equal(
        patches_at(photos, 2, torch.arange(3)[:, None], several), patches[torch.arange(3)[:, None], several]
    )


@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_what_is_kept_is_packed_in_order(left_out: list[list[bool]]) -> None:
    kept = kept_patches(torch.tensor(left_out))
    expected = [[j for j in range(5) if not row[j]] for row in left_out]
    assert kept.index.shape == kept.padding.shape == (len(left_out), max(map(len, expected)))
    for row, index, padding in zip(expected, kept.index.tolist(), kept.padding.tolist(), strict=True):
        assert index[: len(row)] == row
        assert padding == [False] * len(row) + [True] * (max(map(len, expected)) - len(row))
        assert len(set(index)) == len(index)
