from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from item_embed.catalog.store import Catalog
from item_embed.categories.leaves import leaf_task
from item_embed.errors import CatalogError
from tests.catalogs import Row, write_catalog

SPLITS = ("train", "train", "train", "validation", "test")


def labelled(tmp_path: Path, categories: Sequence[str | None], splits: Sequence[str] | None = None) -> Catalog:
    chosen = splits or [SPLITS[n % 5] for n in range(len(categories))]
    rows = [Row(str(n), title="mug", category=c, split=chosen[n]) for n, c in enumerate(categories)]
    return write_catalog(tmp_path / "catalog", rows)


def test_a_leaf_is_a_whole_path_with_ten_rows(tmp_path: Path) -> None:
    catalog = labelled(tmp_path, ["A > X"] * 40 + ["B > X"] * 40 + ["A"] * 9 + ["C"] + [None] * 2)
    task = leaf_task(catalog)
    assert task.leaves == ("A > X", "B > X")
    assert (task.labels == [0] * 40 + [1] * 40 + [-1] * 12).all()
    assert [len(rows) for rows in (task.train, task.validation, task.test)] == [48, 16, 16]
    assert task.remarks == (
        "2 rows without a category are left out.",
        "10 rows of 2 leaves with fewer than 10 rows are left out.",
        "With 2 leaves, top-5 accuracy says nothing.",
    )
    assert leaf_task(catalog, least=9).leaves == ("A", "A > X", "B > X")


def test_draws_are_nested_and_depend_on_the_seed_only(tmp_path: Path) -> None:
    task = leaf_task(labelled(tmp_path, ["A"] * 50 + ["B"] * 100 + ["C"] * 10))
    one, five, many = task.drawn(1), task.drawn(5), task.drawn(1000)
    assert set(one) < set(five) < set(many)
    assert np.bincount(task.labels[one]).tolist() == [1, 1, 1]
    assert np.bincount(task.labels[task.drawn(10)]).tolist() == [10, 10, 6]  # C has six in training
    assert many.tolist() == task.train.tolist()
    assert task.drawn(5).tolist() == five.tolist()
    assert task.drawn(5, seed=1).tolist() != five.tolist()


def test_what_weakens_the_figures_is_remarked(tmp_path: Path) -> None:
    splits = ["train"] * 25 + ["test"] * 4
    task = leaf_task(labelled(tmp_path, ["A"] * 10 + ["B"] * 15 + ["A"] * 2 + ["B"] * 2, splits))
    assert task.remarks == (
        "The validation split has no labelled row: settings are the defaults, and what needs it is left out: "
        "temperature and coverage.",
        "With 2 leaves, top-5 accuracy says nothing.",
        "Only 4 rows in the test split: the figures say little.",
    )


def test_rows_of_a_leaf_without_training_rows_stay_in_the_test(tmp_path: Path) -> None:
    splits = ["train"] * 20 + ["validation"] * 9 + ["test"]
    task = leaf_task(labelled(tmp_path, ["A"] * 10 + ["B"] * 10 + ["C"] * 10, splits))
    assert len(task.test) == 1
    remark = "1 row of the test split is of leaves without a training row: counted, and never right."
    assert remark in task.remarks


@pytest.mark.parametrize(
    ("categories", "splits", "message"),
    [
        ([None] * 30, None, "has no categories; prepare the feed again and name their column with --category-column"),
        (["A"] * 30, None, "has only one leaf with at least 10 rows, where it takes two"),
        (["A", "B"] * 9, None, "has no leaf with at least 10 rows"),
        (["A", "B"] * 10, ["train"] * 20, "the train split of .* has 2 and its test split 0, too few"),
        (["A", "B"] * 10, ["test"] * 20, "the train split of .* has 0 and its test split 2, too few"),
        (["A"] * 10 + ["B"] * 10, ["train"] * 10 + ["test"] * 10, "has 1 and its test split 1, too few"),
    ],
)
def test_too_few_labels_are_one_sentence(
    tmp_path: Path, categories: list[str | None], splits: list[str] | None, message: str
) -> None:
    with pytest.raises(CatalogError, match=message):
        leaf_task(labelled(tmp_path, categories, splits))
