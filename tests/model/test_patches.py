import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from item_embed.model.patches import kept_patches, length_groups, patches_at, patchify


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
    assert kept.counts == [len(row) for row in expected]
    assert kept.index.shape == kept.padding.shape == (len(left_out), max(kept.counts))
    for row, index, padding in zip(expected, kept.index.tolist(), kept.padding.tolist(), strict=True):
        assert index[: len(row)] == row
        assert padding == [False] * len(row) + [True] * (max(kept.counts) - len(row))
        assert len(set(index)) == len(index)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=200))
@settings(max_examples=60, deadline=None)
def test_groups_hold_every_row_once_in_little_room(lengths: list[int]) -> None:
    groups = length_groups(lengths)
    assert sorted(row for rows, _ in groups for row in rows) == list(range(len(lengths)))
    assert len(groups) <= 8
    assert all(len(rows) >= 8 for rows, _ in groups[:-1])
    shortest = 0
    for rows, length in groups:
        longest = max(lengths[row] for row in rows)
        assert shortest <= min(lengths[row] for row in rows)
        assert longest <= length <= max(lengths)
        assert length == max(lengths) or length % 8 == 0
        assert length - longest < 8
        shortest = longest
