"""How good a classifier is on the rows of the test split: its likeliest leaves, and what it answers at a precision.

Letters in shapes: n rows, L leaves.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from item_embed.categories.abstaining import answered
from item_embed.categories.classifier import CategoryClassifier
from item_embed.categories.fitting import Fitted, Said
from item_embed.evaluation.classification import Judged, figures, in_top
from item_embed.evaluation.intervals import Figure, ratios

PRECISIONS = (0.9, 0.95, 0.97, 0.98, 0.99)
_OF_ANSWERS = ("accuracy", "macro_f1", "top_5_accuracy", "calibration_error_scaled")


@dataclass(frozen=True)
class Answers:
    """What is answered for a wanted precision, each a share of rows with its interval over groups.

    Attributes:
        precision: the wanted one.
        leaves: rows answered with a leaf.
        prefixes: rows answered with a prefix.
        right_leaves: of the leaves that were answered, those that are right; None where there are none.
        right_prefixes: likewise.
        counts: how many leaves and prefixes were answered.
    """

    precision: float
    leaves: Figure
    prefixes: Figure
    right_leaves: Figure | None
    right_prefixes: Figure | None
    counts: tuple[int, int]

    @property
    def coverage(self) -> float:
        """The share of rows answered with anything."""
        return self.leaves.value + self.prefixes.value

    def as_json(self) -> dict[str, Any]:
        """Figures by name."""
        names = ("leaves", "prefixes", "right_leaves", "right_prefixes")
        found: dict[str, Figure | None] = {name: getattr(self, name) for name in names}
        return {
            "wanted_precision": self.precision,
            "answered": {"leaves": self.counts[0], "prefixes": self.counts[1]},
            **{name: None if figure is None else figure.as_json() for name, figure in found.items()},
        }


@dataclass(frozen=True)
class Quality:
    """The figures of a classifier on test rows.

    Attributes:
        rows: how many; those of leaves that it does not know count in `answers`, and not in `figures`.
        figures: accuracy, macro-F1, top-5 and calibration error of the leaf, whether it would be answered or not.
        answers: for each of `PRECISIONS` and the one that was wanted, the lowest first.
        wanted: those of the wanted one.
    """

    rows: int
    figures: dict[str, Figure]
    answers: tuple[Answers, ...]
    wanted: Answers

    def as_json(self) -> dict[str, Any]:
        """As `classifier.json` and `--json` have it."""
        return {
            "rows": self.rows,
            **{name: figure.as_json() for name, figure in self.figures.items()},
            "answers": [one.as_json() for one in self.answers],
        }


def measure(fitted: Fitted, seed: int = 0) -> Quality:
    """Measure a classifier on the test rows that it was fitted without.

    Args:
        fitted: with at least one test row of a leaf that it knows.
        seed: of intervals.

    Examples:
        >>> measure(fit_classifier(catalog, task, vectors, encoder)).wanted.leaves.text()  # doctest: +SKIP
        '1.000 [1.000, 1.000]'
    """
    classifier = fitted.classifier
    wanted = sorted({*PRECISIONS, classifier.precision})
    answers = {precision: answers_at(classifier, fitted.judging, precision, seed) for precision in wanted}
    of_leaves = figures(_judged(fitted), seed=seed)
    found = {name.removesuffix("_scaled"): of_leaves[name] for name in _OF_ANSWERS}
    return Quality(len(fitted.judging), found, tuple(answers.values()), answers[classifier.precision])


def answers_at(classifier: CategoryClassifier, said: Said, precision: float, seed: int = 0) -> Answers:
    """What is answered of some rows at the thresholds for a precision, and how much of it is right."""
    level = answered(said.held.likelihood, classifier.thresholds(precision))
    right = np.take_along_axis(said.held.right, level.clip(0)[:, None], axis=1)[:, 0]
    leaf, prefix = level == 0, level > 0
    _, group = np.unique(said.held.group, return_inverse=True)

    def share(of: NDArray[np.bool_], among: NDArray[np.bool_]) -> Figure | None:
        if not among.any():
            return None
        sums = [np.bincount(group, values)[:, None].astype(np.float64) for values in (of & among, among)]
        return ratios(sums[0], sums[1], seed=seed)[0]

    every = np.ones(len(said), np.bool_)
    leaves, prefixes = share(leaf, every), share(prefix, every)
    assert leaves is not None
    assert prefixes is not None
    counts = int(leaf.sum()), int(prefix.sum())
    return Answers(precision, leaves, prefixes, share(right, leaf), share(right, prefix), counts)


def _judged(fitted: Fitted) -> Judged:
    """The test rows of known leaves, for `classification.figures`."""
    said = fitted.judging
    known = said.given >= 0
    probabilities, given = said.probabilities[known], said.given[known]
    confidence = probabilities.max(axis=1)
    return Judged(
        truth=given,
        predicted=probabilities.argmax(axis=1),
        in_top_5=in_top(probabilities, given),
        confidence=confidence,
        scaled=confidence,
        groups=said.held.group[known],
        training_rows=fitted.classifier.told["rows"]["taught"],
        settings={"C": fitted.classifier.told["C"]},
        temperature=fitted.classifier.temperature,
        threshold=None,
    )
