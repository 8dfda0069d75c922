"""Any sequence of changes and searches finds what a dictionary and a plain loop find, by a graph or without one."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from numpy.typing import NDArray

from item_embed.search.index import ProductIndex
from item_embed.search.items import Item
from tests.search.made import expected, graph_soon, one_product
from tests.servers import Server

DIMENSION = 4
# Few directions, so that many vectors are equal and ties decide; the last is that of a product without a photo.
DIRECTIONS = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0.6, 0.8, 0, 0], [0, 0.6, 0.8, 0], [-1, 0, 0, 0], [0, 0, 0, 0]])
IDS = st.sampled_from([f"id {number}" for number in range(30)])
FILTERS = (None, None, "price < 3", 'category = "a" or price is null', 'not category in ("a", "b")')
ITEMS = st.builds(
    Item,
    id=IDS,
    title=st.sampled_from([None, "red mug", "blue mug"]),
    category=st.sampled_from([None, "a", "b"]),
    metadata=st.dictionaries(st.just("price"), st.sampled_from([1, "2", 5, "n/a"])),
    photo=st.sampled_from([None, b"one", b"two"]),
)


class Changing(RuleBasedStateMachine):
    graph: bool

    def out(self) -> str | Path:
        return self.folder / "index"

    @initialize()
    def begin(self) -> None:
        self.patch = pytest.MonkeyPatch()
        if self.graph:
            graph_soon(self.patch, rows=6)
        self.folder = Path(tempfile.mkdtemp())
        self.index = one_product(self.folder, DIMENSION, out=self.out())
        self.index.delete(["first"])
        self.index.upsert([Item("keys", metadata={"price": 1})], self.vectors([0]), "model")
        self.reader = ProductIndex.open(self.index.path)
        self.held: dict[str, tuple[Item, NDArray[np.float32]]] = {
            "keys": (Item("keys", metadata={"price": 1}), self.vectors([0])[0])
        }

    def vectors(self, directions: list[int]) -> NDArray[np.float32]:
        return DIRECTIONS[directions].astype(np.float32)

    @rule(items=st.lists(ITEMS, max_size=8, unique_by=lambda item: item.id), data=st.data())
    def upsert(self, items: list[Item], data: Any) -> None:
        which = data.draw(st.lists(st.integers(0, 5), min_size=len(items), max_size=len(items)))
        changes = self.index.upsert(items, self.vectors(which), "model")
        known = [item.id in self.held for item in items]
        assert (changes.added, changes.changed + changes.unchanged) == (known.count(False), known.count(True))
        self.held |= {item.id: (item, vector) for item, vector in zip(items, self.vectors(which), strict=True)}

    @rule(ids=st.lists(IDS, max_size=8))
    def delete(self, ids: list[str]) -> None:
        gone = set(ids) & self.held.keys()
        assert self.index.delete(ids).removed == len(gone)
        for key in gone:
            del self.held[key]

    @rule(query=st.integers(0, 5), k=st.integers(1, 40), where=st.sampled_from(FILTERS), there=st.booleans())
    def search(self, query: int, k: int, where: str | None, there: bool) -> None:
        index = self.reader if there else self.index
        queries = self.vectors([query, 2])
        found = index.search(queries, k, "model", where)
        for vector, hits in zip(queries, found, strict=True):
            assert [(hit.id, hit.score) for hit in hits] == expected(self.held, vector, k, where)
            assert all(hit.metadata == self.held[hit.id][0].metadata for hit in hits)

    @rule()
    def close_and_open(self) -> None:
        self.index.close()
        self.index = ProductIndex.open(self.index.path)

    @rule()
    def lose_the_graph(self) -> None:
        for snapshot in self.folder.glob("index/snapshot-*"):
            shutil.rmtree(snapshot)

    @invariant()
    def all_is_there(self) -> None:
        assert len(self.index) == len(self.held)
        assert self.reader.items(sorted(self.held)) == {key: self.held[key][0] for key in self.held}

    def teardown(self) -> None:
        self.patch.undo()
        self.index.close()
        self.reader.close()
        shutil.rmtree(self.folder)


class ByGraph(Changing):
    graph = True


class Exactly(Changing):
    graph = False


class InPostgres(Changing):
    graph = False  # which of many equal vectors a graph of pgvector finds is its own affair
    server: Server

    def out(self) -> str | Path:
        return self.server.schema()


ByGraph.TestCase.settings = settings(max_examples=25, stateful_step_count=20)
Exactly.TestCase.settings = settings(max_examples=10, stateful_step_count=20)
TestByGraph = ByGraph.TestCase
TestExactly = Exactly.TestCase


@pytest.mark.slow
def test_in_postgres(server: Server) -> None:
    InPostgres.server = server
    run_state_machine_as_test(InPostgres, settings=settings(max_examples=25, stateful_step_count=20, deadline=None))
