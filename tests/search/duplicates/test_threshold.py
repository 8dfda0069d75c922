import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from item_embed.errors import ConfigError
from item_embed.search.duplicates.judged import Judged, RowPairs
from item_embed.search.duplicates.threshold import (
    calibration_error,
    choose_threshold,
    fit_probability,
    judged_curve,
)
from item_embed.thresholds import wilson


def judged(cosine: object, same: object, weight: object = None, unit: object = None) -> Judged:
    found = np.asarray(cosine, np.float32)
    rows = np.arange(len(found))
    return Judged(
        RowPairs(rows, rows + len(rows), found),
        np.asarray(same, np.bool_),
        np.ones(len(found)) if weight is None else np.asarray(weight, np.float64),
        rows if unit is None else np.asarray(unit, np.int64),
        "made",
    )


def drawn(count: int, seed: int = 0) -> Judged:
    """Pairs whose probability of being the same is a logistic function of their cosine."""
    generator = np.random.default_rng(seed)
    cosine = generator.uniform(0.8, 1, count)
    return judged(cosine, generator.random(count) < true_probability(cosine))


def true_probability(cosine: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-60 * (cosine - 0.9))))


_PAIR = st.tuples(st.integers(80, 100), st.booleans(), st.integers(1, 5), st.integers(0, 6))


@given(st.lists(_PAIR, min_size=1, max_size=40))
@settings(max_examples=60)
def test_the_curve_is_that_of_plain_loops(pairs: list[tuple[int, bool, int, int]]) -> None:
    cosine, same, weight, unit = (np.array(column) for column in zip(*pairs, strict=True))
    curve = judged_curve(judged(cosine / 100, same, weight, unit))
    assert curve.threshold.tolist() == np.unique(cosine / 100).astype(np.float32)[::-1].tolist()
    for number, threshold in enumerate(sorted(set(cosine.tolist()), reverse=True)):
        there = [pair for pair in pairs if pair[0] >= threshold]
        total = sum(w for _, _, w, _ in there)
        right = sum(w for _, s, w, _ in there if s)
        of_units = [sum(w for _, _, w, u in there if u == unit) for unit in range(7)]
        low, high = wilson(right / total, total**2 / sum(w**2 for w in of_units))
        point = curve.point(number)
        assert point.answers == len(there)
        expected = [right / total, float(low), float(high)]
        assert [point.precision, point.low, point.high] == pytest.approx(expected)


def test_the_lowest_threshold_that_is_sure_enough_is_taken() -> None:
    cosine = np.linspace(1, 0.8, 401)
    same = cosine > 0.9
    curve = judged_curve(judged(cosine, same))
    point = choose_threshold(curve, 0.9)
    assert point.low >= 0.9
    below = curve.point(int(np.flatnonzero(curve.threshold == np.float32(point.threshold))[0]) + 1)
    assert below.low < 0.9 <= below.precision  # by its middle alone it would have done


def test_what_cannot_be_reached_is_said_with_the_best_there_is() -> None:
    curve = judged_curve(judged(np.linspace(0.98, 0.85, 120), np.arange(120) % 4 > 0))
    with pytest.raises(
        ConfigError, match=r"sure to have .* 0\.95 by 120 pairs .*: the surest is 0\.\d+, with 0\.7\d+ \[0"
    ):
        choose_threshold(curve, 0.95)


def test_too_few_answers_are_said_to_be_too_few() -> None:
    """57 products cannot promise .95, nor can several pairs of each, with 300 others that are wrong."""
    for each in (1, 4):
        cosine, same = np.repeat([0.9, 0.85], [57 * each, 300]), np.repeat([True, False], [57 * each, 300])
        pairs = judged(cosine, same, unit=np.append(np.repeat(np.arange(57), each), np.arange(300) + 57))
        said = rf"^of {57 * each + 300} pairs .* those of 57 products are right, which cannot promise"
        with pytest.raises(ConfigError, match=rf"{said} a precision of 0\.95, even if none were wrong: it takes 73; "):
            choose_threshold(judged_curve(pairs), 0.95)
        assert choose_threshold(judged_curve(pairs), 0.93).precision == 1


def test_a_promise_is_kept_as_often_as_it_is_made() -> None:
    """Chosen on one sample, the threshold's true precision is as wanted, nearly always."""
    every = np.linspace(0.8, 1, 2001)
    kept = []
    for seed in range(100):
        threshold = choose_threshold(judged_curve(drawn(400, seed)), 0.9).threshold
        kept.append(true_probability(every[every >= threshold]).mean() >= 0.9)
    assert np.mean(kept) >= 0.9


def test_weights_make_a_sample_of_strata_say_what_holds_for_all() -> None:
    """Of 10,000 pairs below, few are right; of 100 above, nearly all; as many of each are judged."""
    cosine = np.repeat([0.85, 0.95], 50)
    same = np.concatenate([np.arange(50) < 10, np.arange(50) < 45])
    curve = judged_curve(judged(cosine, same, np.repeat([200.0, 2.0], 50)))
    assert curve.precision == pytest.approx([0.9, (10_000 * 0.2 + 100 * 0.9) / 10_100])
    assert curve.at(0.9) == curve.point(0)
    assert curve.at(0.99) is None


