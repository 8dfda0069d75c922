"""The benchmark of indexes asks the same of all, and counts right."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))  # scripts, not a package
import clustered
from clustered import SHARES, Bench, K
from index import measure, print_table
from peers import PEERS, Asked


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clustered, "QUERIES", 60)
        return Bench.drawn(tmp_path_factory.mktemp("bench") / "drawn", 4000, 16)


def test_recall_is_counted_against_all_products_that_pass(bench: Bench) -> None:
    for name, share in SHARES.items():
        rows = bench.passing(share)
        right = rows[np.argsort(-(bench.queries[:20] @ bench.vectors[rows].T), axis=1)[:, :K]]
        assert bench.recall(name, right) == 1
        assert bench.recall(name, np.where(np.arange(K) < 5, right, -1)) == 0.5


@pytest.mark.parametrize("name", ["ProductIndex", "faiss"])
def test_methods_find_what_is_there(bench: Bench, name: str) -> None:
    asked = Asked(bench, PEERS[name], None)
    assert asked.build()["disk"] > bench.vectors.nbytes
    asked.open()
    assert bench.recall("all", asked.found("all", 128)) > 0.98
    passing = bench.passing(SHARES["10 %"])
    assert np.isin(asked.found("10 %", 512), [-1, *passing]).all()
    if name == "ProductIndex":
        assert bench.recall("0.5 %", asked.found("0.5 %", 0)) == 1
        asked.close()  # changes 40 of them
        assert len(asked.peer.index) == 4000  # type: ignore[attr-defined]


@pytest.mark.slow
def test_all_are_asked_in_turns_at_equal_recall(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["ProductIndex", "faiss", "ProductIndex in PostgreSQL", "pgvector HNSW", "pgvector IVFFlat"]
    rows = measure(bench, names)
    for name in names:
        assert rows[name]["all"]["recall"] > 0.99, name
        assert rows[name]["0.5 %"]["recall"] > 0.8
    assert rows["faiss"]["all"]["breadth"] < 512
    assert {"update", "memory", "peak", "disk", "build"} <= rows["ProductIndex"].keys()
    print_table(bench, rows)
    said = capsys.readouterr().out
    assert said.count("|\n") == len(names) + 2
    assert "ProductIndex one by one, median" in said
    assert all(rows[name]["all"]["cpu"] > 0 for name in names)
