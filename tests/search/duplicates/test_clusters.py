from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from item_embed.search.duplicates.clusters import MOST, Clustering, Linkage, cluster
from item_embed.search.duplicates.neighbours import Pairs
from tests.search.duplicates.made import at, groups


def clustered(
    vectors: NDArray[np.float32],
    threshold: float,
    method: Linkage = "complete",
    values: NDArray[np.int64] | None = None,
    most: int = 1000,
) -> Clustering:
    table = np.clip(vectors.astype(np.float64) @ vectors.T, -1, 1).astype(np.float32)
    first, second = np.triu_indices(len(vectors), 1)
    pairs = Pairs(first.astype(np.int64), second.astype(np.int64), table[first, second])
    near = lambda nodes: table[np.ix_(nodes, nodes)]  # noqa: E731
    return cluster(pairs, len(vectors), threshold, near, method=method, values=values, most=most)


def plain(vectors: NDArray[np.float32], threshold: float, method: Linkage) -> list[int]:
    """Agglomerative clustering by loops: the nearest two clusters are joined while they are near enough."""
    table = vectors.astype(np.float64) @ vectors.T
    found = [[node] for node in range(len(vectors))]
    measure: Any = np.min if method == "complete" else np.mean
    while True:
        near = [(float(measure(table[np.ix_(a, b)])), i, j) for (i, a), (j, b) in combinations(enumerate(found), 2)]
        best = max(near, default=(-2.0, 0, 0))
        if best[0] < threshold:
            labels = np.empty(len(vectors), int)
            for number, nodes in enumerate(sorted(found, key=min)):
                labels[nodes] = number
            return labels.tolist()
        _, one, other = best
        found[one] += found.pop(other)


def test_what_hangs_together_by_a_chain_is_not_one_cluster() -> None:
    chain = at(0, 10, 20, 30, 40)
    assert clustered(chain, np.cos(np.radians(11))).labels.tolist() in ([0, 0, 1, 1, 2], [0, 1, 1, 2, 2])


@pytest.mark.parametrize("method", ["complete", "average"])
@given(seed=st.integers(0, 10**6), products=st.integers(1, 6), threshold=st.floats(0.3, 0.99))
@settings(max_examples=40)
def test_clusters_are_those_of_plain_loops(seed: int, products: int, threshold: float, method: Linkage) -> None:
    vectors = groups(products, 4, seed, spread=0.7)
    assert clustered(vectors, threshold, method).labels.tolist() == plain(vectors, threshold, method)


@given(seed=st.integers(0, 10**6), threshold=st.floats(0.3, 0.99), most=st.integers(1, 20))
@settings(max_examples=40)
def test_all_pairs_of_a_cluster_are_near_however_small_the_pieces(seed: int, threshold: float, most: int) -> None:
    vectors = groups(5, 6, seed, spread=0.7)
    found = clustered(vectors, threshold, most=most)
    cosines = (vectors.astype(np.float64) @ vectors.T).astype(np.float32)
    assert (cosines[found.labels[:, None] == found.labels] >= np.float32(threshold) - 1e-6).all()
    assert np.bincount(found.labels).max() <= most


def test_a_pair_at_the_threshold_is_joined() -> None:
    vectors = at(0, 20, 90)
    cosine = float(np.float32(vectors[0].astype(np.float64) @ vectors[1]))
    assert clustered(vectors, cosine).labels.tolist() == [0, 0, 1]
    assert clustered(vectors, float(np.nextafter(np.float32(cosine), np.float32(2)))).labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("method", ["complete", "average"])
def test_different_values_are_never_joined_and_none_differs_from_nothing(method: Linkage) -> None:
    vectors = at(0, 1, 2, 3, 4, 5)
    values = np.array([7, 8, 7, 8, -1, -1])
    labels = clustered(vectors, 0.9, method, values).labels
    for one, other in combinations(range(6), 2):
        if labels[one] == labels[other]:
            assert values[one] == values[other] or -1 in (values[one], values[other])
    assert labels.max() == 1  # those without a value are with either
    assert clustered(vectors, 0.9, method).labels.tolist() == [0] * 6


def test_two_that_differ_keep_the_largest_halves_apart() -> None:
    """One pair among four million, all of them near."""
    half = MOST // 2
    pairs = Pairs(np.arange(MOST - 1), np.arange(1, MOST), np.full(MOST - 1, 0.96, np.float32))
    values = np.full(MOST, -1)
    values[[0, half]] = 0, 1

    def near(nodes: NDArray[np.int64]) -> NDArray[np.float32]:
        first = nodes < half
        return np.where(first[:, None] == first, np.float32(0.99), np.float32(0.96))

    labels = cluster(pairs, MOST, 0.7, near, method="average", values=values).labels
    assert labels.tolist() == [0] * half + [1] * half


def test_a_component_that_is_too_large_is_cut_at_its_weakest_pairs() -> None:
    vectors = at(0, 1, 2, 3, 30, 31, 32, 33)
    whole = clustered(vectors, 0.8)
    cut = clustered(vectors, 0.8, most=4)
    assert (whole.labels.tolist(), whole.cut) == ([0] * 8, 0)
    assert (cut.labels.tolist(), cut.cut) == ([0] * 4 + [1] * 4, 1)


def test_thousands_that_are_all_alike_stay_in_bounds() -> None:
    count, most = 3000, 100
    pairs = Pairs(np.arange(count - 1), np.arange(1, count), np.ones(count - 1, np.float32))
    asked: list[int] = []

    def near(nodes: NDArray[np.int64]) -> NDArray[np.float32]:
        asked.append(len(nodes))
        return np.ones((len(nodes), len(nodes)), np.float32)

    found = cluster(pairs, count, 0.9, near, most=most)
    assert max(asked) <= most
    assert np.bincount(found.labels).max() <= most
    assert found.labels.max() < 2 * count / most + 1  # about as few pieces as can be


def test_of_what_is_near_throughout_no_cosine_is_asked_for() -> None:
    pairs = Pairs(np.array([0, 0, 1]), np.array([1, 2, 2]), np.full(3, 0.9, np.float32))

    def never(_: NDArray[np.int64]) -> NDArray[np.float32]:
        raise AssertionError

    assert cluster(pairs, 5, 0.9, never).labels.tolist() == [0, 0, 0, 1, 2]


def test_nothing_has_no_clusters() -> None:
    assert len(clustered(np.zeros((0, 3), np.float32), 0.9).labels) == 0
