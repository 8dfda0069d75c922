"""Kill -9 at any point of many changes: what was acknowledged is there, and the index opens and searches."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from item_embed.embedding.vectors import Vectors, write_vectors
from item_embed.errors import VectorError
from item_embed.search.index import ProductIndex
from item_embed.search.items import Item
from tests.catalogs import Row, write_catalog
from tests.search.conftest import Place
from tests.search.made import expected, one_product, unit

# Upserts batches of seven for ever and says what it did after each: + what is there now, - what is not. Of every batch
# but the first it deletes one product of the batch before.
_WRITER = """
import sys
import numpy as np
from item_embed.search import nearest, snapshot
from item_embed.search.index import ProductIndex
from item_embed.search.items import Item
from tests.search.made import unit
nearest.EXACT_ROWS, snapshot._COST = 12, 0
index = ProductIndex.open(sys.argv[1])
batch = int(sys.argv[2])
while True:
    ids = [f"{batch} {n}" for n in range(7)]
    index.upsert([Item(key, key, photo=key.encode()) for key in ids], unit(np.random.default_rng(batch), 7), "model")
    print("+", batch, flush=True)
    index.delete([f"{batch - 1} 3"])
    print("-", batch - 1, flush=True)
    batch += 1
"""


@pytest.mark.slow
def test_kill_9_at_twenty_points(tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("item_embed.search.nearest.EXACT_ROWS", 12)
    monkeypatch.setattr("item_embed.search.snapshot._COST", 0)
    path = one_product(tmp_path, out=place("index")).path
    draw = random.Random(0)
    there: set[int] = set()
    gone: set[int] = set()
    for _ in range(20):
        said = _killed(path, max(there, default=-1) + 1, draw.uniform(0, 0.5))
        there |= {int(batch) for sign, batch in said if sign == "+"}
        gone |= {int(batch) for sign, batch in said if sign == "-"}
        _check(path, there, gone)
    assert len(there) > 40


_BUILDER = """
import sys, time
from item_embed.catalog.store import Catalog
from item_embed.embedding.vectors import read_vectors
from item_embed.search.index import ProductIndex
def halfway(done, total):
    print("halfway", flush=True)
    time.sleep(60)
ProductIndex.build(read_vectors(sys.argv[1]), Catalog(sys.argv[2]), sys.argv[3], halfway)
"""


@pytest.mark.slow
def test_a_build_that_was_killed_is_no_index_and_is_begun_anew(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "catalog", [Row(f"id {n}", f"mug {n}") for n in range(30)])
    vectors = Vectors(catalog.ids, unit(np.random.default_rng(0), 30), "model", "m")
    write_vectors(tmp_path / "vectors.parquet", vectors)
    out = tmp_path / "index"
    with _started(_BUILDER, tmp_path / "vectors.parquet", catalog.path, out) as builder:
        assert builder.stdout is not None
        assert builder.stdout.readline() == "halfway\n"
        os.kill(builder.pid, signal.SIGKILL)
    with pytest.raises(VectorError, match="is not an index"):
        ProductIndex.open(out)
    assert len(ProductIndex.build(vectors, catalog, out)) == 30
    assert not list(tmp_path.glob(".*"))


def _started(code: str, *arguments: object) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "src")])}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def _killed(path: Path | str, batch: int, seconds: float) -> list[list[str]]:
    """What a writer says that is killed so long after its first word."""
    with _started(_WRITER, path, batch) as writer:
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(seconds)
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.stdout.read()
    return [line.split() for line in (first + rest).splitlines(keepends=True) if line.endswith("\n")]


def _check(path: Path | str, there: set[int], gone: set[int]) -> None:
    index = ProductIndex.open(path)
    held: dict[str, tuple[Item, NDArray[np.float32]]] = {}
    for ids, vectors in index.scan():
        items = index.items(ids)
        assert items.keys() == set(ids)
        held |= {key: (items[key], vector) for key, vector in zip(ids, vectors, strict=True)}
    for batch in there:
        made = unit(np.random.default_rng(batch), 7)
        for number in range(7):
            key = f"{batch} {number}"
            if number == 3 and batch in gone:
                assert key not in held
            elif number != 3 or batch + 1 not in there:  # its deletion may have been done, but not told
                assert held[key][0] == Item(key, key, photo=key.encode())
                assert np.array_equal(held[key][1], made[number])
    query = unit(np.random.default_rng(len(there)), 1)
    found = [(hit.id, hit.score) for hit in index.search(query, 10, "model")[0]]
    assert found == expected(held, query[0], 10)
    index.delete(["first"])  # whatever was left half done can be gone on with
    index.upsert([Item("first")], query, "model")
    index.close()
