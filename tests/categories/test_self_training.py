from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from item_embed.categories import self_training
from item_embed.categories.classifiers import Classifier, Scores
from item_embed.categories.leaves import LeafTask
from item_embed.categories.linear import linear_probe
from item_embed.categories.self_training import self_trained
from item_embed.evaluation.neighbours import nearest_neighbours


def made(sizes: tuple[int, ...] = (700, 150, 100, 50), noise: float = 0.9) -> tuple[LeafTask, NDArray[np.float32]]:
    """Leaves of different sizes that overlap."""
    generator = np.random.default_rng(0)
    labels = generator.permutation(np.repeat(np.arange(len(sizes)), sizes))
    features = np.eye(8, dtype=np.float32)[labels] + noise * generator.normal(size=(len(labels), 8)).astype(np.float32)
    train, validation, test = np.split(np.arange(len(labels)), [len(labels) // 2, len(labels) * 3 // 4])
    return LeafTask(tuple("ABCD")[: len(sizes)], labels, np.arange(len(labels)), train, validation, test), features


def accuracy(scores: Scores, task: LeafTask) -> float:
    return float((scores.test.argmax(axis=1) == task.labels[task.test]).mean())


def test_it_is_that_of_plain_loops() -> None:
    task, features = made()
    probe = linear_probe(features)
    few = task.drawn(5)
    others = [row for row in task.train if row not in few]
    believed: dict[int, int] = {}
    nothing = np.zeros(0, np.int64)
    for fifths in range(1, 6):
        labels = task.labels.copy()
        for row, leaf in believed.items():
            labels[row] = leaf
        learnt = np.array([*few, *believed])
        blind = replace(task, labels=labels, validation=nothing, test=np.array(others))
        logits = probe(blind, learnt).test.astype(np.float64)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        sure = (powers / powers.sum(axis=1, keepdims=True)).max(axis=1)
        order = sorted(range(len(others)), key=lambda place: -sure[place])[: round(fifths / 5 * len(others))]
        believed = {others[place]: int(logits[place].argmax()) for place in order}
    labels = task.labels.copy()
    for row, leaf in believed.items():
        labels[row] = leaf
    expected = probe(replace(task, labels=labels), np.array([*few, *believed]))
    found = self_trained(probe)(task, few)
    assert (found.test == expected.test).all()
    assert found.settings == expected.settings


def test_few_labels_and_many_looks_tell_more_than_few_labels() -> None:
    task, features = made(noise=0.7)
    probe, few = linear_probe(features), task.drawn(2)
    assert accuracy(self_trained(probe)(task, few), task) > accuracy(probe(task, few), task) + 0.1


@pytest.mark.parametrize("make", [linear_probe, nearest_neighbours])
def test_labels_that_were_not_given_are_never_looked_at(
    make: Callable[[NDArray[np.floating[Any]]], Classifier],
) -> None:
    task, features = made()
    few = task.drawn(5)
    labels = task.labels.copy()
    hidden = np.setdiff1d(task.train, few)
    labels[hidden] = 0
    labels[task.test] = 0
    taught = self_trained(make(features))
    assert (taught(task, few).test == taught(replace(task, labels=labels), few).test).all()


def test_where_all_is_labelled_it_is_the_classifier_itself() -> None:
    task, features = made()
    probe = linear_probe(features)
    assert (self_trained(probe)(task, task.train).test == probe(task, task.train).test).all()


def test_no_more_rows_are_looked_at_than_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    task, features = made()
    monkeypatch.setattr(self_training, "_MOST", 40)
    probe, seen = linear_probe(features), []

    def noted(task: LeafTask, rows: NDArray[np.int64]) -> Scores:
        seen.append((len(rows), len(task.test), len(task.validation)))
        return probe(task, rows)

    few = task.drawn(5)
    self_trained(noted)(task, few)
    assert seen == [(len(few) + n, 40, 0) for n in (0, 8, 16, 24, 32)] + [(len(few) + 40, 250, 250)]
