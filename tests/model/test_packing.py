import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.model.packing import groups, length_groups


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
def test_every_present_position_goes_through_once(present: list[list[bool]]) -> None:
    absent = ~torch.tensor(present)
    cut = groups(absent)
    if cut is None:
        return
    flat = absent.flatten()
    for group in cut:
        assert torch.equal(flat[group.places], group.absent)
    taken = torch.cat([group.places[~group.absent] for group in cut])
    assert sorted(taken.tolist()) == (~flat).nonzero().flatten().tolist()
    everything = torch.cat([group.places.flatten() for group in cut])
    assert len(set(everything.tolist())) == len(everything) <= 0.95 * absent.numel()


def test_equal_sequences_are_not_moved() -> None:
    assert groups(torch.zeros(16, 30, dtype=torch.bool)) is None
    nearly = torch.zeros(16, 30, dtype=torch.bool)
    nearly[:, -1] = torch.arange(16) < 8
    assert groups(nearly) is None
