from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from item_embed.hashing import text_hash
from item_embed.search.conditions import Condition
from item_embed.search.index import ProductIndex
from item_embed.search.store import Store
from tests.search.made import add, embedded, folder_of, graph_soon, one_product


def state(index: ProductIndex) -> tuple[int, int, int, int] | None:
    """Products in the graph, those gone from it, those beside it, and those in the log; None without a graph."""
    store, nearest = embedded(index)
    graph, held = nearest._snapshot, nearest._held
    log = int(store._connection.execute("SELECT count(*) FROM removed").fetchone()[0])
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
    assert not list(folder_of(index).glob("snapshot-*"))


def test_the_rows_of_a_filter_are_read_once_until_something_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = one_product(tmp_path)
    store, nearest = embedded(index)
    read: list[str] = []

    def noted(where: Condition) -> NDArray[np.int64]:
        read.append(where.sql)
        return Store.rows_where(store, where)

    monkeypatch.setattr(store, "rows_where", noted)
    query = np.eye(1, 8, dtype=np.float32)

    def count(where: str) -> int:
        return len(index.search(query, 99, "model", where)[0])

    assert [count('id = "first"'), count('id = "first"'), count("id is not null")] == [1, 1, 1]
    assert len(read) == 2
    with ProductIndex.open(folder_of(index)) as other:
        add(other, query)
    assert [count("id is not null"), count('id = "first"')] == [2, 1]
    assert len(read) == 4
    for number in range(100):
        count(f'id = "{number}"')
    assert len(nearest._passed) == 16
    assert count("id is not null") == 2
