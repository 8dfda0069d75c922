"""Whether a classifier's confidence is what it says: temperature and calibration error.

Letters in shapes: n rows, L leaves. Logits are any numbers whose softmax gives probabilities; `-inf` marks a leaf that
the classifier does not know.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

BINS = 15
PRECISION = 0.95
_TEMPERATURES = (0.01, 100.0)  # without an error on validation the best temperature would be 0


def softmax(logits: NDArray[np.floating[Any]], temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities, (n, L), of logits divided by a temperature."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def log_likelihood(logits: NDArray[np.floating[Any]], truth: NDArray[np.int64], temperature: float = 1.0) -> float:
    """The mean log-probability of the true leaf; rows of leaves that the classifier does not know are left out.

    Args:
        logits: (n, L).
        truth: (n,) the true leaf of each row.
        temperature: what the logits are divided by.

    Returns:
        A number of at most 0; 0 where no row is left.

    Examples:
        >>> round(log_likelihood(np.zeros((1, 2)), np.array([1])), 3)
        -0.693
    """
    own = logits[np.arange(len(truth)), truth]
    known = np.isfinite(own)
    if not known.any():
        return 0.0
    scaled = logits[known].astype(np.float64) / temperature
    highest = scaled.max(axis=1)
    total = np.log(np.exp(scaled - highest[:, None]).sum(axis=1)) + highest
    return float((own[known] / temperature - total).mean())


def fit_temperature(logits: NDArray[np.floating[Any]], truth: NDArray[np.int64]) -> float:
    """The temperature whose probabilities make the truth likeliest (Guo et al., 2017, arXiv 1706.04599).

    It lies between 0.01 and 100, and moves no row's best leaf.

    Args:
        logits: (n, L) of validation rows.
        truth: (n,) their true leaves; rows of leaves that the classifier does not know are left out.

    Returns:
        The temperature; 1 where no row is left.

    Examples:
        >>> fit_temperature(np.array([[4.0, 0.0]] * 4), np.array([0, 0, 0, 1])) > 1  # 98 % sure, 75 % right
        True
    """
    if not np.isfinite(logits[np.arange(len(truth)), truth]).any():
        return 1.0
    found = minimize_scalar(
        lambda log: -log_likelihood(logits, truth, float(np.exp(log))), bounds=np.log(_TEMPERATURES), method="bounded"
    )
    return float(np.exp(found.x))


def confidence_bins(confidence: NDArray[np.float64], bins: int = BINS) -> NDArray[np.int64]:
    """The bin of each row, (n,), in bins of equal mass: as many rows in each, as far as equal confidences allow.

    Bins of equal width would hold nearly all rows of a good classifier in the last one.
    """
    edges = np.quantile(confidence, np.arange(1, bins) / bins)
    return np.searchsorted(edges, confidence, side="left").astype(np.int64)


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = BINS) -> float:
    """Expected calibration error: the distance of confidence and accuracy in a bin, averaged over rows.

    Bins are of equal mass (Nixon et al., 2019, arXiv 1904.01685). Even a perfect classifier has an error above 0 on
    finitely many rows.

    Args:
        confidence: (n,) the probability of the predicted leaf.
        right: (n,) whether it is the true one.
        bins: how many.

    Examples:
        >>> calibration_error(np.array([0.8] * 5), np.array([True, True, True, True, False])) < 1e-9
        True
    """
    gap = np.bincount(confidence_bins(confidence, bins), confidence - right, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))
