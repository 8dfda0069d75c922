"""Bootstrap intervals over products.

A product's queries resemble each other, so products are resampled, never single queries: a cluster bootstrap
(Davison and Hinkley, "Bootstrap Methods and their Application", 3.8), 95 % by percentiles.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from item_embed.evaluation.metrics import QueryMetrics

RESAMPLES = 2000
_BLOCK_DRAWS = 4 << 20  # products drawn at once: bounds the memory


@dataclass(frozen=True)
class Figure:
    """A number with its 95 % interval; `reason` says why there is no interval."""

    value: float
    low: float | None
    high: float | None
    reason: str | None = None

    @property
    def ends(self) -> tuple[float, float]:
        """Those of the interval; the value itself twice where there is none."""
        return (self.value if self.low is None else self.low, self.value if self.high is None else self.high)

    @property
    def decided(self) -> bool:
        """Whether, of a difference, there is an interval and it leaves 0 out: whether it is significant."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high

    def as_json(self) -> dict[str, float | str | None]:
        """`{"value", "low", "high"}`, and `"reason"` where the interval is null."""
        reason = {} if self.reason is None else {"reason": self.reason}
        return {"value": self.value, "low": self.low, "high": self.high} | reason

    def text(self, form: str = ".3f") -> str:
        """The value and its interval: `0.483 [0.468, 0.498]`."""
        if self.low is None or self.high is None:
            return f"{self.value:{form}}"
        return f"{self.value:{form}} [{self.low:{form}}, {self.high:{form}}]"


def figures(
    metrics: QueryMetrics,
    products: NDArray[np.int64],
    *,
    minus: QueryMetrics | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Figure]:
    """The three figures of a method, or of the difference between two, each with its interval.

    `hit_at_1` and `map_at_10` are means over queries; `macro_recall_at_10` is the mean over each product's queries,
    then over products. All three are linear in the queries' values, so a paired difference is the figure of the
    differences per query, over the same resampled products.

    Args:
        metrics: the values of Q queries.
        products: (Q,) the product of each query, any integers.
        minus: the values of another method on the same queries, to be subtracted.
        resamples: how many times products are drawn.
        seed: equal seeds and products draw equal resamples, whatever the method.

    Returns:
        `hit_at_1`, `macro_recall_at_10` and `map_at_10`.

    Examples:
        >>> values = query_metrics(ranked, relevant)                                # doctest: +SKIP
        >>> figures(values, products)["hit_at_1"].text()                            # doctest: +SKIP
        '0.483 [0.468, 0.498]'
    """
    values = np.stack([metrics.hit_at_1, metrics.recall_at_10, metrics.ap_at_10], axis=1)
    if minus is not None:
        values = values - np.stack([minus.hit_at_1, minus.recall_at_10, minus.ap_at_10], axis=1)
    _, codes = np.unique(products, return_inverse=True)
    queries = np.bincount(codes).astype(np.float64)  # (P,)
    sums = np.stack([np.bincount(codes, column).astype(np.float64) for column in values.T], axis=1)  # (P, 3)
    over = np.stack([queries, np.ones_like(queries), queries], axis=1)
    sums[:, 1] = sums[:, 1] / queries  # macro: each product enters with its mean, and counts once
    names = ("hit_at_1", "macro_recall_at_10", "map_at_10")
    return dict(zip(names, ratios(sums, over, resamples=resamples, seed=seed), strict=True))


def ratios(
    numerators: NDArray[np.float64],
    denominators: NDArray[np.float64],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Figure]:
    """Sum over products of the numerators divided by that of the denominators, with bootstrap intervals.

    Args:
        numerators: (P, F) one row per product, one column per figure.
        denominators: (P, F) likewise, not negative.
        resamples: how many times P products are drawn with replacement.
        seed: of the draws.

    Returns:
        F figures; without an interval where there are fewer than two products.

    Raises:
        ValueError: when the denominators of a figure are all zero: nothing was measured.
    """
    if not (denominators.sum(axis=0) > 0).all():
        raise ValueError("a figure needs a denominator above zero")
    values = numerators.sum(axis=0) / denominators.sum(axis=0)
    products = len(numerators)
    if products < 2:
        return [Figure(float(v), None, None, "too few to resample for an interval") for v in values]
    both = np.concatenate([numerators, denominators], axis=1)
    totals = np.concatenate([counts @ both for counts in draws(products, resamples, seed)])
    over = totals[:, len(values) :]
    drawn = np.divide(totals[:, : len(values)], over, out=np.full_like(over, np.nan), where=over > 0)
    low, high = np.nanquantile(drawn, [0.025, 0.975], axis=0)  # a draw in which nothing was measured says nothing
    return [Figure(float(v), float(a), float(b)) for v, a, b in zip(values, low, high, strict=True)]


def draws(products: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each product is drawn, in blocks of resamples, (block, P)."""
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK_DRAWS // products)
    for start in range(0, resamples, block):
        count = min(block, resamples - start)
        drawn = generator.integers(products, size=(count, products))
        drawn += np.arange(count)[:, None] * products  # one bincount for the block: each resample has its own bins
        yield np.bincount(drawn.ravel(), minlength=count * products).reshape(count, products).astype(np.float64)
