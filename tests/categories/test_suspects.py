import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from item_embed.catalog.store import Catalog
from item_embed.categories.fitting import Fitted, fit_classifier
from item_embed.categories.leaves import leaf_task
from item_embed.categories.suspects import Labels, find_suspects
from tests.categories.made import ENCODER, made


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalog, np.ndarray, Fitted, Labels]:
    catalog, vectors, wrong = made(tmp_path_factory.mktemp("wrong") / "catalog", count=1200, noise=0.4, wrong=0.05)
    fitted = fit_classifier(catalog, leaf_task(catalog), vectors, ENCODER)
    return catalog, wrong, fitted, find_suspects(fitted)


def test_wrong_labels_are_found_and_right_ones_left_alone(
    found: tuple[Catalog, np.ndarray, Fitted, Labels],
) -> None:
    _, wrong, _, labels = found
    suspected = labels.rows[labels.suspected]
    known = labels.rows[labels.given >= 0]
    assert wrong[known].sum() > 40
    assert wrong[suspected].mean() > 0.8
    assert np.isin(known[wrong[known]], suspected).mean() > 0.8
    first = labels.rows[labels.suspects[:20]]
    assert wrong[first].mean() >= 0.95


def test_suspects_are_those_of_plain_loops(found: tuple[Catalog, np.ndarray, Fitted, Labels]) -> None:
    catalog, _, fitted, labels = found
    probabilities = {
        int(row): likelihood
        for part in (fitted.fitting, fitted.judging)
        for row, likelihood in zip(part.rows, part.probabilities, strict=True)
    }
    leaves = list(fitted.classifier.leaves)
    usual = {
        leaf: np.mean([p[n] for row, p in probabilities.items() if catalog.categories[row] == leaf])
        for n, leaf in enumerate(leaves)
    }
    margins = {}
    for row, p in probabilities.items():
        given, best = catalog.categories[row], leaves[int(p.argmax())]
        if given in leaves and given != best and p.max() >= usual[best]:
            margins[row] = p.max() - p[leaves.index(given)]
    assert labels.rows[labels.suspects].tolist() == sorted(margins, key=lambda row: (-margins[row], row))


def test_both_files_say_it(tmp_path: Path, found: tuple[Catalog, np.ndarray, Fitted, Labels]) -> None:
    catalog, _, _, labels = found
    labels.write(tmp_path, catalog)
    table = pq.read_table(tmp_path / "labels.parquet")
    assert table["id"].to_pylist() == [catalog.ids[row] for row in labels.rows]
    assert table["category"].to_pylist() == [catalog.categories[row] for row in labels.rows]
    assert (np.array(table["suspected"]) == labels.suspected).all()
    rare = [row["category_probability"] for row in table.to_pylist() if row["category"] == "Shoes > Rare"]
    assert rare == [None] * 3
    with (tmp_path / "suspects.csv").open(newline="", encoding="utf8") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [catalog.ids[row] for row in labels.rows[labels.suspects]]
    assert all(row["title"] == "" or row["title"].startswith("'=") for row in rows)  # no title is a formula
    assert all(row["category"] != row["predicted"] for row in rows)
