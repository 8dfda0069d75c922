import pytest

from item_embed.search.fusion import reciprocal_ranks


def test_the_formula_of_the_paper() -> None:
    scores = reciprocal_ranks([[5, 6, 7], [7, 8]])
    assert scores == pytest.approx({5: 1 / 61, 6: 1 / 62, 7: 1 / 63 + 1 / 61, 8: 1 / 62})
    assert list(scores) == [5, 6, 7, 8]


def test_nothing_ranked() -> None:
    assert reciprocal_ranks([[], []]) == {}
