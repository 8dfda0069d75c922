"""The benchmark of indexes asks the same of all, and counts right."""

import json
import shutil
import sys
import tempfile
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))  # scripts, not a package
import clustered
import index
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
        assert asked.update() > 0  # of 40 of them, in a copy
        asked.open()
        assert bench.recall("all", asked.found("all", 0)) == 1
        assert [place.name for place in bench.folder.glob("Ours*")] == ["Ours"]


def test_what_an_earlier_run_has_built_is_asked_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forking = get_context("forkserver")  # five processes, which would each import all
    forking.set_forkserver_preload(["index"])
    monkeypatch.setattr(index, "get_context", lambda _: forking)
    first = measure(bench, ["faiss"], update=False)
    built = bench.folder / "Faiss"
    made = built.stat().st_mtime_ns
    again = measure(bench, ["ProductIndex", "faiss"], update=False)
    assert built.stat().st_mtime_ns == made
    assert again["faiss"]["build"] == first["faiss"]["build"]
    assert "update" not in again["ProductIndex"]
    assert json.loads((bench.folder / "measured.json").read_text()) == again
    assert "faiss was built by an earlier run" in capsys.readouterr().err


@pytest.mark.slow
def test_postgres_keeps_what_was_built(bench: Bench) -> None:
    kept = Path(tempfile.mkdtemp(prefix="pg"))
    try:
        first = measure(bench, ["pgvector IVFFlat", "ProductIndex in PostgreSQL"], kept)
        assert first["ProductIndex in PostgreSQL"]["update"] > 0
        again = measure(bench, ["pgvector IVFFlat", "ProductIndex in PostgreSQL"], kept, update=False)
        assert again["pgvector IVFFlat"]["build"] == first["pgvector IVFFlat"]["build"]
        # It was changed by the update, and so is built anew.
        assert again["ProductIndex in PostgreSQL"]["all"]["recall"] > 0.99
        assert not (kept / "data/postmaster.pid").exists()
    finally:
        shutil.rmtree(kept)


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
