from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from item_embed.search.duplicates.floors import cosines_of_labels, lower_floor, none_near
from item_embed.search.duplicates.snapshot import Snapshot, take_snapshot
from tests.search.duplicates.made import at, groups, make_index


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=30), st.floats(-0.9, 1))
def test_half_of_the_pairs_reach_the_floor_that_is_named(cosine: list[float], floor: float) -> None:
    lower = lower_floor(np.array(cosine, np.float32), floor)
    if lower is None:
        assert np.floor(np.median(cosine) * 20 + 1e-6) / 20 >= floor
    else:
        assert -1 < lower < floor
        assert (np.array(cosine) >= lower).mean() >= 0.5 or lower == -0.95


def test_where_there_are_no_pairs_none_is_named() -> None:
    assert lower_floor(np.zeros(0, np.float32), 0.8) is None
    assert str(none_near("nothing is near", "them", np.zeros(0, np.float32), 0.8)) == "nothing is near; lower --floor."


def test_the_first_two_listings_of_each_label(tmp_path: Path) -> None:
    vectors = np.concatenate([at(0, 60, 5, 90, 90), np.zeros((1, 2), np.float32), at(30)])
    index = make_index(tmp_path, vectors)
    snapshot = take_snapshot(index)
    label = np.array([1, 1, 1, 0, -1, 2, 2])
    stored = vectors[snapshot.first]
    assert cosines_of_labels(label, snapshot, stored) == pytest.approx([0.5])
    assert len(cosines_of_labels(np.full(7, -1), snapshot, stored)) == 0


_LISTINGS = st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 2)), min_size=1, max_size=12)


@given(_LISTINGS)
def test_of_each_label_two_are_looked_at_that_may_be_joined(listings: list[tuple[int, int]]) -> None:
    label, values = (np.array(column) for column in zip(*listings, strict=True))
    rows = np.arange(len(listings))
    vectors = groups(len(listings), 1)  # of chance: no two pairs have one cosine
    snapshot = Snapshot([str(row) for row in rows], rows, rows, [b""] * len(rows), 16)
    may: dict[int, list[float]] = {}
    for one, other in combinations(rows.tolist(), 2):
        apart = values[one] != values[other] and values[one] >= 0 and values[other] >= 0
        if label[one] == label[other] >= 0 and not apart:
            may.setdefault(int(label[one]), []).append(float(vectors[one] @ vectors[other]))
    found = cosines_of_labels(label, snapshot, vectors, values)
    assert len(found) == len(may)
    for cosine, (_, expected) in zip(found.tolist(), sorted(may.items()), strict=True):
        assert min(abs(cosine - one) for one in expected) < 1e-6
