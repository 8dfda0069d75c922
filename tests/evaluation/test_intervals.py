import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from item_embed.evaluation import intervals
from item_embed.evaluation.intervals import Figure, figures, ratios
from item_embed.evaluation.metrics import QueryMetrics, macro_average, query_metrics


def random_metrics(queries: int, seed: int, rate: float = 0.3) -> QueryMetrics:
    ranked = np.random.default_rng(seed).random((queries, 10)) < rate
    return query_metrics(ranked, np.full(queries, 12))


def random_products(queries: int, products: int) -> NDArray[np.int64]:
    return np.random.default_rng(99).integers(products, size=queries)


def test_values_are_the_averages_that_evaluation_defines() -> None:
    metrics, products = random_metrics(80, seed=0), random_products(80, 25)
    found = figures(metrics, products, resamples=10)
    assert found["hit_at_1"].value == pytest.approx(metrics.hit_at_1.mean())
    assert found["macro_recall_at_10"].value == pytest.approx(macro_average(metrics.recall_at_10, products))
    assert found["map_at_10"].value == pytest.approx(metrics.ap_at_10.mean())


def test_resampling_is_that_of_plain_loops() -> None:
    metrics, products = random_metrics(40, seed=1), random_products(40, 9)
    names = np.unique(products)
    generator = np.random.default_rng(5)
    hits, recalls = [], []
    for _ in range(200):
        drawn = names[generator.integers(len(names), size=len(names))]
        queries = [query for product in drawn for query in np.flatnonzero(products == product)]
        hits.append(metrics.hit_at_1[queries].mean())
        recalls.append(np.mean([metrics.recall_at_10[products == product].mean() for product in drawn]))
    found = figures(metrics, products, resamples=200, seed=5)
    for name, values in (("hit_at_1", hits), ("macro_recall_at_10", recalls)):
        low, high = np.percentile(values, [2.5, 97.5])
        assert (found[name].low, found[name].high) == pytest.approx((low, high))


def test_blocks_of_resamples_do_not_change_them(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, products = random_metrics(60, seed=2), random_products(60, 20)
    at_once = figures(metrics, products, resamples=100)
    monkeypatch.setattr(intervals, "_BLOCK_DRAWS", 3 * 20)
    assert figures(metrics, products, resamples=100) == at_once
    assert figures(metrics, products, resamples=100, seed=1) != at_once


def test_products_are_resampled_not_queries() -> None:
    """Twenty copies of every query teach nothing new: the interval stays as wide."""
    metrics, products = random_metrics(50, seed=3), np.arange(50)
    copies = QueryMetrics(*(np.repeat(v, 20) for v in (metrics.hit_at_1, metrics.recall_at_10, metrics.ap_at_10)))
    once, often = figures(metrics, products), figures(copies, np.repeat(products, 20))
    for name, figure in once.items():
        assert (often[name].low, often[name].high) == pytest.approx((figure.low, figure.high))


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    covered = 0
    for trial in range(200):
        values = (np.random.default_rng(trial).random(150) < 0.4).astype(np.float64)
        metrics = QueryMetrics(values, values, values)
        figure = figures(metrics, np.arange(150), resamples=300, seed=trial)["hit_at_1"]
        assert figure.low is not None
        assert figure.high is not None
        covered += figure.low <= 0.4 <= figure.high
    assert 0.90 <= covered / 200 <= 0.99


def test_paired_differences_use_the_same_resamples() -> None:
    better, products = random_metrics(100, seed=4), random_products(100, 30)
    worse = QueryMetrics(better.hit_at_1 - 0.1, better.recall_at_10 - 0.1, better.ap_at_10 - 0.1)
    for figure in figures(better, products, minus=worse).values():  # always .1 better: no doubt is left
        assert (figure.value, figure.low, figure.high) == pytest.approx((0.1, 0.1, 0.1))
    unlike = figures(better, products, minus=random_metrics(100, seed=5))["hit_at_1"]
    assert unlike.low is not None
    assert unlike.high is not None
    assert unlike.low < 0 < unlike.high


def test_one_product_has_no_interval() -> None:
    figure = figures(random_metrics(5, seed=6), np.zeros(5, np.int64))["map_at_10"]
    assert (figure.low, figure.high) == (None, None)
    assert figure.reason == "too few to resample for an interval"
    shown = json.loads(json.dumps(figure.as_json(), allow_nan=False))
    assert shown == {"value": figure.value, "low": None, "high": None, "reason": figure.reason}


def test_nothing_measured_is_refused_and_empty_draws_are_left_out() -> None:
    with pytest.raises(ValueError, match="above zero"):
        ratios(np.zeros((3, 1)), np.zeros((3, 1)))
    [figure] = ratios(np.array([[0.0], [3.0]]), np.array([[0.0], [4.0]]))  # a quarter of the draws measures nothing
    assert figure == Figure(0.75, 0.75, 0.75)


@given(st.integers(2, 40), st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_intervals_are_ordered_and_bounded(products: int, seed: int) -> None:
    metrics = random_metrics(products * 2, seed)
    for figure in figures(metrics, np.arange(products * 2) % products, resamples=50, seed=seed).values():
        assert figure.low is not None
        assert figure.high is not None
        assert 0 <= figure.low <= figure.high <= 1


def test_figures_as_text() -> None:
    assert Figure(0.4832, 0.468, 0.4979).text() == "0.483 [0.468, 0.498]"
    assert Figure(0.1, -0.05, 0.2).text("+.2f") == "+0.10 [-0.05, +0.20]"
    assert Figure(1.0, None, None, "why").text() == "1.000"


def test_a_difference_is_decided_where_its_interval_leaves_0_out() -> None:
    assert Figure(0.2, 0.1, 0.3).decided
    assert Figure(-0.2, -0.3, -0.1).decided
    for undecided in (Figure(0.1, -0.1, 0.3), Figure(0.1, 0.0, 0.2), Figure(0.1, None, None)):
        assert not undecided.decided


def test_the_ends_of_what_has_no_interval_are_its_value() -> None:
    assert Figure(0.2, 0.1, 0.3).ends == (0.1, 0.3)
    assert Figure(0.2, None, None).ends == (0.2, 0.2)
