from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from item_embed.categories.calibration import calibration_error
from item_embed.categories.classifiers import Scores
from item_embed.categories.leaves import LeafTask
from item_embed.evaluation.classification import Judged, figures, in_top, judge
from item_embed.evaluation.intervals import ratios


def random_judged(seed: int, rows: int = 120, leaves: int = 6, groups: int = 40) -> Judged:
    generator = np.random.default_rng(seed)
    truth = generator.integers(leaves - 1, size=rows)  # the last leaf has no test row, but is predicted
    predicted = np.where(generator.random(rows) < 0.6, truth, generator.integers(leaves, size=rows))
    confidence = generator.random(rows)
    return Judged(
        truth=truth,
        predicted=predicted,
        in_top_5=generator.random(rows) < 0.9,
        confidence=confidence,
        scaled=np.sqrt(confidence),
        groups=generator.integers(groups, size=rows),
        training_rows=10,
        settings={},
        temperature=2.0,
        threshold=0.5,
    )


def plain(judged: Judged, rows: NDArray[np.int64]) -> dict[str, float]:
    """All figures but calibration in plain loops; `rows` may repeat."""
    pairs = [(int(judged.truth[row]), int(judged.predicted[row])) for row in rows]
    f1 = []
    for leaf in {truth for truth, _ in pairs}:
        right = sum(truth == predicted == leaf for truth, predicted in pairs)
        f1.append(2 * right / (sum(t == leaf for t, _ in pairs) + sum(p == leaf for _, p in pairs)))
    answered = [row for row in rows if judged.scaled[row] >= 0.5]
    return {
        "accuracy": float(np.mean([truth == predicted for truth, predicted in pairs])),
        "macro_f1": float(np.mean(f1)),
        "top_5_accuracy": float(np.mean([judged.in_top_5[row] for row in rows])),
        "coverage_at_95": len(answered) / len(rows),
        "precision_at_95": float(np.mean([judged.right[row] for row in answered])),
    }


def test_figures_are_those_of_plain_loops_and_of_scikit_learn() -> None:
    judged = random_judged(0)
    found = figures(judged, resamples=10)
    for name, value in plain(judged, np.arange(len(judged))).items():
        assert found[name].value == pytest.approx(value), name
    leaves = np.unique(judged.truth)
    macro = f1_score(judged.truth, judged.predicted, labels=leaves, average="macro", zero_division=0)
    assert found["macro_f1"].value == pytest.approx(macro)
    assert found["calibration_error"].value == pytest.approx(calibration_error(judged.confidence, judged.right))
    assert found["calibration_error_scaled"].value == pytest.approx(calibration_error(judged.scaled, judged.right))


def test_resampling_of_groups_is_that_of_plain_loops() -> None:
    judged = random_judged(1, groups=12)
    names = np.unique(judged.groups)
    generator = np.random.default_rng(5)
    drawn = []
    for _ in range(100):
        groups = names[generator.integers(len(names), size=len(names))]
        drawn.append(plain(judged, np.concatenate([np.flatnonzero(judged.groups == group) for group in groups])))
    found = figures(judged, resamples=100, seed=5)
    for name in drawn[0]:
        low, high = np.percentile([one[name] for one in drawn], [2.5, 97.5])
        value = found[name].value
        assert (found[name].low, found[name].high) == pytest.approx((min(low, value), max(high, value))), name


def test_accuracy_has_the_interval_of_a_ratio() -> None:
    judged = random_judged(2)
    _, groups = np.unique(judged.groups, return_inverse=True)
    right, rows = (np.bincount(groups, weights).astype(np.float64) for weights in (judged.right, None))
    [ratio] = ratios(right[:, None], rows[:, None], seed=3)
    found = figures(judged, seed=3)["accuracy"]
    assert (found.value, found.low, found.high) == pytest.approx((ratio.value, ratio.low, ratio.high))


def test_differences_are_paired() -> None:
    judged = random_judged(3)
    assert all((f.value, f.low, f.high) == (0, 0, 0) for f in figures(judged, minus=judged, resamples=50).values())
    perfect = replace(judged, predicted=judged.truth)
    gain = figures(perfect, minus=judged, resamples=200)["accuracy"]
    assert gain.value == pytest.approx(1 - judged.right.mean())
    assert gain.low is not None
    assert gain.low > 0


def test_what_cannot_be_measured_is_left_out() -> None:
    judged = random_judged(4)
    without = figures(replace(judged, temperature=None, threshold=None), resamples=20)
    assert set(without) == {"accuracy", "macro_f1", "top_5_accuracy", "calibration_error"}
    silent = figures(replace(judged, threshold=None), resamples=20)
    assert (silent["coverage_at_95"].value, silent["coverage_at_95"].high) == (0, 0)
    assert "precision_at_95" not in silent
    one_group = figures(replace(judged, groups=np.zeros(len(judged), np.int64)))
    assert one_group["macro_f1"].reason == "too few to resample for an interval"
    single = replace(
        judged,
        truth=judged.truth[:1],
        predicted=judged.truth[:1],
        in_top_5=judged.in_top_5[:1],
        confidence=judged.confidence[:1],
        scaled=judged.scaled[:1],
        groups=judged.groups[:1],
    )
    assert figures(single)["accuracy"].value == 1


def test_top_five_counts_ties_by_leaf_and_never_an_unknown_leaf() -> None:
    logits = np.array([[3.0, 1.0, 1.0, -np.inf], [3.0, 1.0, 1.0, -np.inf], [3.0, 1.0, 1.0, -np.inf]])
    assert in_top(logits, np.array([1, 2, 3]), top=2).tolist() == [True, False, False]
    assert in_top(logits, np.array([1, 2, 3]), top=4).tolist() == [True, True, False]
    scores = np.random.default_rng(6).random((50, 9))
    truth = np.random.default_rng(7).integers(9, size=50)
    expected = [leaf in sorted(range(9), key=lambda i: -row[i])[:5] for row, leaf in zip(scores, truth, strict=True)]
    assert in_top(scores, truth).tolist() == expected


def test_the_threshold_is_chosen_on_validation_and_used_on_test() -> None:
    labels = np.array([0, 1, *[0] * 101, 1, 0])
    task = LeafTask(("a", "b"), labels, np.arange(105), np.arange(2), np.arange(2, 103), np.array([103, 104]))
    validation = np.array([[4.0, 0.0]] * 100 + [[0.0, 1.0]])  # sure and right, unsure and wrong
    judged = judge(Scores(validation, np.array([[0.0, 5.0], [0.5, 0.0]]), {}), task, 2)
    assert judged.answered.tolist() == [True, False]
    assert judged.right.tolist() == [True, True]
    few = replace(task, validation=np.arange(33, 103))  # 69 right ones promise .95 to nobody: by 73 it is sure
    assert judge(Scores(validation[31:], np.zeros((2, 2)), {}), few, 2).threshold is None
    alike = replace(task, groups=np.where(np.arange(105) < 63, 0, np.arange(105)))  # 61 of one group
    assert judge(Scores(validation, np.zeros((2, 2)), {}), alike, 2).threshold is None
    nothing = replace(task, validation=np.zeros(0, np.int64))
    judged = judge(Scores(np.zeros((0, 2)), np.array([[0.0, 5.0], [0.5, 0.0]]), {}), nothing, 2)
    assert (judged.temperature, judged.threshold) == (None, None)
    assert (judged.scaled == judged.confidence).all()
