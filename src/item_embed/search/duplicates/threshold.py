"""The threshold for a wanted precision, and the probability that a pair is the same product, from judged pairs.

The precision at a threshold is the share of same pairs among those at or above it, weighted by what each stands for.
Its interval is Wilson's (1927) for as many independent answers as there effectively are: (sum of weights)^2 / sum of
(weights of a unit)^2 (Kish, "Survey Sampling", 1965), where a unit is what was said about one product; a pair of two
products counts with the one that more pairs are about. A threshold is chosen by the lower end of that interval, so that
the promise is kept, not only hoped for.

Letters in shapes: n judged pairs.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from item_embed.errors import ConfigError
from item_embed.search.duplicates.judged import Judged
from item_embed.wording import number_of

_Z = 1.959963984540054  # of a 95 % interval
_ISOTONIC = 1000  # answers below which isotonic regression follows chance (Niculescu-Mizil and Caruana, 2005)
_FOLDS = 5
_BINS = 15


@dataclass(frozen=True)
class Point:
    """The precision of all pairs at or above a cosine, with its 95 % interval, and the judged pairs that it is of."""

    threshold: float
    precision: float
    low: float
    high: float
    answers: int


@dataclass(frozen=True)
class Curve:
    """The precision by threshold, at every cosine that was judged, the highest first; each (p,)."""

    threshold: NDArray[np.float32]
    precision: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    answers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.threshold)

    def point(self, place: int) -> Point:
        """One of its points."""
        precision, low, high = (float(values[place]) for values in (self.precision, self.low, self.high))
        return Point(float(self.threshold[place]), precision, low, high, int(self.answers[place]))

    def at(self, threshold: float) -> Point | None:
        """The point that holds for a threshold: that of the lowest judged cosine at or above it; None above all."""
        above = np.flatnonzero(self.threshold >= np.float32(threshold))
        return self.point(int(above[-1])) if len(above) else None


class Probability(Protocol):
    """Gives the probability of being the same product, (n,), by cosine, (n,)."""

    def __call__(self, cosine: NDArray[np.float32]) -> NDArray[np.float64]:
        """The probabilities of pairs."""


def wilson(share: ArrayLike, answers: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's 95 % interval of shares of so many independent answers.

    Example:
        >>> low, high = wilson(1.0, 20)
        >>> round(float(low), 3), round(float(high), 3)
        (0.839, 1.0)
    """
    p, n = np.asarray(share, np.float64), np.asarray(answers, np.float64)
    centre = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * np.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


def precision_curve(judged: Judged) -> Curve:
    """The precision by threshold.

    Args:
        judged: n pairs, at least one.

    Returns:
        A point for each different cosine.
    """
    order = np.argsort(-judged.pairs.cosine, kind="stable")
    cosine, weight = judged.pairs.cosine[order], judged.weight[order]
    total = weight.cumsum()
    right = (weight * judged.same[order]).cumsum()
    before = _weight_before(judged.unit[order], weight)
    squares = ((before + weight) ** 2 - before**2).cumsum()
    last = np.append(cosine[1:] < cosine[:-1], True)
    precision = right[last] / total[last]
    low, high = wilson(np.clip(precision, 0, 1), total[last] ** 2 / squares[last])
    return Curve(cosine[last], precision, low, high, np.flatnonzero(last) + 1)


def choose_threshold(curve: Curve, precision: float) -> Point:
    """The lowest threshold whose precision is at least the wanted one, by the lower end of its interval.

    Raises:
        ConfigError: when there is none, saying what the best is.
    """
    enough = np.flatnonzero(curve.low >= precision)
    if len(enough):
        return curve.point(int(enough[-1]))
    best = curve.point(int(np.argmax(curve.low)))
    known, shown = number_of(int(curve.answers[-1]), "pair"), number_of(best.answers, "pair")
    raise ConfigError(
        f"no threshold is sure to have a precision of {precision:g} by {known} above --floor whose truth is known: "
        f"the surest is {best.threshold:.4f}, with {best.precision:.3f} [{best.low:.3f}, {best.high:.3f}] of {shown}; "
        "judge more pairs, train longer, ask for a lower --precision, or give a --threshold yourself."
    )


def fit_probability(judged: Judged) -> Probability:
    """The probability of being the same product by cosine: isotonic from a thousand answers on, logistic below.

    Where all answers are alike there is nothing to tell apart: the rule of succession, (yes + 1) / (answers + 2).
    """
    cosine, same, weight = judged.pairs.cosine.astype(np.float64), judged.same, judged.weight / judged.weight.mean()
    if same.all() or not same.any():
        share = (int(same.sum()) + 1) / (len(same) + 2)
        return lambda cosine: np.full(len(cosine), share)
    if len(same) >= _ISOTONIC:
        steps = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(cosine, same, sample_weight=weight)
        return lambda cosine: np.asarray(steps.predict(cosine.astype(np.float64)) if len(cosine) else [], np.float64)
    # Cosines lie close together: without scaling, the penalty would flatten the slope.
    centre, scale = cosine.mean(), cosine.std() or 1.0
    line = LogisticRegression(C=100.0).fit(((cosine - centre) / scale)[:, None], same, sample_weight=weight)
    slope, height = float(line.coef_[0, 0]), float(line.intercept_[0])
    return lambda cosine: expit(slope * (cosine.astype(np.float64) - centre) / scale + height)


def calibration_error(judged: Judged) -> float | None:
    """The expected calibration error of probabilities for pairs of products that were not learned from.

    Bins of equal weight, five folds by unit; None where there are fewer units than folds.
    """
    if len(np.unique(judged.unit)) < _FOLDS:
        return None
    probability = np.empty(len(judged.same))
    cosine = judged.pairs.cosine
    for rest, fold in GroupKFold(_FOLDS).split(cosine, judged.same, judged.unit):
        probability[fold] = fit_probability(judged.subset(rest))(cosine[fold])
    order = np.argsort(probability, kind="stable")
    weight = judged.weight[order]
    middle = (weight.cumsum() - weight / 2) / weight.sum()
    gap = np.bincount((middle * _BINS).astype(np.int64), weight * (probability - judged.same)[order], _BINS)
    return float(np.abs(gap).sum() / weight.sum())


def _weight_before(unit: NDArray[np.int64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weight of earlier pairs of the same unit, for each pair, (n,)."""
    order = np.argsort(unit, kind="stable")
    running = weight[order].cumsum() - weight[order]
    starts = np.flatnonzero(np.diff(unit[order], prepend=unit[order[:1]] - 1))
    inside = running - np.repeat(running[starts], np.diff(np.append(starts, len(unit))))
    before = np.empty(len(unit))
    before[order] = inside
    return before
