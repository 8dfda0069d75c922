import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from item_embed.search import exact
from item_embed.search.exact import search, search_among, tie_keys, top_k

Found = tuple[NDArray[np.int64], NDArray[np.float32]]


def sort_everything(
    scores: NDArray[np.float32], k: int, ties: NDArray[np.uint64], excluded: NDArray[np.int64] | None
) -> Found:
    """What `top_k` promises, written as a full sort of Python tuples."""
    rows = np.full((len(scores), k), -1, np.int64)
    best = np.full((len(scores), k), -np.inf, np.float32)
    for q, line in enumerate(scores):
        allowed = [n for n in range(len(line)) if line[n] > -np.inf and (excluded is None or n != excluded[q])]
        allowed.sort(key=lambda n: (-line[n], int(ties[n]), n))
        for place, n in enumerate(allowed[:k]):
            rows[q, place], best[q, place] = n, line[n]
    return rows, best


def assert_same(found: Found, expected: Found) -> None:
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    assert found[0].dtype == np.int64
    assert found[1].dtype == np.float32


@given(data=st.data(), k=st.integers(1, 12), levels=st.integers(1, 4), keys=st.sampled_from([3, 2**63]))
@settings(max_examples=80, deadline=None)
def test_top_k_is_a_full_sort_with_ties_by_key(data: st.DataObject, k: int, levels: int, keys: int) -> None:
    queries, rows = data.draw(st.integers(0, 4)), data.draw(st.integers(0, 25))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    scores = rng.integers(0, levels, (queries, rows)).astype(np.float32)  # a few levels: many equal scores
    scores[rng.random(scores.shape) < 0.1] = -np.inf
    ties = rng.integers(0, keys, rows).astype(np.uint64)  # three keys: equal keys too
    excluded = rng.integers(-1, max(1, rows), queries) if data.draw(st.booleans()) else None
    before = scores.copy()
    assert_same(top_k(scores, k, ties, excluded), sort_everything(scores, k, ties, excluded))
    np.testing.assert_array_equal(scores, before)


def test_a_tie_across_the_last_place_goes_to_the_lowest_key() -> None:
    scores = np.full((1, 1000), 0.5, np.float32)
    scores[0, 700] = 0.9
    ties = np.random.default_rng(0).permutation(1000).astype(np.uint64)
    rows, _ = top_k(scores, 3, ties)
    others = [int(row) for row in np.argsort(ties) if row != 700]
    assert rows.tolist() == [[700, *others[:2]]]


@given(data=st.data(), k=st.integers(1, 8), block=st.sampled_from([1, 2, 3, None]))
@settings(max_examples=40, deadline=None)
def test_search_is_a_full_sort_of_cosines(data: st.DataObject, k: int, block: int | None) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    queries, rows = data.draw(st.integers(0, 7)), data.draw(st.integers(0, 30))
    vectors = directions(rng, 6)[rng.integers(0, 6, rows)]  # six directions: many equal vectors
    asked = directions(rng, max(1, queries))[:queries]
    ties = rng.integers(0, 2**63, rows).astype(np.uint64)
    excluded = rng.integers(-1, max(1, rows), queries) if data.draw(st.booleans()) else None
    scores = (vectors[None].astype(np.float64) * asked[:, None]).sum(-1).astype(np.float32)
    assert_same(search(asked, vectors, k, ties, excluded, block=block), sort_everything(scores, k, ties, excluded))


def test_neither_the_block_nor_the_place_of_a_row_changes_a_result() -> None:
    rng = np.random.default_rng(0)
    vectors = directions(rng, 3001, 33)
    vectors[1500:3000] = vectors[:1500]  # every vector twice
    asked, ties = directions(rng, 37, 33), rng.permutation(3001).astype(np.uint64)
    reference = search(asked, vectors, 20, ties, block=37)
    for block in (1, 2, 5, None):
        assert_same(search(asked, vectors, 20, ties, block=block), reference)
    order = rng.permutation(3001)
    moved_rows, moved_scores = search(asked, vectors[order], 20, ties[order])
    assert_same((order[moved_rows], moved_scores), reference)


@given(data=st.data(), k=st.integers(1, 8), rows=st.integers(1, 40), chunk=st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_search_among_is_search_with_the_others_left_out(data: st.DataObject, k: int, rows: int, chunk: int) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    vectors = rng.integers(-1, 2, (rows, 3)).astype(np.float32)  # few directions: many equal scores
    vectors /= np.maximum(1, np.linalg.norm(vectors, axis=1, keepdims=True))
    queries = vectors[rng.integers(0, rows, 3)]
    ties = rng.integers(0, 5, rows).astype(np.uint64)
    allowed = rng.random(rows) < data.draw(st.sampled_from([0, 0.2, 0.7, 1]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "_CHUNK_ROWS", chunk)
        found = search_among(queries, vectors, np.flatnonzero(allowed), k, ties)
    assert_same(found, search(queries, vectors, k, ties, allowed=allowed))


def test_search_among_copies_no_more_than_it_looks_at() -> None:
    """The vectors of a mapped graph begin at any byte, which made numpy copy all of them for a few."""
    whole = np.random.default_rng(0).standard_normal((20_000, 64)).astype(np.float32)
    vectors = np.frombuffer(b"?" + whole.tobytes(), np.float32, offset=1).reshape(whole.shape)
    assert not vectors.flags.aligned
    places, ties = np.arange(0, 20_000, 100), np.arange(20_000).astype(np.uint64)
    expected = search_among(whole[:1], whole, places, 3, ties)
    tracemalloc.start()
    try:
        assert_same(search_among(whole[:1], vectors, places, 3, ties), expected)
        assert tracemalloc.get_traced_memory()[1] < whole.nbytes / 4
    finally:
        tracemalloc.stop()


def test_a_zero_query_is_answered_in_the_order_of_the_keys() -> None:
    vectors = directions(np.random.default_rng(1), 20000, 4)
    ties = np.random.default_rng(2).permutation(20000).astype(np.uint64)
    rows, scores = search(np.zeros((1, 4), np.float32), vectors, 5, ties)
    assert rows[0].tolist() == np.argsort(ties)[:5].tolist()
    assert not scores.any()


def test_tie_keys_are_fixed() -> None:
    keys = tie_keys(["a", "b", "é"])
    assert keys.dtype == np.uint64
    assert keys.tolist() == tie_keys(["a", "b", "é"]).tolist()
    assert len(set(keys.tolist())) == 3
    assert keys[0] == 1702698405120146464  # a changed hash would change every published figure


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        top_k(np.zeros((1, 2), np.float32), k, tie_keys(["a", "b"]))


def directions(rng: np.random.Generator, count: int, dimension: int = 5) -> NDArray[np.float32]:
    vectors = rng.standard_normal((count, dimension)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
