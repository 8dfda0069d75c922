import pytest

from item_embed.search.fusion import best_by_both, reciprocal_ranks


def test_the_formula_of_the_paper() -> None:
    scores = reciprocal_ranks([[5, 6, 7], [7, 8]])
    assert scores == pytest.approx({5: 1 / 61, 6: 1 / 62, 7: 1 / 63 + 1 / 61, 8: 1 / 62})
    assert list(scores) == [5, 6, 7, 8]


def test_nothing_ranked() -> None:
    assert reciprocal_ranks([[], []]) == {}


def test_the_best_by_both_are_ordered_by_score_then_by_vector() -> None:
    found = best_by_both([5, 6, 7], [7, 8], k=3)
    assert found == pytest.approx({7: 1 / 63 + 1 / 61, 5: 1 / 61, 6: 1 / 62})
    assert list(found) == [7, 5, 6]
    assert list(best_by_both([5, 6], [8, 9], k=9)) == [5, 8, 6, 9]
    assert best_by_both([], [], k=1) == {}
