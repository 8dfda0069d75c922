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
    assert wilson(1.0, needed)[0] >= precision - 1e-12
    assert needed == 1 or wilson(1.0, needed - 1)[0] < precision
    one_more = precision_curve(np.zeros(needed + 1), np.ones(needed + 1, np.bool_), np.arange(needed + 1))
    assert one_more.sure(precision) is not None
    assert one_more.could_be_sure(precision)


def test_what_could_be_sure_counts_the_units_that_are_right() -> None:
    score, each = np.linspace(1, 0, 200), np.arange(200)
    assert not precision_curve(score, each % 4 == 0, each).could_be_sure(0.95)  # 50 right ones among 200
    assert precision_curve(score, each % 2 == 0, each).could_be_sure(0.95)
    assert not precision_curve(score, each >= 0, each // 4).could_be_sure(0.95)


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
