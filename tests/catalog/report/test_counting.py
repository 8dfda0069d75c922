import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.catalog.report import counting
from item_embed.catalog.report.counting import NameCounts, spread


@given(st.lists(st.integers(0, 12), min_size=1, max_size=60))
def test_a_spread_has_the_order_statistics_and_every_row_in_a_bar(values: list[int]) -> None:
    found = spread(np.bincount(values, minlength=13), [0, 1, 2, 5])

    ordered = sorted(values)
    assert found.median == ordered[(len(values) + 1) // 2 - 1]
    assert found.low <= found.median <= found.high
    assert sum(bar.rows for bar in found.bars) == found.count == len(values)


def test_bars_say_what_they_hold_and_empty_ends_are_left_out() -> None:
    found = spread(np.array([0, 3, 1, 1, 1, 1, 1, 0, 0, 0]), [0, 1, 2, 3, 4, 7, 8])

    assert [(bar.name, bar.rows) for bar in found.bars] == [("1", 3), ("2", 1), ("3", 1), ("4 to 6", 3)]


def test_a_bar_alone_has_its_neighbours_beside_it() -> None:
    found = spread(np.array([0, 0, 0, 9]), [0, 1, 2, 3, 4])

    assert [(bar.name, bar.rows) for bar in found.bars] == [("1", 0), ("2", 0), ("3", 9), ("4 or more", 0)]


def test_nothing_has_a_spread_of_zeros() -> None:
    found = spread(np.zeros(5, np.int64), [0, 1])

    assert (found.count, found.low, found.median, found.high) == (0, 0.0, 0.0, 0.0)


@settings(deadline=None)  # the first call loads what encodes
@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=40), st.integers(1, 40))
def test_examples_do_not_depend_on_how_rows_are_cut_into_batches(names: list[str | None], size: int) -> None:
    whole, parts = NameCounts(examples=2), NameCounts(examples=2)
    whole.add(pa.array(names, pa.string()), np.arange(len(names)))
    for first in range(0, len(names), size):
        some = names[first : first + size]
        parts.add(pa.array(some, pa.string()), np.arange(first, first + len(some)))

    assert whole.counts == parts.counts == {name: names.count(name) for name in set(names) if name}
    for name in whole.counts:
        assert whole.rows(name) == parts.rows(name)
        assert len(whole.rows(name)) == min(2, names.count(name))
        assert all(names[row] == name for row in whole.rows(name))


def test_names_without_end_are_not_all_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MOST_NAMES", 10)
    counts = NameCounts()
    names = [f"name {number}" for number in range(15)]
    counts.add(pa.array(names), np.arange(len(names)))

    assert len(counts.counts) == 10
    assert counts.total == len(names)
    assert counts.labels().distinct is None
