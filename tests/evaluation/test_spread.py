import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.evaluation.intervals import Figure
from item_embed.evaluation.measured import Sums, mean
from item_embed.evaluation.spread import differences, figures, mark
from tests.evaluation.sums import drawn

NAMES = ["hit_at_1", "macro_recall_at_10", "accuracy", "dominance_index"]


@given(st.integers(1, 4), st.integers(0, 5))
@settings(max_examples=10)
def test_a_figure_is_the_mean_with_its_own_interval(runs: int, seed: int) -> None:
    measured = [drawn(number) for number in range(runs)]
    found = figures(measured, seed)
    assert list(found) == NAMES
    for name, spread in found.items():
        wanted = mean([one[name] for one in measured]).figure(seed)
        got = spread.figure
        assert (got.value, got.low, got.high) == pytest.approx((wanted.value, wanted.low, wanted.high))
        assert spread.each == tuple(one[name].value for one in measured)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 5))
@settings(max_examples=10)
def test_a_difference_is_that_of_the_means_and_run_by_run_of_as_many(ours: int, others: int, seed: int) -> None:
    runs, base = [drawn(number) for number in range(ours)], [drawn(100 + number) for number in range(others)]
    found = differences(runs, base, seed)
    assert list(found) == NAMES
    for name, spread in found.items():
        wanted = mean([one[name] for one in runs]).minus(mean([one[name] for one in base]), seed)
        got = spread.figure
        assert (got.value, got.low, got.high) == pytest.approx((wanted.value, wanted.low, wanted.high))
        each = [a[name].value - b[name].value for a, b in zip(runs, base, strict=True)] if ours == others else []
        assert spread.each == pytest.approx(each)


def test_where_nothing_moves_there_is_no_interval() -> None:
    still = {"dominance_index": Sums(np.zeros(3), np.zeros(3))}
    assert figures([still])["dominance_index"].figure.low is None
    assert differences([still], [still])["dominance_index"].figure.low is None


def test_an_index_of_seeds_that_move_unequally_far_is_the_mean_of_theirs() -> None:
    photo, title = (
        {"dominance_index": Sums(sign * far, far)} for sign, far in ((1, np.ones(5)), (-1, 99 * np.ones(5)))
    )
    assert figures([photo, title])["dominance_index"].figure.value == 0
    less = differences([photo, title], [title, title])["dominance_index"]
    assert less.figure.value == pytest.approx(np.mean(less.each)) == 1


def test_only_what_all_runs_have_is_told() -> None:
    whole = drawn(0)
    without = {name: sums for name, sums in drawn(1).items() if name != "accuracy"}
    assert "accuracy" not in figures([whole, without])
    assert "accuracy" not in differences([whole], [without])
    assert figures([]) == {}
    assert differences([], []) == {}


def test_what_is_not_significant_is_marked() -> None:
    assert mark(Figure(0.2, 0.1, 0.3)) == mark(Figure(-0.2, -0.3, -0.1)) == ""
    for undecided in (Figure(0.1, -0.1, 0.3), Figure(0.1, 0.0, 0.2), Figure(0.1, None, None)):
        assert mark(undecided) == " n.s."
