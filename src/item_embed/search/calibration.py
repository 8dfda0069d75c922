"""The probability of being the same product, learned from answers: pairs of which it is known.

Letters in shapes: n answers, f features.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from item_embed.search.probability import Answers, Probability
from item_embed.thresholds import effective_answers

_ISOTONIC = 1000  # answers below which isotonic regression follows chance (Niculescu-Mizil and Caruana, 2005)
_FOLDS = 5
_BINS = 15


def fit_probability(answers: Answers) -> Probability:
    """The probability of being the same product by cosine: isotonic from a thousand answers on, logistic below.

    Neither goes beyond what so many answers can tell, `bounds`: at its ends a logistic curve comes as near to 0 and 1
    as one likes, and steps reach them.
    """
    fitted = _fitted(answers)
    low, high = bounds(answers)
    return lambda cosine: np.clip(fitted(cosine), low, high)


class Line(NamedTuple):
    """A logistic curve: the log-odds are the intercept and what each feature, times its slope, adds."""

    intercept: float
    slopes: tuple[float, ...]


def fit_line(features: NDArray[np.float64], answers: Answers) -> Line:
    """The logistic curve of several features, (n, f); a level one where all answers are alike."""
    same, weight = answers.same, answers.weight / answers.weight.mean()
    if same.all() or not same.any():
        low, high = bounds(answers)
        return Line(float(logit(high if same.any() else low)), (0.0,) * features.shape[1])
    # Cosines lie close together: without scaling, the penalty would flatten the slope.
    centre, scale = features.mean(axis=0), features.std(axis=0)
    scale[scale == 0] = 1
    fitted = LogisticRegression(C=100.0).fit((features - centre) / scale, same, sample_weight=weight)
    slopes = fitted.coef_[0] / scale
    return Line(float(fitted.intercept_[0] - slopes @ centre), tuple(slopes.tolist()))


def held_out(
    unit: NDArray[np.int64], learn: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]]
) -> NDArray[np.float64] | None:
    """The probability of each answer, (n,), learned from those about other products: five folds by unit.

    Args:
        unit: (n,) answers of one unit are about one product.
        learn: gives the probabilities of some answers, learned from others: the numbers of the others, then of those.

    Returns:
        None where there are fewer units than folds.
    """
    if len(np.unique(unit)) < _FOLDS:
        return None
    probability = np.empty(len(unit))
    for rest, fold in GroupKFold(_FOLDS).split(unit, groups=unit):
        probability[fold] = learn(rest, fold)
    return probability


def held_out_probability(answers: Answers) -> NDArray[np.float64] | None:
    """What `fit_probability` says of each answer by those about other products; see `held_out`."""
    return held_out(answers.unit, lambda rest, fold: fit_probability(answers.subset(rest))(answers.cosine[fold]))


def calibration_error(answers: Answers, probability: NDArray[np.float64]) -> float:
    """The expected calibration error: how far probability and truth lie apart in a bin, over bins of equal weight.

    Args:
        answers: n of them, at least one.
        probability: (n,) what was said of each.
    """
    order = np.argsort(probability, kind="stable")
    weight = answers.weight[order]
    middle = (weight.cumsum() - weight / 2) / weight.sum()
    gap = np.bincount((middle * _BINS).astype(np.int64), weight * (probability - answers.same)[order], _BINS)
    return float(np.abs(gap).sum() / weight.sum())


def bounds(answers: Answers) -> tuple[float, float]:
    """The lowest and the highest probability: 1 / (no + 2) and (yes + 1) / (yes + 2).

    The rule of succession, of the noes alone and of the yeses alone; the targets that Platt (1999) fits a logistic
    curve to. Answers count as for the precision: those about one product once, weighted ones by what they stand for.
    """
    no, yes = (effective_answers(answers.unit[said], answers.weight[said]) for said in (~answers.same, answers.same))
    return 1 / (no + 2), (yes + 1) / (yes + 2)


def _fitted(answers: Answers) -> Probability:
    cosine, same, weight = answers.cosine.astype(np.float64), answers.same, answers.weight / answers.weight.mean()
    if same.all() or not same.any():
        return lambda cosine: np.full(len(cosine), float(same.any()))
    if len(same) >= _ISOTONIC:
        steps = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(cosine, same, sample_weight=weight)
        return lambda cosine: np.asarray(steps.predict(cosine.astype(np.float64)) if len(cosine) else [], np.float64)
    intercept, (slope,) = fit_line(cosine[:, None], answers)
    return lambda cosine: expit(slope * cosine.astype(np.float64) + intercept)
