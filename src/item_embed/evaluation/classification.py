"""Figures of a classifier: accuracy, macro-F1, top-5, calibration and coverage, with intervals over groups.

Letters in shapes: T test rows, L leaves, B resamples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from item_embed.categories.calibration import (
    BINS,
    PRECISION,
    confidence_bins,
    fit_temperature,
    softmax,
)
from item_embed.categories.classifiers import Scores
from item_embed.categories.leaves import LeafTask
from item_embed.evaluation.intervals import RESAMPLES, Figure, draws
from item_embed.thresholds import precision_curve

TOP = 5


@dataclass(frozen=True)
class Judged:
    """What a classifier said of each test row, (T,) each, and what it learnt from.

    Attributes:
        truth: the true leaf.
        predicted: the likeliest.
        in_top_5: whether the truth is among the five likeliest.
        confidence: the probability of the predicted leaf.
        scaled: the same after temperature scaling.
        groups: the group of the row.
        training_rows: how many rows taught.
        settings: the classifier's, chosen on validation.
        temperature: fitted on validation; None without validation rows.
        threshold: the lowest scaled confidence from which, by validation, surely 95 % are right: by the lower end of an
            interval over groups, as `item classify` has it; None where there is none.
    """

    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    in_top_5: NDArray[np.bool_]
    confidence: NDArray[np.float64]
    scaled: NDArray[np.float64]
    groups: NDArray[np.int64]
    training_rows: int
    settings: dict[str, float]
    temperature: float | None
    threshold: float | None

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the predicted leaf is the true one."""
        return np.asarray(self.predicted == self.truth)

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Whether the scaled confidence reaches the threshold."""
        return np.asarray(self.scaled >= (np.inf if self.threshold is None else self.threshold))


def judge(scores: Scores, task: LeafTask, training_rows: int) -> Judged:
    """Fit temperature and threshold on validation, and compare the test rows with their leaves.

    Equal logits are ordered by leaf.
    """
    truth, chosen_on = task.labels[task.test], task.labels[task.validation]
    temperature = threshold = None
    if len(chosen_on):
        temperature = fit_temperature(scores.validation, chosen_on)
        sure = softmax(scores.validation, temperature).max(axis=1)
        right = scores.validation.argmax(axis=1) == chosen_on
        point = precision_curve(sure, right, task.groups[task.validation]).sure(PRECISION)
        threshold = None if point is None else point.threshold
    return Judged(
        truth=truth,
        predicted=scores.test.argmax(axis=1),
        in_top_5=in_top(scores.test, truth),
        confidence=softmax(scores.test).max(axis=1),
        scaled=softmax(scores.test, temperature or 1.0).max(axis=1),
        groups=task.groups[task.test],
        training_rows=training_rows,
        settings=scores.settings,
        temperature=temperature,
        threshold=threshold,
    )


def in_top(logits: NDArray[np.floating], truth: NDArray[np.int64], top: int = TOP) -> NDArray[np.bool_]:
    """Whether the true leaf is among the likeliest, (T,); a leaf that the classifier does not know never is.

    Args:
        logits: (T, L); equal ones are ordered by leaf.
        truth: (T,) the true leaf of each row.
        top: how many leaves count.
    """
    own = logits[np.arange(len(truth)), truth][:, None]
    before = np.arange(logits.shape[1]) < truth[:, None]
    ahead = (logits > own) | ((logits == own) & before)
    return np.asarray((ahead.sum(axis=1) < top) & np.isfinite(own[:, 0]))


def figures(
    judged: Judged, *, minus: Judged | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Figure]:
    """The figures of a classifier, or how far they lie above another's on the same rows.

    - `accuracy`, `top_5_accuracy`: shares of test rows.
    - `macro_f1`: the mean of F1 over the leaves that have test rows.
    - `calibration_error`, `calibration_error_scaled`: over 15 bins of equal mass, before and after temperature scaling.
    - `coverage_at_95`, `precision_at_95`: the share of rows answered, and of these the share that is right, at a
      confidence from which, by validation, surely 95 % are: `thresholds`.

    What has nothing to measure it on is left out: without validation rows the last three and the precision where no
    row is answered. Groups are resampled as in `intervals`. The percentiles of a figure that is no mean may miss it on
    one side: the interval is then stretched to hold it.

    Args:
        judged: of T test rows.
        minus: another classifier's, to be subtracted, over the same resampled groups.
        resamples: how many times groups are drawn.
        seed: of the draws.

    Examples:
        >>> figures(judge(probe(task, task.train), task, len(task.train)))["accuracy"].text()  # doctest: +SKIP
        '0.951 [0.940, 0.961]'
    """

    def measure(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        found = _measure(judged, weights)
        if minus is None:
            return found
        other = _measure(minus, weights)
        return {name: values - other[name] for name, values in found.items() if name in other}

    _, group = np.unique(judged.groups, return_inverse=True)
    values = {name: float(v[0]) for name, v in measure(np.ones((1, len(judged)))).items() if np.isfinite(v[0])}
    groups = int(group.max()) + 1
    if groups < 2:
        return {name: Figure(v, None, None, "too few to resample for an interval") for name, v in values.items()}
    parts = [measure(counts[:, group]) for counts in draws(groups, resamples, seed)]
    return {name: _figure(v, np.concatenate([part[name] for part in parts])) for name, v in values.items()}


def _figure(value: float, drawn: NDArray[np.float64]) -> Figure:
    measured = drawn[np.isfinite(drawn)]  # a draw in which nothing was measured says nothing
    low, high = np.quantile(measured, [0.025, 0.975]) if len(measured) else (value, value)
    return Figure(value, min(float(low), value), max(float(high), value))


def _measure(judged: Judged, weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Each figure, (B,), of test rows that count as often as `weights`, (B, T), says; NaN where nothing is measured."""
    total, right = weights.sum(axis=1), judged.right
    found = {
        "accuracy": weights @ right / total,
        "macro_f1": _macro_f1(judged, weights),
        "top_5_accuracy": weights @ judged.in_top_5 / total,
        "calibration_error": _calibration_error(judged.confidence, right, weights),
    }
    if judged.temperature is not None:
        answered = weights @ judged.answered
        found["calibration_error_scaled"] = _calibration_error(judged.scaled, right, weights)
        found["coverage_at_95"] = answered / total
        found["precision_at_95"] = _divide(weights @ (judged.answered & right), answered)
    return found


