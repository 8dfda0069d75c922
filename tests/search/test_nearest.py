from pathlib import Path

import numpy as np
import pytest

from item_embed.hashing import text_hash
from item_embed.search.index import ProductIndex
from tests.search.made import add, graph_soon, one_product


def state(index: ProductIndex) -> tuple[int, int, int, int] | None:
    """Products in the graph, those gone from it, those beside it, and those in the log; None without a graph."""
    graph, held = index._nearest._snapshot, index._nearest._held
    log = int(index._store._connection.execute("SELECT count(*) FROM removed").fetchone()[0])
    return None if graph is None else (len(graph), graph.dead, len(held), log)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProductIndex:
    """A graph of 51 equal products, and ten more beside it."""
    graph_soon(monkeypatch, rows=50)
    index = one_product(tmp_path)
    add(index, np.repeat(np.eye(1, 8, dtype=np.float32), 50, axis=0), "graph")
    add(index, np.repeat(np.eye(1, 8, dtype=np.float32), 10, axis=0), "held")
    assert state(index) == (51, 0, 10, 0)
    return index


def test_equal_scores_go_by_tie_key_wherever_they_are(index: ProductIndex) -> None:
    ids = ["first", *(f"graph {n}" for n in range(50)), *(f"held {n}" for n in range(10))]
    hits = index.search(np.eye(1, 8, dtype=np.float32), 61, "model")[0]
    assert [hit.id for hit in hits] == sorted(ids, key=text_hash)


def test_a_few_more_join_the_graph_and_it_is_made_anew_when_many_are_gone(index: ProductIndex) -> None:
    index.delete(["graph 0", "held 0"])
    add(index, np.eye(3, 8, dtype=np.float32)[1:], "more")
    assert state(index) == (61, 1, 0, 2)
    index.delete([f"graph {n}" for n in range(1, 12)])
    assert state(index) == (50, 12, 0, 13)
    add(index, np.eye(4, 8, dtype=np.float32)[1:], "last")
    assert state(index) == (50, 12, 3, 13)
    index.delete(["graph 12"])  # more than a fifth
    assert state(index) == (52, 0, 0, 0)
    index.delete([f"graph {n}" for n in range(13, 25)])
    assert state(index) is None  # forty are searched exactly
    assert len(index) == 40
    assert not list(index.path.glob("snapshot-*"))
