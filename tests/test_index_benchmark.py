"""The benchmark of indexes asks the same of all, and counts right."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))  # scripts, not a package
import index
from index import METHODS, SHARES, Bench, K


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "QUERIES", 60)
        return Bench.drawn(tmp_path_factory.mktemp("bench") / "drawn", 4000, 16)


def test_recall_is_counted_against_all_products_that_pass(bench: Bench) -> None:
    for name, share in SHARES.items():
        rows = bench.passing(share)
        right = rows[np.argsort(-(bench.queries[:20] @ bench.vectors[rows].T), axis=1)[:, :K]]
        assert bench.recall(name, right) == 1
        assert bench.recall(name, np.where(np.arange(K) < 5, right, -1)) == 0.5


@pytest.mark.parametrize("name", ["ProductIndex", "faiss"])
def test_methods_find_what_is_there(bench: Bench, name: str) -> None:
    row = METHODS[name](bench, 0.99)
    assert row["all"]["recall"] > 0.98
    assert row["disk"] > bench.vectors.nbytes
    if name == "ProductIndex":
        assert [row[share]["recall"] for share in ("10 %", "0.5 %")] == [1, 1]
