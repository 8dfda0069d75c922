"""Leaf-category prediction: how much of a product's category its vector holds.

Classifiers learn from the labelled rows of the train split, all or a few of each leaf; their settings are chosen on the
validation split, and figures are of the test split. Groups are never parted.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from item_embed.categories.calibration import BINS, confidence_bins
from item_embed.categories.classifiers import Classifier
from item_embed.categories.leaves import LeafTask
from item_embed.categories.self_training import self_trained
from item_embed.errors import ConfigError
from item_embed.evaluation.classification import Judged, figures, judge
from item_embed.evaluation.intervals import Figure, ratios
from item_embed.progress import Stages, silent_stages

_ROWS_OF_BIN = 20  # at least, of a reliability plot
PER_LEAF = (1, 5, 10)  # labelled rows per leaf of the learning curve, beside all


@dataclass(frozen=True)
class Confusion:
    """Test rows of one leaf that were taken for another.

    Attributes:
        truth: the true leaf's path.
        predicted: the path of the leaf that they were taken for.
        count: how many.
        of: how many test rows the true leaf has.
        rows: some of them, the surest first, as rows of the catalogue.
    """

    truth: str
    predicted: str
    count: int
    of: int
    rows: tuple[int, ...]


@dataclass(frozen=True)
class LeafCategoryResult:
    """How one method did.

    Attributes:
        method: its name.
        task: the leaves, and which rows taught, chose and judged.
        judged: what it said of the test rows, having learnt from all training rows.
        curve: the same, having learnt from so many rows of each leaf.
        self_trained: the curve once more, where it also learnt from what it says itself of rows without a label.
    """

    method: str
    task: LeafTask
    judged: Judged
    curve: dict[int, Judged]
    self_trained: dict[int, Judged] = field(default_factory=dict)

    def figures(self, seed: int = 0, *, minus: "LeafCategoryResult | None" = None) -> dict[str, Figure]:
        """`classification.figures`, or how far they lie above another method's on the same rows."""
        return figures(self.judged, minus=None if minus is None else minus.judged, seed=seed)

    def learning_curve(self, seed: int = 0, *, self_trained: bool = False) -> dict[int, dict[str, Figure]]:
        """The figures after so many rows of each leaf, fewest first, without or with self-training."""
        curve = self.self_trained if self_trained else self.curve
        return {count: figures(judged, seed=seed) for count, judged in curve.items()}

    def accuracy_by(self, values: Sequence[str], seed: int = 0) -> dict[str, tuple[int, Figure]]:
        """For each of the values that test rows have, (T,): how many rows have it, and their accuracy."""
        of_row = np.array(values)
        found = {}
        for value in np.unique(of_row):
            part = of_row == value
            [accuracy] = self._accuracies(part, np.zeros(int(part.sum()), np.int64), seed)
            found[str(value)] = (int(part.sum()), accuracy)
        return found

    def reliability(self, *, scaled: bool, seed: int = 0) -> list[tuple[float, Figure]]:
        """The mean confidence and the accuracy of each bin of equal mass, least sure first, before or after scaling.

        There are 15 bins, fewer where that leaves each with less than twenty rows, but at least two.
        """
        confidence = self.judged.scaled if scaled else self.judged.confidence
        count = min(BINS, max(2, len(confidence) // _ROWS_OF_BIN))
        _, bins = np.unique(confidence_bins(confidence, count), return_inverse=True)
        means = np.bincount(bins, confidence) / np.bincount(bins)
        everywhere = np.ones(len(bins), np.bool_)
        return list(zip(map(float, means), self._accuracies(everywhere, bins, seed), strict=True))

    def _accuracies(self, part: NDArray[np.bool_], kinds: NDArray[np.int64], seed: int) -> list[Figure]:
        """The accuracy of each kind of some test rows, numbered from 0; groups are resampled."""
        _, groups = np.unique(self.judged.groups[part], return_inverse=True)
        shape = int(groups.max()) + 1, int(kinds.max()) + 1
        places = groups * shape[1] + kinds
        right, rows = (
            np.bincount(places, weights, shape[0] * shape[1]).reshape(shape).astype(np.float64)
            for weights in (self.judged.right[part], np.ones(len(places)))
        )
        return ratios(right, rows, seed=seed)

    def confusions(self, most: int = 20, examples: int = 3) -> list[Confusion]:
        """The most frequent pairs of a true leaf and the one that it was taken for, most frequent first."""
        wrong = np.flatnonzero(~self.judged.right)
        wrong = wrong[np.argsort(-self.judged.scaled[wrong], kind="stable")]  # the surest first
        pairs: dict[tuple[int, int], list[int]] = {}
        for place in wrong:
            pair = int(self.judged.truth[place]), int(self.judged.predicted[place])
            pairs.setdefault(pair, []).append(int(self.task.test[place]))
        sizes = np.bincount(self.judged.truth, minlength=len(self.task.leaves))
        frequent = sorted(pairs.items(), key=lambda item: (-len(item[1]), item[0]))[:most]
        leaves = self.task.leaves
        return [
            Confusion(leaves[truth], leaves[predicted], len(rows), int(sizes[truth]), tuple(rows[:examples]))
            for (truth, predicted), rows in frequent
        ]


def evaluate_leaf_category(
    task: LeafTask,
    methods: Mapping[str, Classifier],
    per_leaf: Sequence[int] = PER_LEAF,
    seed: int = 0,
    stage: Stages = silent_stages,
    *,
    self_train: Collection[str] = (),
) -> list[LeafCategoryResult]:
    """Train and judge methods on the same rows.

    Args:
        task: from `leaves.leaf_task`.
        methods: classifiers by name, such as those of `classifiers`.
        per_leaf: how many rows of each leaf the learning curve learns from; all is always measured.
        seed: of the learning curve's draws.
        stage: told of the progress of each method.
        self_train: names of methods whose learning curve is also measured with self-training.

    Returns:
        A result for each method, in their order.

    Raises:
        ConfigError: when a number of rows per leaf is below one.

    Examples:
        >>> task = leaf_task(catalog)                                                      # doctest: +SKIP
        >>> methods = {"linear_probe": linear_probe(vectors), "tfidf": tfidf_linear(catalog)}  # doctest: +SKIP
        >>> probe, words = evaluate_leaf_category(task, methods)                           # doctest: +SKIP
        >>> probe.figures(minus=words)["macro_f1"].text("+.3f")                            # doctest: +SKIP
        '-0.060 [-0.085, -0.031]'
    """
    if any(count < 1 for count in per_leaf):
        raise ConfigError(f"a learning curve needs at least one row of each leaf, not {min(per_leaf)}.")
    draws = {count: task.drawn(count, seed) for count in sorted(set(per_leaf))}
    results = []
    for name, classify in methods.items():
        taught = self_trained(classify)
        lessons = [(classify, rows) for rows in (*draws.values(), task.train)]
        lessons += [(taught, rows) for rows in draws.values() if name in self_train]
        judged = []
        with stage(f"classifying by {name}") as on_progress:
            for done, (learn, rows) in enumerate(lessons, 1):
                judged.append(judge(learn(task, rows), task, len(rows)))
                on_progress(done, len(lessons))
        few, whole, again = judged[: len(draws)], judged[len(draws)], judged[len(draws) + 1 :]
        curves = (dict(zip(draws, curve, strict=False)) for curve in (few, again))
        results.append(LeafCategoryResult(name, task, whole, *curves))
    return results


def as_json(
    results: Sequence[LeafCategoryResult],
    baseline: str | None = None,
    by: tuple[str, Sequence[str]] | None = None,
    seed: int = 0,
    remarks: Sequence[str] = (),
) -> dict[str, Any]:
    """Results on one task as one JSON object.

    Args:
        results: from `evaluate_leaf_category`, at least one.
        baseline: the method that the others are compared with: each gets `minus_baseline`, the paired differences.
        by: a column, and its value for each test row, by which accuracy is told too.
        seed: of intervals.
        remarks: what else a reader should know; those of the task come first.
    """
    task = results[0].task
    other = next((result for result in results if result.method == baseline), None)
    return {
        "task": "leaf-category",
        "protocol": "learnt from train, chosen on validation, measured on test; groups never parted, and resampled",
        "rows": {"train": len(task.train), "validation": len(task.validation), "test": len(task.test)},
        "groups": len(np.unique(task.groups[task.test])),
        "leaves": len(task.leaves),
        "leaves_in_test": len(np.unique(task.labels[task.test])),
        "remarks": [*task.remarks, *remarks],
        "methods": {
            result.method: _method(result, by, seed)
            | (
                {}
                if other is None or other is result
                else {"minus_baseline": _plain(result.figures(seed, minus=other))}
            )
            for result in results
        },
        **({} if other is None else {"baseline": other.method}),
    }


def _method(result: LeafCategoryResult, by: tuple[str, Sequence[str]] | None, seed: int) -> dict[str, Any]:
    object_ = _judged(result.judged, result.figures(seed))
    object_["per_leaf"] = _curve(result.curve, seed)
    if result.self_trained:
        object_["per_leaf_self_trained"] = _curve(result.self_trained, seed)
    object_["confusions"] = [
        {"truth": one.truth, "predicted": one.predicted, "count": one.count, "of": one.of}
        for one in result.confusions()
    ]
    if by is not None:
        column, values = by
        object_["by"] = {
            column: {
                value: {"rows": rows, "accuracy": accuracy.as_json()}
                for value, (rows, accuracy) in result.accuracy_by(values, seed).items()
            }
        }
    return object_


def _curve(curve: dict[int, Judged], seed: int) -> dict[str, Any]:
    return {str(count): _judged(judged, figures(judged, seed=seed)) for count, judged in curve.items()}


def _judged(judged: Judged, found: dict[str, Figure]) -> dict[str, Any]:
    """Figures with what they rest on; `answered` is the count behind `precision_at_95`."""
    return {
        "training_rows": judged.training_rows,
        "settings": judged.settings,
        "temperature": judged.temperature,
        "threshold": judged.threshold,
        "answered": int(judged.answered.sum()),
        **_plain(found),
    }


def _plain(found: dict[str, Figure]) -> dict[str, Any]:
    return {name: figure.as_json() for name, figure in found.items()}
