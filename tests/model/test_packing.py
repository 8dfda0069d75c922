from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.model.packing import grouped, length_groups, put, ragged, take


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


@given(st.lists(st.lists(st.booleans(), min_size=40, max_size=40), min_size=1, max_size=40))
@settings(max_examples=40, deadline=None)
def test_every_present_position_is_taken_once(present: list[list[bool]]) -> None:
    absent = ~torch.tensor(present)
    (expected,) = (~absent).flatten().nonzero(as_tuple=True)
    bounds = ragged(absent).bounds.tolist()
    assert torch.equal(ragged(absent).taken, expected)
    assert [end - start for start, end in pairwise(bounds)] == [sum(row) for row in present]
    found = grouped(absent)
    if found is None:
        assert len(expected) > 0.95 * absent.numel()
        return
    assert sorted(found.taken.tolist()) == expected.tolist()
    rectangles = torch.cat([rectangle.flatten() for rectangle in found.absent])
    assert torch.equal(found.place, (~rectangles).nonzero().flatten())
    rows = put(found.taken // 40, found.place, len(rectangles)).split(found.sizes)
    for row, rectangle in zip(rows, found.absent, strict=True):  # a rectangle's row holds one sequence
        whose = row.view_as(rectangle)
        assert all(len(set(numbers[~gone].tolist())) <= 1 for numbers, gone in zip(whose, rectangle, strict=True))


def test_equal_sequences_are_not_moved() -> None:
    assert grouped(torch.zeros(16, 30, dtype=torch.bool)) is None
    nearly = torch.zeros(16, 30, dtype=torch.bool)
    nearly[:, -1] = torch.arange(16) < 8
    assert grouped(nearly) is None


def test_taking_and_putting_have_the_gradients_of_indexing() -> None:
    x = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    places = torch.tensor([4, 0, 6])
    assert torch.equal(take(x, places), x[places])
    assert torch.equal(put(x[:3], places, 7)[places], x[:3])
    assert torch.autograd.gradcheck(lambda x: take(x, places), x)
    assert torch.autograd.gradcheck(lambda x: put(x[:3], places, 9), x)
