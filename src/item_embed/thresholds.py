"""The threshold for a wanted precision, from scores of which it is known whether they are right.

The precision at a threshold is the share of right answers among those at or above it, weighted by what each stands for.
Its interval is Wilson's (1927) for as many independent answers as there effectively are: (sum of weights)^2 / sum of
(weights of a unit)^2 (Kish, "Survey Sampling", 1965), where answers of one unit are about one product. A threshold is
chosen by the lower end of that interval, so that the promise is kept, not only hoped for.

Letters in shapes: n answers.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_Z = 1.959963984540054  # of a 95 % interval


@dataclass(frozen=True)
class Point:
    """The precision of all answers at or above a score, with its 95 % interval, and how many answers it is of."""

    threshold: float
    precision: float
    low: float
    high: float
    answers: int


@dataclass(frozen=True)
class Curve:
    """The precision by threshold, at every score that was judged, the highest first; each (p,).

    `answers` are how many lie at or above it; `right` is of how many units any answer is right, at whatever score.
    """

    threshold: NDArray[np.floating[Any]]
    precision: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    answers: NDArray[np.int64]
    right: int

    def __len__(self) -> int:
        return len(self.threshold)

    def point(self, place: int) -> Point:
        """One of its points."""
        precision, low, high = (float(values[place]) for values in (self.precision, self.low, self.high))
        return Point(float(self.threshold[place]), precision, low, high, int(self.answers[place]))

    def at(self, threshold: float) -> Point | None:
        """The point that holds for a threshold: that of the lowest judged score at or above it; None above all."""
        above = np.flatnonzero(self.threshold >= self.threshold.dtype.type(threshold))
        return self.point(int(above[-1])) if len(above) else None

    def sure(self, precision: float) -> Point | None:
        """The lowest point whose precision is at least the wanted one, by the lower end of its interval."""
        enough = np.flatnonzero(self.low >= precision)
        return self.point(int(enough[-1])) if len(enough) else None

    def could_be_sure(self, precision: float) -> bool:
        """Whether right answers alone, one of each unit, would be sure of it: if not, there are too few of them."""
        return self.right >= answers_needed(precision)

    def surest(self) -> Point:
        """The point whose interval ends highest below."""
        return self.point(int(np.argmax(self.low)))


def wilson(share: ArrayLike, answers: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's 95 % interval of shares of so many independent answers.

    Examples:
        >>> low, high = wilson(1.0, 20)
        >>> round(float(low), 3), round(float(high), 3)
        (0.839, 1.0)
    """
    p, n = np.asarray(share, np.float64), np.asarray(answers, np.float64)
    centre = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * np.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


def answers_needed(precision: float) -> int:
    """How many independent answers, none of them wrong, it takes to be sure of a precision below 1.

    Examples:
        >>> answers_needed(0.95), answers_needed(0.98)
        (73, 189)
    """
    return math.ceil(
        _Z**2 * precision / (1 - precision)
    )  # where the interval of none wrong, n / (n + z^2), begins there


def effective_answers(unit: NDArray[np.int64], weight: NDArray[np.float64]) -> float:
    """As how many independent answers some count (Kish, 1965); 0 where there are none.

    Args:
        unit: (n,) answers of one unit are no independent ones.
        weight: (n,) how many answers each stands for.

    Examples:
        >>> effective_answers(np.array([1, 2, 3, 3]), np.ones(4))  # doctest: +ELLIPSIS
        2.66...
    """
    if not len(unit):
        return 0.0
    _, place = np.unique(unit, return_inverse=True)
    return float(weight.sum() ** 2 / (np.bincount(place, weight) ** 2).sum())


def precision_curve(
    score: NDArray[np.floating[Any]],
    right: NDArray[np.bool_],
    unit: NDArray[np.int64],
    weight: NDArray[np.float64] | None = None,
) -> Curve:
    """The precision by threshold.

    Args:
        score: (n,) of each answer, at least one.
        right: (n,) whether it is.
        unit: (n,) answers of one unit are no independent ones.
        weight: (n,) how many answers each stands for; by default 1.

    Returns:
        A point for each different score.

    Examples:
        >>> curve = precision_curve(np.linspace(1, 0, 101), np.arange(101) < 100, np.arange(101))
        >>> round(curve.sure(0.95).threshold, 2)
        0.01
    """
    order = np.argsort(-score, kind="stable")
    ordered, own = score[order], (np.ones(len(score)) if weight is None else weight)[order]
    total = own.cumsum()
    gained = (own * right[order]).cumsum()
    before = _weight_before(unit[order], own)
    squares = ((before + own) ** 2 - before**2).cumsum()
    last = np.append(ordered[1:] < ordered[:-1], True)
    precision = gained[last] / total[last]
    low, high = wilson(np.clip(precision, 0, 1), total[last] ** 2 / squares[last])
    return Curve(ordered[last], precision, low, high, np.flatnonzero(last) + 1, len(np.unique(unit[right])))


def _weight_before(unit: NDArray[np.int64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weight of earlier answers of the same unit, for each, (n,)."""
    order = np.argsort(unit, kind="stable")
    running = weight[order].cumsum() - weight[order]
    starts = np.flatnonzero(np.diff(unit[order], prepend=unit[order[:1]] - 1))
    inside = running - np.repeat(running[starts], np.diff(np.append(starts, len(unit))))
    before = np.empty(len(unit))
    before[order] = inside
    return before
