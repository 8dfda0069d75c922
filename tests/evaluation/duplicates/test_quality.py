from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from item_embed.evaluation.duplicates.quality import cluster_quality

NAMES = {"pair_precision", "pair_recall", "pair_f1", "b_cubed_precision", "b_cubed_recall", "b_cubed_f1"}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 5)), min_size=1, max_size=25))
def test_figures_are_those_of_plain_loops(rows: list[tuple[int, int]]) -> None:
    clusters, products = (np.array(column) for column in zip(*rows, strict=True))
    known = [row for row in rows if row[1] >= 0]
    pairs = list(combinations(known, 2))
    joined = [one[0] == other[0] for one, other in pairs]
    same = [one[1] == other[1] for one, other in pairs]
    found = cluster_quality(clusters, products)
    if not any(same):
        assert found is None
        return
    assert found is not None
    assert (found.listings, found.products) == (len(known), len({product for _, product in known}))
    right = sum(a and b for a, b in zip(joined, same, strict=True))
    expected: dict[str, float] = {
        "pair_recall": right / sum(same),
        "pair_f1": 2 * right / (sum(same) + sum(joined)),
        "b_cubed_precision": float(np.mean([_share(known, row, of=0) for row in known])),
        "b_cubed_recall": float(np.mean([_share(known, row, of=1) for row in known])),
    }
    if any(joined):
        expected["pair_precision"] = right / sum(joined)
    precision, recall = expected["b_cubed_precision"], expected["b_cubed_recall"]
    expected["b_cubed_f1"] = 2 * precision * recall / (precision + recall)
    assert {name: figure.value for name, figure in found.figures.items()} == pytest.approx(expected)


def _share(rows: list[tuple[int, int]], row: tuple[int, int], of: int) -> float:
    """Of the rows in a row's cluster (or of its product), itself among them, the share that is both."""
    group = [other for other in rows if other[of] == row[of]]
    return sum(other == row for other in group) / len(group)


def test_perfect_clusters_are_perfect_and_have_intervals() -> None:
    products = np.repeat(np.arange(30), 3)
    found = cluster_quality(products + 7, products)
    assert found is not None
    assert found.figures.keys() == NAMES
    assert all(figure.value == 1 for figure in found.figures.values())
    assert found.figures["pair_recall"].low == 1
    assert found.as_json()["products_of_several"] == 30


def test_one_large_wrong_cluster_costs_pairs_more_than_listings() -> None:
    products = np.concatenate([np.repeat(np.arange(50), 2), np.arange(100, 120)])
    clusters = np.concatenate([np.repeat(np.arange(50), 2), np.full(20, 99)])
    figures = cluster_quality(clusters, products)
    assert figures is not None
    assert figures.figures["pair_precision"].value == pytest.approx(50 / (50 + 190))
    assert figures.figures["b_cubed_precision"].value == pytest.approx((100 + 20 / 20) / 120)
    assert figures.figures["b_cubed_recall"].value == 1


def test_where_nothing_is_joined_there_is_no_precision_of_pairs() -> None:
    found = cluster_quality(np.arange(4), np.array([0, 0, 1, 1]))
    assert found is not None
    assert found.figures.keys() == NAMES - {"pair_precision"}
    assert found.figures["pair_recall"].value == 0
