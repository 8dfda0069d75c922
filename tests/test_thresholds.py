import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from item_embed.thresholds import answers_needed, precision_curve, wilson


@pytest.mark.parametrize(("right", "of"), [(0, 5), (5, 5), (3, 10), (950, 1000)])
def test_the_interval_is_wilsons(right: int, of: int) -> None:
    low, high = wilson(right / of, of)
    expected = binomtest(right, of).proportion_ci(method="wilson")
    assert (float(low), float(high)) == pytest.approx((expected.low, expected.high))


def test_the_surest_point_is_the_one_that_ends_highest_below() -> None:
    curve = precision_curve(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, True, False]), np.arange(4))
    assert curve.surest() == curve.point(2)
    assert curve.sure(0.95) is None
    assert curve.sure(0.4) == curve.point(2)


@given(st.floats(0.01, 0.999))
def test_so_many_answers_without_a_mistake_are_needed_and_enough(precision: float) -> None:
    needed = answers_needed(precision)
    one_more = precision_curve(np.zeros(needed + 1), np.ones(needed + 1, np.bool_), np.arange(needed + 1))
    assert one_more.sure(precision) is not None
    assert one_more.could_be_sure(precision)
    if needed > 2:
        one_less = precision_curve(np.zeros(needed - 1), np.ones(needed - 1, np.bool_), np.arange(needed - 1))
        assert not one_less.could_be_sure(precision)


def test_what_could_be_sure_counts_products_and_not_mistakes() -> None:
    wrong = precision_curve(np.linspace(1, 0, 100), np.zeros(100, np.bool_), np.arange(100))
    assert wrong.could_be_sure(0.95)
    twice = precision_curve(np.linspace(1, 0, 100), np.ones(100, np.bool_), np.arange(100) // 2)
    assert not twice.could_be_sure(0.95)
    assert twice.independent[-1] == 50


@given(st.integers(0, 10**6), st.sampled_from([np.float32, np.float64]))
@settings(max_examples=20)
def test_a_threshold_answers_the_rows_that_it_was_measured_on(seed: int, kind: type[np.floating]) -> None:
    """Also where scores differ in the last digit: none is lost by rounding."""
    generator = np.random.default_rng(seed)
    score = (1 - generator.random(200) * 1e-6).astype(kind)
    point = precision_curve(score, generator.random(200) < 0.9, np.arange(200)).sure(
        0.7
    )  # some draws are sure of no more
    assert point is not None
    assert (score >= kind(point.threshold)).sum() == point.answers
