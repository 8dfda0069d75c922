import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.categories.abstaining import HeldOut, answered, check_precision, fit_thresholds, why_silent
from item_embed.errors import ConfigError
from item_embed.thresholds import wilson


def drawn(count: int, seed: int, levels: int = 3) -> HeldOut:
    """Rows that are right as often as they say, and at each level more often than below; three rows a group."""
    generator = np.random.default_rng(seed)
    likelihood = np.sort(generator.random((count, levels)), axis=1) ** 0.3
    return HeldOut(likelihood, generator.random((count, levels)) < likelihood, np.arange(count) // 3)


@given(st.integers(0, 10**6), st.sampled_from([0.8, 0.9, 0.95]), st.integers(1, 600))
@settings(max_examples=40)
def test_the_answers_of_each_level_are_as_sure_as_wanted(seed: int, precision: float, count: int) -> None:
    held = drawn(count, seed)
    thresholds = fit_thresholds(held, precision)
    level = answered(held.likelihood, thresholds)
    for number, point in enumerate(thresholds):
        rows = np.flatnonzero(level == number)
        if point is None:
            assert not len(rows)
            continue
        right = held.right[rows, number].mean()
        groups = np.unique(held.group[rows], return_counts=True)[1]
        low, _ = wilson(right, len(rows) ** 2 / (groups**2).sum())
        assert low >= precision - 1e-9
        assert point.precision == pytest.approx(right)
        assert point.answers == len(rows)
    for row in np.flatnonzero(level < 0):
        least = [np.inf if point is None else point.threshold for point in thresholds]
        assert (held.likelihood[row] < least).all()


def test_the_promise_holds_for_rows_that_fitted_nothing() -> None:
    """As often as the interval says, and for the answers of each level by themselves."""
    every = drawn(200_000, 99)
    kept = []
    for seed in range(60):
        thresholds = fit_thresholds(drawn(900, seed), 0.9)
        level = answered(every.likelihood, thresholds)
        kept += [every.right[level == k, k].mean() >= 0.9 for k in range(3) if (level == k).any()]
    assert len(kept) > 60
    assert np.mean(kept) >= 0.9


def test_easy_rows_do_not_vouch_for_prefixes_of_hard_ones() -> None:
    """All prefixes together are right in 97 %, those that a leaf has not answered before in 80 %: nothing is said."""
    easy, hard = np.arange(1000) < 850, np.arange(1000) >= 850
    likelihood = np.stack([np.where(easy, 0.99, 0.3), np.where(easy, 0.99, 0.95)], axis=1)
    right = np.stack([easy, easy | (np.arange(1000) % 5 > 0)], axis=1)
    assert right[:, 1].mean() == pytest.approx(0.97)
    leaf, prefix = fit_thresholds(HeldOut(likelihood, right, np.arange(1000)), 0.95)
    assert leaf is not None
    assert prefix is None
    assert (answered(likelihood, (leaf, prefix)) == np.where(hard, -1, 0)).all()


def test_few_rows_are_not_sure_enough() -> None:
    for count, sure in ((60, False), (80, True)):  # it takes 73 without a mistake
        held = HeldOut(np.full((count, 1), 0.9), np.ones((count, 1), np.bool_), np.arange(count))
        assert (fit_thresholds(held, 0.95)[0] is not None) is sure
        assert (why_silent(held, 0.95) is None) is sure


def test_why_nothing_is_answered() -> None:
    """Too few rows, rows of too few groups, or too many that are wrong."""
    likelihood, right = np.full((300, 2), 0.99), np.ones((300, 2), np.bool_)
    said = why_silent(HeldOut(likelihood[:60], right[:60], np.arange(60)), 0.95)
    assert said is not None
    assert "could be promised for a precision of 0.95: of 60 held-out rows those of 60 groups are right" in said
    assert "it takes 73" in said
    assert "those of 50 groups are right" in (why_silent(HeldOut(likelihood, right, np.arange(300) // 6), 0.95) or "")
    wrong = HeldOut(likelihood, right & (np.arange(300) % 2 > 0)[:, None], np.arange(300))
    assert "300 held-out rows: too many answers are wrong" in (why_silent(wrong, 0.95) or "")
    assert why_silent(wrong, 0.3) is None
    leaf_alone = right.copy()
    leaf_alone[:, 0] = False
    assert why_silent(HeldOut(likelihood, leaf_alone, np.arange(300)), 0.95) is None  # shorter paths are answered
    nothing = HeldOut(likelihood[:0], right[:0], np.zeros(0, np.int64))
    assert "0 held-out rows" in (why_silent(nothing, 0.95) or "")


@pytest.mark.parametrize("precision", [0.0, 1.0, -0.5, float("nan")])
def test_a_precision_that_cannot_be(precision: float) -> None:
    with pytest.raises(ConfigError, match=r"--precision .* is out of range"):
        check_precision(precision)
