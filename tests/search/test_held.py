import numpy as np
import pytest
from numpy.typing import NDArray

from item_embed.search import exact
from item_embed.search.held import HeldVectors, places_of
from tests.search.made import unit


def added(held: HeldVectors, rows: list[int], vectors: NDArray[np.float32]) -> None:
    held.add(np.array(rows, np.int64), np.array(rows, np.uint64) % 7, vectors)


@pytest.mark.parametrize("dropped", [0, 3, 1500])
def test_search_is_exact_search_of_what_is_left(dropped: int) -> None:
    rng = np.random.default_rng(0)
    rows = np.cumsum(rng.integers(1, 4, 2000))
    vectors = unit(rng, 2000)
    held = HeldVectors(8)
    for start in range(0, 2000, 300):
        added(held, rows[start : start + 300].tolist(), vectors[start : start + 300])
    gone = rng.permutation(2000)[:dropped]
    held.drop(np.concatenate([rows[gone], [10**6]]))
    held.drop(rows[gone])  # twice is once
    left = np.setdiff1d(np.arange(2000), gone)
    assert len(held) == len(left)
    for among in (None, left[:20], left[: len(left) * 3 // 4]):
        searched = left if among is None else among
        allowed = None if among is None else np.sort(np.concatenate([rows[among], rows[gone][:5]]))
        places, cosines = exact.search(vectors[:3], vectors[searched], 5, (rows[searched] % 7).astype(np.uint64))
        found = held.search(vectors[:3], 5, allowed)
        assert found.rows.tolist() == rows[searched][places].tolist()
        assert found.cosines.tolist() == cosines.tolist()
        assert found.ties.tolist() == (found.rows % 7).tolist()


def test_nothing_held_nothing_found() -> None:
    held = HeldVectors(8)
    assert held.search(np.eye(2, 8, dtype=np.float32), 3).rows.tolist() == [[-1] * 3] * 2
    added(held, [4], np.eye(1, 8, dtype=np.float32))
    assert held.search(np.eye(2, 8, dtype=np.float32), 2, np.array([], np.int64)).rows.tolist() == [[-1] * 2] * 2


def test_places() -> None:
    assert places_of(np.array([2, 4, 6]), np.array([1, 2, 3, 6, 7])).tolist() == [0, 2]
    assert places_of(np.array([], np.int64), np.array([1])).tolist() == []
