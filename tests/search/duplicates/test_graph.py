from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from item_embed.errors import VectorError
from item_embed.search.duplicates.graph import Graph, build_graph, plan
from item_embed.search.duplicates.snapshot import Snapshot
from tests.search.duplicates.made import at, groups

NEIGHBOURS, FLOOR = 6, 0.8


def snapshot(keys: list[int], vectors: NDArray[np.float32]) -> Snapshot:
    """Listings of which each has a vector of its own, of an endless list of vectors."""
    digests = [f"{key:016}".encode() for key in keys]
    return Snapshot(
        [f"id {key}" for key in keys], np.arange(len(keys)), np.arange(len(keys)), digests, vectors.shape[1]
    )


def built(keys: list[int], vectors: NDArray[np.float32], work: Path, old: Graph | None = None) -> tuple[Graph, int]:
    """The graph of the vectors with these keys."""
    taken = snapshot(keys, vectors)
    return build_graph(taken, vectors[keys], work, neighbours=NEIGHBOURS, floor=FLOOR, old=old)


def named(graph: Graph) -> dict[tuple[str, str], float]:
    """The pairs by ids."""
    ids = graph.snapshot.ids
    ends = zip(graph.pairs.first, graph.pairs.second, graph.pairs.cosine.tolist(), strict=True)
    return {(min(ids[a], ids[b]), max(ids[a], ids[b])): cosine for a, b, cosine in ends}


@given(st.lists(st.sets(st.integers(0, 59), min_size=1), min_size=2, max_size=5), st.randoms())
@settings(max_examples=30)
def test_a_graph_brought_up_to_date_is_one_made_from_nothing(
    tmp_path_factory: pytest.TempPathFactory, stages: list[set[int]], order: "object"
) -> None:
    vectors = groups(15, 4, spread=0.3)  # no product has as many listings as neighbours are looked for
    graph: Graph | None = None
    for keys in stages:
        listed = sorted(keys)
        order.shuffle(listed)  # type: ignore[attr-defined]
        known = set() if graph is None else set(graph.snapshot.ids)
        graph, searched = built(listed, vectors, tmp_path_factory.mktemp("update"), graph)
        anew, _ = built(listed, vectors, tmp_path_factory.mktemp("anew"))
        assert named(graph) == named(anew)
        assert searched == len({f"id {key}" for key in keys} - known)


def test_one_that_had_all_its_neighbours_and_lost_one_is_searched_again(tmp_path: Path) -> None:
    vectors = at(*range(10))
    graph, _ = built(list(range(10)), vectors, tmp_path / "a")
    assert graph.full.all()  # each has six neighbours, and there are nine
    less = list(range(9))
    updated, searched = built(less, vectors, tmp_path / "b", graph)
    anew, _ = built(less, vectors, tmp_path / "c")
    assert 0 < searched < 9
    assert named(anew).items() <= named(updated).items()


def test_a_graph_is_read_as_it_was_written(tmp_path: Path) -> None:
    graph, _ = built([3, 1, 2], at(0, 10, 20, 90), tmp_path / "work")
    graph.write(tmp_path / "graph")
    read = Graph.read(tmp_path / "graph")
    assert named(read) == named(graph)
    assert read.snapshot.content == graph.snapshot.content
    assert (read.full.tolist(), read.neighbours, read.floor) == (graph.full.tolist(), NEIGHBOURS, FLOOR)


@pytest.mark.parametrize("file", ["listings", "vectors", "pairs"])
@pytest.mark.parametrize("content", [None, b"", b"garbage"])
def test_a_damaged_graph_is_refused(tmp_path: Path, file: str, content: bytes | None) -> None:
    built([0, 1], at(0, 10), tmp_path / "work")[0].write(tmp_path / "out" / "graph")
    place = tmp_path / "out" / "graph" / f"{file}.parquet"
    place.unlink() if content is None else place.write_bytes(content)
    with pytest.raises(VectorError, match="damaged or incomplete; remove"):
        Graph.read(tmp_path / "out" / "graph")


def test_other_settings_search_everything(tmp_path: Path) -> None:
    vectors = at(0, 10, 20)
    graph, _ = built([0, 1, 2], vectors, tmp_path)
    taken = snapshot([0, 1, 2], vectors)
    assert len(plan(taken, graph, NEIGHBOURS, FLOOR).asked) == 0
    assert len(plan(taken, graph, NEIGHBOURS + 1, FLOOR).asked) == 3
    assert len(plan(taken, graph, NEIGHBOURS, 0.7).asked) == 3