def test_answers_about_one_product_are_not_many() -> None:
    cosine, same = np.full(30, 0.9), np.ones(30)
    alone = judged_curve(judged(cosine, same)).point(0)
    together = judged_curve(judged(cosine, same, unit=np.zeros(30))).point(0)
    assert alone.low > 0.88
    assert together.low == pytest.approx(float(wilson(1.0, 1)[0]))


@pytest.mark.parametrize("count", [300, 5000])
def test_probabilities_are_those_that_the_answers_were_drawn_from(count: int) -> None:
    cosine = np.linspace(0.82, 0.98, 20)
    found = fit_probability(drawn(count))(cosine.astype(np.float32))
    assert np.abs(found - true_probability(cosine)).max() < 0.12
    assert (np.diff(found) >= -1e-12).all()


def test_weights_count_in_probabilities() -> None:
    cosine, same = np.repeat([0.85, 0.95], 4), [True, False, False, False, True, True, True, False]
    light = fit_probability(judged(cosine, same))
    heavy = fit_probability(judged(cosine, same, [3, 1, 1, 1, 1, 1, 1, 1]))
    low = np.array([0.85], np.float32)
    assert heavy(low) > light(low) + 0.1


@pytest.mark.parametrize(("same", "expected"), [(True, 9 / 10), (False, 1 / 10)])
def test_answers_that_are_all_alike_leave_some_doubt(same: bool, expected: float) -> None:
    probability = fit_probability(judged(np.linspace(0.8, 1, 8), np.full(8, same)))
    assert probability(np.array([0.9, 1], np.float32)).tolist() == [expected] * 2


@pytest.mark.parametrize(("no", "yes"), [(40, 20), (3, 200), (4000, 500)])
def test_no_probability_is_beyond_what_so_many_answers_can_tell(no: int, yes: int) -> None:
    """Answers that a threshold separates without a mistake, and cosines beyond all of them."""
    cosine = np.concatenate([np.linspace(0.5, 0.7, no), np.linspace(0.9, 0.95, yes)])
    probability = fit_probability(judged(cosine, np.arange(no + yes) >= no))
    found = probability(np.array([-1, 0, 0.5, 0.95, 1], np.float32))
    assert found[:3] == pytest.approx(1 / (no + 2))
    assert found[3:] == pytest.approx((yes + 1) / (yes + 2))


def test_many_answers_about_one_product_tell_no_more_than_one() -> None:
    cosine, same = np.repeat([0.2, 0.9], 30), np.repeat([False, True], 30)
    ends = np.array([0, 1], np.float32)
    unit = np.where(same, 0, np.arange(60))
    assert fit_probability(judged(cosine, same, unit=unit))(ends) == pytest.approx([1 / 32, 2 / 3])
    few_weigh_most = np.where(np.arange(60) % 30 < 3, 1e6, 1e-6)  # as answers of a stratum of very many pairs do
    assert fit_probability(judged(cosine, same, few_weigh_most))(ends) == pytest.approx([1 / 5, 4 / 5], abs=1e-6)


@given(st.lists(_PAIR, min_size=1, max_size=40))
@settings(max_examples=60)
def test_probabilities_have_the_bounds_of_plain_loops(pairs: list[tuple[int, bool, int, int]]) -> None:
    cosine, same, weight, unit = (np.array(column) for column in zip(*pairs, strict=True))
    effective = []
    for said in (False, True):
        of_units = [sum(w for _, s, w, u in pairs if s == said and u == unit) for unit in range(7)]
        effective.append(sum(of_units) ** 2 / max(1, sum(w**2 for w in of_units)))
    found = fit_probability(judged(cosine / 100, same, weight, unit))(np.linspace(-1, 1, 21, dtype=np.float32))
    assert found.min() >= 1 / (effective[0] + 2) - 1e-12
    assert found.max() <= (effective[1] + 1) / (effective[1] + 2) + 1e-12


def test_no_pairs_have_no_probabilities() -> None:
    for found in (drawn(300), drawn(2000), judged([0.9], [True])):
        assert len(fit_probability(found)(np.zeros(0, np.float32))) == 0


def test_the_calibration_error_is_small_where_the_model_is_right_and_not_where_products_differ() -> None:
    error = calibration_error(drawn(3000))
    assert error is not None
    assert error < 0.05
    unit = np.repeat(np.arange(40), 50)  # each product is right or wrong as a whole, whatever the cosine
    alike = judged(
        np.random.default_rng(0).uniform(0.8, 1, 2000), np.random.default_rng(1).random(40)[unit] < 0.5, unit=unit
    )
    worse = calibration_error(alike)
    assert worse is not None
    assert worse > error


def test_few_products_have_no_calibration_error() -> None:
    assert calibration_error(judged([0.9, 0.8], [True, False])) is None
