"""Retrieval metrics: one value per query, then averages over queries or over products.

Letters in shapes: Q queries, k ranks kept per query, P products.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CUTOFF = 10  # the ten of recall@10 and AP@10


@dataclass(frozen=True)
class QueryMetrics:
    """The metrics of every query, each (Q,) float64.

    Attributes:
        hit_at_1: 1 where the first listing found is relevant, else 0.
        recall_at_10: relevant listings among the first ten, divided by the relevant that exist.
        ap_at_10: average precision over the first ten, divided by min(10, relevant that exist).
    """

    hit_at_1: NDArray[np.float64]
    recall_at_10: NDArray[np.float64]
    ap_at_10: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.hit_at_1)

    def subset(self, chosen: NDArray[np.bool_]) -> "QueryMetrics":
        """The values of some of the queries; `chosen` is (Q,)."""
        return QueryMetrics(self.hit_at_1[chosen], self.recall_at_10[chosen], self.ap_at_10[chosen])


def query_metrics(ranked: NDArray[np.bool_], relevant: NDArray[np.int64]) -> QueryMetrics:
    """hit@1, recall@10 and AP@10 of every query.

    AP@10 is the mean, over min(10, relevant) terms, of the precision at each rank that holds a relevant listing
    (Manning, Raghavan and Schütze, "Introduction to Information Retrieval", 8.4, cut at ten).

    Args:
        ranked: (Q, k) whether the listing at each rank is relevant, best first; ranks past the tenth are ignored.
        relevant: (Q,) how many relevant listings exist for each query, at least one.

    Returns:
        Values between 0 and 1, one of each metric per query.

    Raises:
        ValueError: when a query has no relevant listing, or more are found than exist.

    Examples:
        >>> query_metrics(np.array([[False, True, True]]), np.array([4])).ap_at_10.round(3)
        array([0.292])
    """
    ranked = ranked[:, :CUTOFF]
    found = ranked.cumsum(axis=1)
    if (relevant < 1).any():
        raise ValueError("every query needs at least one relevant listing")
    if ranked.size and (found[:, -1] > relevant).any():
        raise ValueError("more relevant listings found than exist")
    precision = found / np.arange(1, ranked.shape[1] + 1)
    return QueryMetrics(
        hit_at_1=ranked[:, :1].sum(axis=1).astype(np.float64),
        recall_at_10=ranked.sum(axis=1) / relevant,
        ap_at_10=(precision * ranked).sum(axis=1) / np.minimum(CUTOFF, relevant),
    )


def macro_average(values: NDArray[np.float64], products: NDArray[np.int64]) -> float:
    """The mean over each product's queries, then over products: a product with many listings counts once.

    Args:
        values: (Q,) one value per query.
        products: (Q,) the product of each query, any integers.

    Returns:
        One number.

    Examples:
        >>> macro_average(np.array([1.0, 1.0, 0.0]), np.array([7, 7, 8]))
        0.5
    """
    _, codes = np.unique(products, return_inverse=True)
    return float((np.bincount(codes, values) / np.bincount(codes)).mean())
