"""`benchmarks/categories.py`: labels taken away and exchanged, and what is told of them."""

import sys
from pathlib import Path

import numpy as np
import pytest

from item_embed.categories.leaves import leaf_task
from item_embed.embedding.vectors import Vectors, write_vectors
from tests.categories.made import made
from tests.embedders import dummy

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # scripts, not a package
import categories  # noqa: E402


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    catalog, vectors, _ = made(tmp_path / "catalog", count=900, noise=0.4)
    write_vectors(tmp_path / "vectors.parquet", Vectors(catalog.ids, vectors, "dummy", "model"))
    monkeypatch.setattr("categories.Embedder.from_pretrained", lambda path: dummy())
    return ["model", str(catalog.path), "--vectors", str(tmp_path / "vectors.parquet")]


def test_few_labels_are_those_that_are_kept(run: list[str]) -> None:
    told = categories.main([*run, "--per-leaf", "20", "--precision", "0.8"])
    assert told["rows"]["taught"] == 5 * 20
    assert told["rows"]["test"] == 89  # whose labels nobody takes
    assert told["test"]["accuracy"]["value"] > 0.9


def test_exchanged_labels_are_found(run: list[str]) -> None:
    found = categories.main([*run, "--wrong", "0.04"])["wrong"]
    assert found["exchanged"] == 35
    assert found["found"] > 0.8
    assert found["of_suspects_exchanged"] > 0.8
    assert found["of_others_suspected"] < 0.02


def test_half_of_the_exchanged_stay_under_their_parent(tmp_path: Path) -> None:
    catalog, _, _ = made(tmp_path / "catalog", count=900)
    task = leaf_task(catalog)
    labels, wrong, beside = categories.spoilt(catalog, task, 0.1, 0)
    rows = np.flatnonzero(task.labels >= 0)
    changed = [row for row in rows if labels[row] != catalog.categories[row]]
    assert changed == np.flatnonzero(wrong).tolist()
    assert len(changed) == round(0.1 * len(rows))
    parents = [(str(labels[row]).split(" > ")[0], str(catalog.categories[row]).split(" > ")[0]) for row in changed]
    for row, (now, before) in zip(changed, parents, strict=True):
        assert now == before or not beside[row]
    assert 0.3 < beside[changed].mean() <= 0.5
