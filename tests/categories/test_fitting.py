from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from item_embed.categories.fitting import fit_classifier
from item_embed.categories.leaves import leaf_task
from item_embed.errors import CatalogError, ConfigError
from tests.catalogs import Row, write_catalog
from tests.categories.made import ENCODER, PATHS, made


def test_nothing_is_said_of_a_row_that_it_or_its_group_taught(tmp_path: Path) -> None:
    """Vectors that say nothing but which group a row is of: learnt by heart, and worth nothing for another group."""
    catalog, _, _ = made(tmp_path / "catalog", count=400)
    vectors = np.random.default_rng(1).normal(size=(200, 64)).astype(np.float32)[catalog.groups]
    fitted = fit_classifier(catalog, leaf_task(catalog), vectors, ENCODER)
    assert fitted.fitting.held.right[:, 0].mean() < 0.3
    rows = fitted.fitting.rows
    by_heart = fitted.classifier.linear(vectors[rows]).argmax(axis=1) == fitted.fitting.given
    assert by_heart.mean() > 0.45  # two rows of a group are labelled alike by chance
    assert fitted.classifier.thresholds(0.9)[0] is None  # and it knows


def test_every_labelled_row_is_judged_once_and_the_test_split_teaches_nothing(tmp_path: Path) -> None:
    catalog, vectors, _ = made(tmp_path / "catalog")
    task = leaf_task(catalog)
    fitted = fit_classifier(catalog, task, vectors, ENCODER, 0.9)
    seen = [row for row, path in enumerate(catalog.categories) if path is not None and vectors[row].any()]
    judged = np.concatenate([fitted.fitting.rows, fitted.judging.rows])
    assert sorted(judged) == seen
    assert set(catalog.splits[fitted.judging.rows]) == {"test"}
    assert fitted.judging.held.right[:, 0].mean() > 0.7
    labels = task.labels.copy()
    labels[task.test] = (labels[task.test] + 1) % 5
    again = fit_classifier(catalog, replace(task, labels=labels), vectors, ENCODER, 0.9)
    assert (again.classifier.linear.weights == fitted.classifier.linear.weights).all()
    assert again.classifier.temperature == fitted.classifier.temperature


def test_rows_of_leaves_that_are_too_small_are_wrong_but_for_prefixes(tmp_path: Path) -> None:
    catalog, vectors, _ = made(tmp_path / "catalog")
    fitted = fit_classifier(catalog, leaf_task(catalog), vectors, ENCODER)
    assert fitted.classifier.leaves == tuple(sorted(PATHS))
    said = fitted.fitting
    rare = np.isin(said.rows, [1, 2])
    assert (said.given[rare] == -1).all()
    assert not said.held.right[rare, 0].any()
    shoes = fitted.classifier.tree.names(1).index("Shoes")
    assert (said.held.right[rare, 1] == (said.nodes[rare, 1] == shoes)).all()
    assert "3 rows are of leaves that were not learnt, having fewer than 10" in fitted.remarks[-1]


def test_nothing_is_said_of_a_rare_row_by_what_its_group_taught(tmp_path: Path) -> None:
    """A row of a small leaf lies where its twin alone lies: who learnt from the twin knows its leaf, and is sure."""
    generator = np.random.default_rng(3)
    twins = [
        Row(f"twin {n}", category=("A > x", "A > rare", "B > y", "A > rare")[n % 4], group=n // 2) for n in range(8)
    ]
    others = [
        Row(f"other {n}", category=("A > x", "B > y")[n % 2], group=10 + n, split="train" if n < 100 else "test")
        for n in range(120)
    ]
    catalog = write_catalog(tmp_path / "catalog", [*twins, *others])
    vectors = np.zeros((128, 6), np.float32)
    vectors[np.arange(8), 2 + np.arange(8) // 2] = 1
    vectors[8:, :2] = np.array([[1, 0.9], [0, 1]])[np.arange(120) % 2] + 0.05 * generator.normal(size=(120, 2))
    task = leaf_task(catalog)
    fitted = fit_classifier(catalog, task, vectors, ENCODER)
    said = fitted.fitting
    assert (said.rows == np.arange(108)).all()
    assert (said.given[1:8:2] == -1).all()
    assert said.nodes[:8:2].tolist() == said.nodes[1:8:2].tolist()
    assert said.probabilities[:8:2] == pytest.approx(said.probabilities[1:8:2])


def test_the_promise_holds_on_the_test_split(tmp_path: Path) -> None:
    catalog, vectors, _ = made(tmp_path / "catalog", count=4000, noise=1.6)
    fitted = fit_classifier(catalog, leaf_task(catalog), vectors, ENCODER, 0.9)
    found = fitted.classifier.predict(vectors[fitted.judging.rows], ENCODER.fingerprint)
    level, right = found.level, fitted.judging.held.right
    assert 0.1 < (level == 0).mean() < 1
    assert (level > 0).sum() > 20  # where the leaf is not sure enough, its parent is
    for number in range(2):
        assert right[level == number, number].mean() > 0.86  # within the noise of some hundred rows


def test_an_encoder_that_learnt_the_labels_is_judged_on_validation(tmp_path: Path) -> None:
    catalog, vectors, _ = made(tmp_path / "catalog")
    task = leaf_task(catalog)
    fitted = fit_classifier(catalog, task, vectors, ENCODER, tuned=True)
    assert set(catalog.splits[fitted.fitting.rows]) == {"validation"}
    assert fitted.classifier.told["rows"]["taught"] == len(task.train)
    with pytest.raises(CatalogError, match="its validation split has none"):
        fit_classifier(catalog, replace(task, validation=np.zeros(0, np.int64)), vectors, ENCODER, tuned=True)


def test_what_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    catalog, vectors, _ = made(tmp_path / "catalog", count=200)
    task = leaf_task(catalog)
    with pytest.raises(ConfigError, match="--precision 1 is out of range"):
        fit_classifier(catalog, task, vectors, ENCODER, 1.0)
    with pytest.raises(CatalogError, match="the model sees something of the rows of fewer than two leaves"):
        fit_classifier(catalog, task, np.zeros_like(vectors), ENCODER)
    blind = vectors.copy()
    blind[task.test] = 0
    with pytest.raises(CatalogError, match="the model sees something of no labelled row of the test split"):
        fit_classifier(catalog, task, blind, ENCODER)
    taught = np.flatnonzero(np.isin(task.labels, task.labels[task.test[:1]]))
    elsewhere = replace(
        task,
        train=np.setdiff1d(task.train, taught),
        validation=np.setdiff1d(task.validation, taught),
        test=np.intersect1d(task.test, taught),
    )
    with pytest.raises(CatalogError, match=r"no leaf of the test split of .* has a row to learn from"):
        fit_classifier(catalog, elsewhere, vectors, ENCODER)
    rows = [
        Row(str(n), category="AB"[n % 2], group=int(n > 30), split="test" if n > 30 else "train") for n in range(40)
    ]
    one = write_catalog(tmp_path / "one", rows)
    with pytest.raises(CatalogError, match="no labelled rows to hold out: all are of one group"):
        fit_classifier(one, leaf_task(one), np.eye(40, dtype=np.float32), ENCODER)
