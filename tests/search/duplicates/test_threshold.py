import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from item_embed.errors import ConfigError
from item_embed.search.duplicates.judged import Judged, RowPairs
from item_embed.search.duplicates.threshold import choose_threshold, judged_curve
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
