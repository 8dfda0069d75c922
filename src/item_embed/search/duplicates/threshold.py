"""The threshold for a wanted precision, and the probability that a pair is the same product, from judged pairs.

How a threshold is chosen, `thresholds` says. A unit is here what was said about one product; a pair of two products
counts with the one that more pairs are about.

Letters in shapes: n judged pairs.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from item_embed.errors import ConfigError
from item_embed.search.duplicates.judged import Judged
from item_embed.thresholds import Curve, Point, answers_needed, effective_answers, precision_curve
from item_embed.wording import number_of

_ISOTONIC = 1000  # answers below which isotonic regression follows chance (Niculescu-Mizil and Caruana, 2005)
_FOLDS = 5
_BINS = 15


class Probability(Protocol):
    """Gives the probability of being the same product, (n,), by cosine, (n,)."""

    def __call__(self, cosine: NDArray[np.float32]) -> NDArray[np.float64]:
        """The probabilities of pairs."""


def judged_curve(judged: Judged) -> Curve:
    """The precision by threshold, a point for each different cosine.

    Args:
        judged: n pairs, at least one.
    """
    return precision_curve(judged.pairs.cosine, judged.same, judged.unit, judged.weight)


def choose_threshold(curve: Curve, precision: float) -> Point:
    """The lowest threshold whose precision is at least the wanted one, by the lower end of its interval.

    Raises:
        ConfigError: when there is none, saying what the best is, or that there are too few answers for any.
    """
    sure = curve.sure(precision)
    if sure is not None:
        return sure
    known = number_of(int(curve.answers[-1]), "pair")
    if not curve.could_be_sure(precision):
        raise ConfigError(
            f"of {known} above --floor whose truth is known those of {number_of(curve.right, 'product')} are right, "
            f"which cannot promise a precision of {precision:g}, even if none were wrong: it takes "
            f"{answers_needed(precision):,}; have more of them, ask for a lower --precision, or give a --threshold "
            "yourself."
        )
    best = curve.surest()
    shown = number_of(best.answers, "pair")
    raise ConfigError(
        f"no threshold is sure to have a precision of {precision:g} by {known} above --floor whose truth is known: "
        f"the surest is {best.threshold:.4f}, with {best.precision:.3f} [{best.low:.3f}, {best.high:.3f}] of {shown}; "
        "judge more pairs, train longer, ask for a lower --precision, or give a --threshold yourself."
    )


def fit_probability(judged: Judged) -> Probability:
    """The probability of being the same product by cosine: isotonic from a thousand answers on, logistic below.

    Neither goes beyond what so many answers can tell, `_bounds`: at its ends a logistic curve comes as near to 0 and 1
    as one likes, and steps reach them.
    """
    fitted = _fitted(judged)
    low, high = _bounds(judged)
    return lambda cosine: np.clip(fitted(cosine), low, high)


def _bounds(judged: Judged) -> tuple[float, float]:
    """The lowest and the highest probability: 1 / (no + 2) and (yes + 1) / (yes + 2).

    The rule of succession, of the noes alone and of the yeses alone; the targets that Platt (1999) fits a logistic
    curve to. Answers count as for the precision: those about one product once, weighted ones by what they stand for.
    """
    no, yes = (effective_answers(judged.unit[said], judged.weight[said]) for said in (~judged.same, judged.same))
    return 1 / (no + 2), (yes + 1) / (yes + 2)


def _fitted(judged: Judged) -> Probability:
    cosine, same, weight = judged.pairs.cosine.astype(np.float64), judged.same, judged.weight / judged.weight.mean()
    if same.all() or not same.any():
        return lambda cosine: np.full(len(cosine), float(same.any()))
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