def _macro_f1(judged: Judged, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    leaves, truth = np.unique(judged.truth, return_inverse=True)
    place = np.searchsorted(leaves, judged.predicted).clip(max=len(leaves) - 1)
    tested = leaves[place] == judged.predicted  # a prediction of a leaf without test rows only costs the true leaf
    in_truth = weights @ _columns(truth, np.ones(len(truth)), len(leaves))
    predicted = weights @ _columns(place, tested, len(leaves))
    right = weights @ _columns(truth, judged.right, len(leaves))
    f1 = _divide(2 * right, in_truth + predicted)
    return np.asarray(np.where(in_truth > 0, f1, 0).sum(axis=1) / (in_truth > 0).sum(axis=1))


def _calibration_error(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`calibration.calibration_error` in the bins of the unweighted rows."""
    gaps = weights @ _columns(confidence_bins(confidence), confidence - right, BINS)
    return np.asarray(np.abs(gaps).sum(axis=1) / weights.sum(axis=1))


def _columns(column: NDArray[np.int64], values: NDArray[np.floating | np.bool_], columns: int) -> csr_array:
    """(T, columns): each row has its value in its column."""
    return csr_array((values.astype(np.float64), (np.arange(len(column)), column)), (len(column), columns))


def _divide(numerators: NDArray[np.float64], denominators: NDArray[np.float64]) -> NDArray[np.float64]:
    """NaN where the denominator is 0."""
    return np.divide(numerators, denominators, out=np.full_like(denominators, np.nan), where=denominators > 0)
