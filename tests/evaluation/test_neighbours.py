from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from item_embed.categories.classifiers import Classifier
from item_embed.categories.leaves import LeafTask
from item_embed.categories.linear import linear_probe, tfidf_linear
from item_embed.evaluation.classification import Judged, judge
from item_embed.evaluation.neighbours import nearest_neighbours
from tests.catalogs import Row, write_catalog

ON_FEATURES = [linear_probe, nearest_neighbours]
Make = Callable[[NDArray[np.floating[Any]]], Classifier]


def made_task(rows: int = 300, leaves: int = 6, seed: int = 0) -> LeafTask:
    labels = np.random.default_rng(seed).integers(leaves, size=rows)
    train, validation, test = np.split(np.arange(rows), [rows * 6 // 10, rows * 8 // 10])
    return LeafTask(tuple(f"leaf {n}" for n in range(leaves)), labels, np.arange(rows), train, validation, test)


def made_features(task: LeafTask, noise: float) -> NDArray[np.float32]:
    generator = np.random.default_rng(1)
    centres = generator.normal(size=(len(task.leaves), 16)) + 2  # with a common part, as of real vectors
    return (centres[task.labels] + noise * generator.normal(size=(len(task.labels), 16))).astype(np.float32)


def judged(classify: Classifier, task: LeafTask, rows: NDArray[np.int64] | None = None) -> Judged:
    rows = task.train if rows is None else rows
    return judge(classify(task, rows), task, len(rows))


@pytest.mark.parametrize("make", ON_FEATURES)
def test_separable_leaves_are_all_found(make: Make) -> None:
    task = made_task(rows=600)  # of which 120 rows of validation can promise a precision of .95
    found = judged(make(made_features(task, 0.05)), task)
    assert found.right.all()
    assert found.in_top_5.all()
    assert found.answered.mean() > 0.95  # the threshold is that of the least sure row of validation
    assert judged(make(made_features(task, 0.05)), task, task.drawn(1)).right.all()


@pytest.mark.parametrize("make", ON_FEATURES)
def test_permuted_labels_are_found_by_chance(make: Make) -> None:
    task = made_task(rows=900)
    features = made_features(task, 0.3)
    found = judged(make(features), replace(task, labels=np.random.default_rng(2).permutation(task.labels)))
    assert abs(found.right.mean() - 1 / 6) < 0.1
    assert found.scaled.max() < 0.7  # and temperature knows


@pytest.mark.parametrize("make", ON_FEATURES)
def test_the_labels_of_test_rows_change_nothing(make: Make) -> None:
    task = made_task()
    classify = make(made_features(task, 2.0))
    labels = task.labels.copy()
    labels[task.test] = 0
    one, other = classify(task, task.train), classify(replace(task, labels=labels), task.train)
    assert (one.test == other.test).all()
    assert one.settings == other.settings


@pytest.mark.parametrize("make", ON_FEATURES)
def test_settings_are_the_best_on_validation(make: Make) -> None:
    task = made_task()
    features = made_features(task, 1.5)
    found = make(features)(task, task.train)
    right = (found.validation.argmax(axis=1) == task.labels[task.validation]).mean()
    plain = make(features)(replace(task, validation=np.zeros(0, np.int64)), task.train)  # the defaults
    as_test = make(features)(replace(task, validation=np.zeros(0, np.int64), test=task.validation), task.train).test
    assert right >= (as_test.argmax(axis=1) == task.labels[task.validation]).mean()
    assert plain.validation.shape == (0, 6)
    assert set(plain.settings) == set(found.settings)


@pytest.mark.parametrize("make", ON_FEATURES)
@pytest.mark.parametrize("known", [2, 3])
def test_leaves_without_training_rows_have_no_probability(make: Make, known: int) -> None:
    task = made_task()
    rows = task.train[task.labels[task.train] < known]
    found = make(made_features(task, 0.05))(task, rows)
    assert (found.test[:, known:] == -np.inf).all()
    assert np.isfinite(found.test[:, :known]).all()
    known_rows = task.labels[task.test] < known
    said = judge(found, task, len(rows))
    assert said.right[known_rows].all()
    assert not said.right[~known_rows].any()
    assert not said.in_top_5[~known_rows].any()


@pytest.mark.parametrize("make", ON_FEATURES)
def test_products_without_a_vector_are_no_error(make: Make) -> None:
    task = made_task(rows=120)
    features = made_features(task, 0.05)
    features[::3] = 0
    found = judged(make(features), task)
    assert np.isfinite(found.confidence).all()
    assert found.right[task.test % 3 != 0].all()
    judged(make(np.zeros_like(features)), task)
    with pytest.raises(ValueError, match="finite"):
        make(np.full_like(features, np.nan))


def test_neighbours_vote_as_in_plain_loops() -> None:
    task = replace(made_task(rows=60), validation=np.zeros(0, np.int64))
    features = made_features(task, 1.5).astype(np.float64)
    found = nearest_neighbours(features)(task, task.train)
    k, sharpness = int(found.settings["k"]), found.settings["t"]
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for row, logits in zip(task.test, found.test, strict=True):
        near = sorted(task.train, key=lambda other: -unit[row] @ unit[other])[:k]
        weights = [np.exp(unit[row] @ unit[other] / sharpness) for other in near]
        for leaf in range(6):
            share = sum(w for w, other in zip(weights, near, strict=True) if task.labels[other] == leaf) / sum(weights)
            prior = (task.labels[task.train] == leaf).mean()
            assert np.exp(logits[leaf]) == pytest.approx(0.99 * share + 0.01 * prior, rel=1e-3)


def test_a_probe_does_not_depend_on_length_or_common_part_of_vectors() -> None:
    task = made_task()
    features = made_features(task, 1.0)
    longer = features * np.random.default_rng(3).uniform(0.5, 9, size=(len(features), 1)).astype(np.float32)
    one, other = (linear_probe(some)(task, task.train) for some in (features, longer))
    assert one.test == pytest.approx(other.test, abs=0.05)


def test_titles_tell_leaves_and_blank_titles_only_their_sizes(tmp_path: Path) -> None:
    task = made_task(rows=120, leaves=3)
    words = ("mug", "lamp", "sofa")
    splits = np.full(120, "train", object)
    splits[task.validation], splits[task.test] = "validation", "test"
    rows = [
        Row(str(n), title=f"{words[leaf]} number{n}", split=str(split))
        for n, (leaf, split) in enumerate(zip(task.labels, splits, strict=True))
    ]
    assert judged(tfidf_linear(write_catalog(tmp_path / "titles", rows)), task).right.all()
    blank = judged(tfidf_linear(write_catalog(tmp_path / "blank", [replace(row, title=None) for row in rows])), task)
    assert len(np.unique(blank.predicted)) == 1
