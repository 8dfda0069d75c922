from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.model.packing import length_groups


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
