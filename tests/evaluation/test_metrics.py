import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, label_ranking_average_precision_score, top_k_accuracy_score

from item_embed.evaluation.metrics import macro_average, query_metrics


@st.composite
def judged(draw: st.DrawFn) -> tuple[list[list[bool]], list[int]]:
    """Ten ranks of some queries, and how many relevant listings exist: those found, and some not found."""
    ranked = draw(st.lists(st.lists(st.booleans(), min_size=10, max_size=10), min_size=1, max_size=6))
    more = draw(st.lists(st.integers(0, 15), min_size=len(ranked), max_size=len(ranked)))
    return ranked, [max(1, sum(ranks) + extra) for ranks, extra in zip(ranked, more, strict=True)]


@given(judged())
@settings(max_examples=60, deadline=None)
def test_metrics_are_what_the_definitions_say(case: tuple[list[list[bool]], list[int]]) -> None:
    ranked, relevant = case
    found = query_metrics(np.array(ranked), np.array(relevant))
    for query, (ranks, existing) in enumerate(zip(ranked, relevant, strict=True)):
        hits, precisions = 0, 0.0
        for rank, right in enumerate(ranks, 1):
            if right:
                hits += 1
                precisions += hits / rank
        assert found.hit_at_1[query] == (1.0 if ranks[0] else 0.0)
        assert found.recall_at_10[query] == pytest.approx(hits / existing)
        assert found.ap_at_10[query] == pytest.approx(precisions / min(10, existing))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_metrics_agree_with_scikit_learn_where_ten_ranks_are_all(seed: int) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.permuted(np.tile(np.arange(10.0), (4, 1)), axis=1)
    labels = generator.random((4, 10)) < 0.4
    labels[np.arange(4), generator.integers(10, size=4)] = True
    ranked = np.take_along_axis(labels, np.argsort(-scores, axis=1), axis=1)
    found = query_metrics(ranked, labels.sum(axis=1))
    assert found.ap_at_10 == pytest.approx([average_precision_score(*q) for q in zip(labels, scores, strict=True)])
    assert found.ap_at_10.mean() == pytest.approx(label_ranking_average_precision_score(labels, scores))


def test_with_one_relevant_listing_hit_and_recall_are_top_k_accuracy() -> None:
    generator = np.random.default_rng(3)
    scores, truth = generator.random((50, 40)), generator.integers(40, size=50)
    ranked = np.argsort(-scores, axis=1)[:, :10] == truth[:, None]
    found = query_metrics(ranked, np.ones(50, np.int64))
    for k, values in ((1, found.hit_at_1), (10, found.recall_at_10)):
        assert values.mean() == pytest.approx(top_k_accuracy_score(truth, scores, k=k, labels=np.arange(40)))


def test_ranks_past_the_tenth_do_not_count() -> None:
    ranked = np.zeros((1, 12), np.bool_)
    ranked[0, 10:] = True
    found = query_metrics(ranked, np.array([2]))
    assert (found.recall_at_10[0], found.ap_at_10[0]) == (0.0, 0.0)


def test_average_precision_divides_by_ten_at_most() -> None:
    assert query_metrics(np.ones((1, 10), np.bool_), np.array([25])).ap_at_10[0] == pytest.approx(1.0)


def test_fewer_than_ten_ranks() -> None:
    found = query_metrics(np.array([[False, True, True]]), np.array([4]))
    assert (found.hit_at_1[0], found.recall_at_10[0]) == (0.0, 0.5)
    assert found.ap_at_10[0] == pytest.approx((1 / 2 + 2 / 3) / 4)


@pytest.mark.parametrize(("relevant", "complaint"), [(0, "at least one"), (1, "more relevant")])
def test_impossible_counts_are_refused(relevant: int, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        query_metrics(np.array([[True, True]]), np.array([relevant]))


@given(st.lists(st.tuples(st.integers(-3, 3), st.floats(0, 1)), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_macro_average_is_a_mean_of_means(pairs: list[tuple[int, float]]) -> None:
    by_product: dict[int, list[float]] = {}
    for product, value in pairs:
        by_product.setdefault(product, []).append(value)
    means = [sum(values) / len(values) for values in by_product.values()]
    products: NDArray[np.int64] = np.array([product for product, _ in pairs])
    assert macro_average(np.array([v for _, v in pairs]), products) == pytest.approx(sum(means) / len(means))


def test_subset_keeps_the_chosen_queries() -> None:
    found = query_metrics(np.array([[True], [False], [True]]), np.array([1, 2, 4]))
    part = found.subset(np.array([False, True, True]))
    assert len(part) == 2
    assert part.recall_at_10.tolist() == [0.0, 0.25]
