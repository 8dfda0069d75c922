import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from item_embed.search.calibration import calibration_error, fit_probability, held_out_probability
from item_embed.search.probability import Answers

_ANSWER = st.tuples(st.integers(80, 100), st.booleans(), st.integers(1, 5), st.integers(0, 6))


def answered(cosine: object, same: object, weight: object = None, unit: object = None) -> Answers:
    found = np.asarray(cosine, np.float32)
    return Answers(
        found,
        np.asarray(same, np.bool_),
        np.ones(len(found)) if weight is None else np.asarray(weight, np.float64),
        np.arange(len(found)) if unit is None else np.asarray(unit, np.int64),
    )


def drawn(count: int, seed: int = 0) -> Answers:
    """Answers whose probability of being the same is a logistic function of their cosine."""
    generator = np.random.default_rng(seed)
    cosine = generator.uniform(0.8, 1, count)
    return answered(cosine, generator.random(count) < true_probability(cosine))


def true_probability(cosine: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-60 * (cosine - 0.9))))


def held_out_error(answers: Answers) -> float:
    probability = held_out_probability(answers)
    assert probability is not None
    return calibration_error(answers, probability)


@pytest.mark.parametrize("count", [300, 5000])
def test_probabilities_are_those_that_the_answers_were_drawn_from(count: int) -> None:
    cosine = np.linspace(0.82, 0.98, 20)
    found = fit_probability(drawn(count))(cosine.astype(np.float32))
    assert np.abs(found - true_probability(cosine)).max() < 0.12
    assert (np.diff(found) >= -1e-12).all()


def test_weights_count_in_probabilities() -> None:
    cosine, same = np.repeat([0.85, 0.95], 4), [True, False, False, False, True, True, True, False]
    light = fit_probability(answered(cosine, same))
    heavy = fit_probability(answered(cosine, same, [3, 1, 1, 1, 1, 1, 1, 1]))
    low = np.array([0.85], np.float32)
    assert heavy(low) > light(low) + 0.1


@pytest.mark.parametrize(("same", "expected"), [(True, 9 / 10), (False, 1 / 10)])
def test_answers_that_are_all_alike_leave_some_doubt(same: bool, expected: float) -> None:
    probability = fit_probability(answered(np.linspace(0.8, 1, 8), np.full(8, same)))
    assert probability(np.array([0.9, 1], np.float32)).tolist() == [expected] * 2


@pytest.mark.parametrize(("no", "yes"), [(40, 20), (3, 200), (4000, 500)])
def test_no_probability_is_beyond_what_so_many_answers_can_tell(no: int, yes: int) -> None:
    """Answers that a threshold separates without a mistake, and cosines beyond all of them."""
    cosine = np.concatenate([np.linspace(0.5, 0.7, no), np.linspace(0.9, 0.95, yes)])
    probability = fit_probability(answered(cosine, np.arange(no + yes) >= no))
    found = probability(np.array([-1, 0, 0.5, 0.95, 1], np.float32))
    assert found[:3] == pytest.approx(1 / (no + 2))
    assert found[3:] == pytest.approx((yes + 1) / (yes + 2))


def test_many_answers_about_one_product_tell_no_more_than_one() -> None:
    cosine, same = np.repeat([0.2, 0.9], 30), np.repeat([False, True], 30)
    ends = np.array([0, 1], np.float32)
    unit = np.where(same, 0, np.arange(60))
    assert fit_probability(answered(cosine, same, unit=unit))(ends) == pytest.approx([1 / 32, 2 / 3])
    few_weigh_most = np.where(np.arange(60) % 30 < 3, 1e6, 1e-6)  # as answers of a stratum of very many pairs do
    assert fit_probability(answered(cosine, same, few_weigh_most))(ends) == pytest.approx([1 / 5, 4 / 5], abs=1e-6)


@given(st.lists(_ANSWER, min_size=1, max_size=40))
@settings(max_examples=60)
def test_probabilities_have_the_bounds_of_plain_loops(pairs: list[tuple[int, bool, int, int]]) -> None:
    cosine, same, weight, unit = (np.array(column) for column in zip(*pairs, strict=True))
    effective = []
    for said in (False, True):
        of_units = [sum(w for _, s, w, u in pairs if s == said and u == unit) for unit in range(7)]
        effective.append(sum(of_units) ** 2 / max(1, sum(w**2 for w in of_units)))
    found = fit_probability(answered(cosine / 100, same, weight, unit))(np.linspace(-1, 1, 21, dtype=np.float32))
    assert found.min() >= 1 / (effective[0] + 2) - 1e-12
    assert found.max() <= (effective[1] + 1) / (effective[1] + 2) + 1e-12


def test_no_pairs_have_no_probabilities() -> None:
    for found in (drawn(300), drawn(2000), answered([0.9], [True])):
        assert len(fit_probability(found)(np.zeros(0, np.float32))) == 0


def test_the_calibration_error_is_small_where_the_model_is_right_and_not_where_products_differ() -> None:
    error = held_out_error(drawn(3000))
    assert error < 0.05
    unit = np.repeat(np.arange(40), 50)  # each product is right or wrong as a whole, whatever the cosine
    alike = answered(
        np.random.default_rng(0).uniform(0.8, 1, 2000), np.random.default_rng(1).random(40)[unit] < 0.5, unit=unit
    )
    worse = held_out_error(alike)
    assert worse > error


def test_few_products_have_none_left_to_be_held_out() -> None:
    assert held_out_probability(answered([0.9, 0.8], [True, False])) is None


def test_an_answer_teaches_nothing_about_its_own_product() -> None:
    """Products whose answers are all wrong or all right at cosines of their own: the others do not know those."""
    unit = np.repeat(np.arange(10), 3)
    cosine = 0.5 + unit / 100
    answers = answered(cosine, np.ones(30), unit=unit)
    without = answers.subset(unit != 9)
    found = held_out_probability(answers)
    assert found is not None
    assert len(set(found.tolist())) == 1  # 8 other products each time, and never all 10
    assert found[0] < fit_probability(without)(np.ones(1, np.float32))[0]


@given(st.lists(st.tuples(st.integers(0, 100), st.booleans(), st.integers(1, 3)), min_size=1, max_size=60))
@settings(max_examples=40)
def test_the_error_is_that_of_plain_loops(said: list[tuple[int, bool, int]]) -> None:
    percent, same, weight = (np.array(column) for column in zip(*said, strict=True))
    gaps = [0.0] * 15
    before = 0.0
    for probability, right, heavy in sorted(zip(percent / 100, same, weight, strict=True), key=lambda one: one[0]):
        gaps[int((before + heavy / 2) / weight.sum() * 15)] += heavy * (probability - right)
        before += heavy
    found = calibration_error(answered(np.zeros(len(said)), same, weight), percent / 100)
    assert found == pytest.approx(sum(map(abs, gaps)) / weight.sum())
