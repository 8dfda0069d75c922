"""The benchmark of duplicates compares methods at one precision, and its made vectors pass for an index."""

import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

from item_embed.embedding.vectors import Vectors, write_vectors
from tests.catalogs import Row, photo, write_catalog

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))  # scripts, not a package
import duplicates
from duplicates import Method, Simple


def test_the_simple_method_finds_the_nearest_of_each_row_by_each_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_BLOCK", 7)
    monkeypatch.setattr(duplicates, "NEIGHBOURS", 3)
    rng = np.random.default_rng(0)
    words = rng.random((30, 12)) * (rng.random((30, 12)) < 0.4)
    words /= np.maximum(np.linalg.norm(words, axis=1, keepdims=True), 1e-9)
    hashes = np.where(rng.random((30, 64)) < 0.5, -1, 1) / 8
    simple = Simple(csr_array(words.astype(np.float32)), hashes.astype(np.float32))
    found = simple.pairs([f"id {n}" for n in range(30)], [1.0, 0.3])
    for weight, pairs in found.items():
        scores = weight * words @ words.T + (1 - weight) * hashes @ hashes.T
        np.fill_diagonal(scores, -1)
        wanted = set()
        for row in range(30):
            nearest = np.argsort(-scores[row])[:3]
            wanted |= {tuple(sorted((row, int(other)))) for other in nearest if scores[row, other] >= 0.3}
        assert set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == wanted
        assert np.allclose(simple.near(np.arange(30), weight)[0, 1:], scores[0, 1:], atol=1e-5)


@pytest.mark.parametrize("wanted", [0.95, 0.8, 0.5])
def test_the_lowest_threshold_of_the_wanted_precision_is_taken(wanted: float) -> None:
    rng = np.random.default_rng(1)
    products = np.repeat(np.arange(100), 2)
    pairs = np.array(list(combinations(range(200), 2)))
    same = products[pairs[:, 0]] == products[pairs[:, 1]]
    scores = rng.normal(np.where(same, 0.8, 0.3), 0.13).clip(0, 1).astype(np.float32)

    best_first = np.argsort(-scores)

    def clusters(threshold: float) -> NDArray[np.int64]:  # every pair that is near enough, the best first
        labels = list(range(200))
        for one, other in pairs[best_first[: np.count_nonzero(scores >= threshold)]].tolist():
            if labels[one] == one and labels[other] == other:
                labels[other] = one
        return np.array(labels)

    def precision(threshold: float) -> float:
        labels = clusters(threshold)
        joined = labels[pairs[:, 0]] == labels[pairs[:, 1]]
        return float(same[joined].mean())

    method = Method("a method", scores, clusters, products)
    place = method.lowest(wanted)
    assert place is not None
    threshold = float(method.thresholds[place])
    assert precision(threshold) >= wanted
    assert precision(threshold - 0.1) < wanted
    right, joined = method.counts(place)
    assert right / joined == precision(threshold)
    assert method.lowest(1.1) is None


def test_the_table_has_both_methods_at_each_precision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(2)
    rows = [
        Row(
            f"id {n}",
            f"{'mug' if n % 4 < 2 else 'jug'} no{n // 2:03}",
            photo((n, 200 - n, 90)),
            product_id=f"p{n // 2}",
        )
        for n in range(60)
    ]
    catalog = write_catalog(tmp_path / "catalog", rows)
    made = np.repeat(rng.standard_normal((30, 16)), 2, axis=0) + 0.1 * rng.standard_normal((60, 16))
    vectors = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    write_vectors(tmp_path / "vectors.parquet", Vectors(catalog.ids, vectors, "model", "m"))
    given = ["quality", "no model", str(catalog.path), "--vectors", str(tmp_path / "vectors.parquet")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["duplicates.py", *given, "--precision", "0.9", "0.5", "--weights", "1", "0.5"])
        duplicates.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "60 listings, 30 products of several, 60 listings"
    assert [line.split("|")[1:3] for line in lines[4:]] == [
        [" model ", " 0.9 "],
        [" model ", " 0.5 "],
        [" TF-IDF alone ", " 0.9 "],
        [" TF-IDF alone ", " 0.5 "],
    ]
    assert " 1.000 [1.000, 1.000] " in lines[4]


def test_made_vectors_are_run_through_the_whole_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    duplicates.measure_speed(tmp_path / "out", [600], 32)
    figures = [cell.strip() for cell in capsys.readouterr().out.splitlines()[2].split("|")[1:-1]]
    assert figures[0] == "600"
    found, there = map(int, figures[5].split(" of "))
    assert 0.95 * there <= found <= there
    assert min(map(float, figures[6:9])) > 0.95
