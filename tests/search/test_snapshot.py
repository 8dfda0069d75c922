import shutil
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from item_embed.search import exact, snapshot
from item_embed.search.snapshot import GraphBuilder, Snapshot
from tests.search.made import unit

COUNT = 3000
ROWS = np.arange(COUNT, dtype=np.int64) * 2 + 1
TIES = exact.tie_keys([str(row) for row in ROWS])


@pytest.fixture(scope="module")
def vectors() -> NDArray[np.float32]:
    """Clusters of twenty, and every tenth vector three times."""
    rng = np.random.default_rng(0)
    near = np.repeat(unit(rng, COUNT // 20, 16), 20, axis=0) + 0.3 * unit(rng, COUNT, 16)
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    near[1::10] = near[2::10] = near[::10]
    return np.asarray(near, np.float32)


@pytest.fixture(scope="module")
def saved(vectors: NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("snapshots")
    builder = GraphBuilder(16)
    builder.add(ROWS[:2000], TIES[:2000], vectors[:2000])
    (folder / "half").mkdir()
    builder.save(folder / "half")
    grown = GraphBuilder.of(folder / "half")
    assert grown.last_row == ROWS[1999]
    grown.add(ROWS[2000:], TIES[2000:], vectors[2000:])
    (folder / "whole").mkdir()
    grown.save(folder / "whole")
    return folder / "whole"


def recall(graph: Snapshot, vectors: NDArray[np.float32], k: int, among: NDArray[np.int64] | None = None) -> float:
    places = np.arange(COUNT) if among is None else np.flatnonzero(np.isin(ROWS, among))
    right, cosines = exact.search(vectors[::50], vectors[places], k, TIES[places])
    found = graph.search(vectors[::50], k, None if among is None else graph.places(among))
    for rows, scores, wanted, best in zip(found.rows, found.cosines, ROWS[places][right], cosines, strict=True):
        if set(rows) == set(wanted):  # the same rows are in the same order, with the same scores
            assert rows.tolist() == wanted.tolist()
            assert scores.tolist() == best.tolist()
    assert np.isin(found.rows, ROWS[places]).all()
    return float(np.mean([np.isin(w, f).mean() for w, f in zip(ROWS[places][right], found.rows, strict=True)]))


@pytest.mark.parametrize("graph_always", [True, False])
@pytest.mark.parametrize("share", [None, 0.9, 0.3, 0.05])
def test_nearly_all_is_found_with_exact_scores_in_exact_order(
    saved: Path, vectors: NDArray[np.float32], share: float | None, graph_always: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if graph_always:
        monkeypatch.setattr(snapshot, "_COST", 0)
    graph = Snapshot(saved)
    assert (len(graph), graph.last_row) == (COUNT, ROWS[-1])
    rng = np.random.default_rng(1)
    among = None if share is None else np.sort(rng.permutation(ROWS)[: int(share * COUNT)])
    assert recall(graph, vectors, 10, among) > 0.99


def test_a_graph_is_asked_as_broadly_as_it_needs(
    vectors: NDArray[np.float32], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = GraphBuilder(16)
    builder.add(ROWS, TIES, vectors)
    enough = builder.breadth()
    monkeypatch.setattr(snapshot, "_BREADTHS", (1, 2, enough, 512))
    assert builder.breadth() == enough > 2  # with fewer candidates it finds less
    monkeypatch.setattr(snapshot, "_WANTED", 1.1)
    assert builder.breadth() == 512
    monkeypatch.setattr(snapshot, "_BREADTHS", (77,))
    builder.save(tmp_path)
    asked: list[int] = []
    by_graph = Snapshot._by_graph

    def noted(self: Snapshot, queries: Any, k: int, among: Any, breadth: int) -> Any:
        asked.append(breadth)
        return by_graph(self, queries, k, among, breadth)

    monkeypatch.setattr(Snapshot, "_by_graph", noted)
    monkeypatch.setattr(snapshot, "_COST", 0)
    graph = Snapshot(tmp_path)
    graph.search(vectors[:1], 10)
    graph.search(vectors[:1], 50)
    graph.search(vectors[:1], 10, graph.places(ROWS[::2]))
    file = str(tmp_path / "graph.faiss")
    unmeasured = faiss.read_index(file)
    unmeasured.hnsw.efSearch = faiss.IndexHNSWFlat(1, 2).hnsw.efSearch  # as in graphs that were made before
    faiss.write_index(unmeasured, file)
    Snapshot(tmp_path).search(vectors[:1], 10)
    assert asked == [77, 100, 4 * 77, 128]


def test_a_graph_is_not_asked_for_the_neighbours_of_nothing(vectors: NDArray[np.float32]) -> None:
    """Products of which the model saw nothing have the vector zero, and what is near them is a matter of chance."""
    builder, empty = GraphBuilder(16), GraphBuilder(16)
    mixed = vectors.copy()
    mixed[::2] = 0
    builder.add(ROWS, TIES, mixed)
    assert (np.linalg.norm(snapshot._like(mixed), axis=1) > 0.99).all()
    assert ((snapshot._like(mixed) @ mixed.T).max(axis=1) > 0.7).all()
    assert builder.breadth() in snapshot._BREADTHS
    empty.add(ROWS[:20], TIES[:20], np.zeros((20, 16), np.float32))
    assert empty.breadth() == snapshot._BREADTHS[0]


def test_few_rows_are_searched_exactly(
    saved: Path, vectors: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Snapshot, "_by_graph", None)
    assert recall(Snapshot(saved), vectors, 10, ROWS[::200]) == 1
    with pytest.raises(TypeError):
        Snapshot(saved).search(vectors[:1], 10)


def test_rows_that_were_dropped_are_found_no_more(
    saved: Path, vectors: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "_COST", 0)
    graph = Snapshot(saved)
    gone = ROWS[::3]
    graph.drop(np.append(gone, 10**9))
    graph.drop(gone[:10])
    assert (len(graph), graph.dead) == (COUNT - len(gone), len(gone))
    found = graph.search(vectors[:50], 10)
    assert not np.isin(found.rows, gone).any()
    assert (found.rows > 0).all()
    assert not np.isin(graph.search(vectors[:50], 10, graph.places(ROWS[:100])).rows, gone).any()


def test_what_the_graph_does_not_reach_is_found_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand equal vectors know only each other: from them a graph finds no way to the others."""
    monkeypatch.setattr(snapshot, "_COST", 0)
    rows = np.arange(1, 1101, dtype=np.int64)
    vectors = np.concatenate(
        [np.repeat(np.eye(1, 16, dtype=np.float32), 1000, axis=0), unit(np.random.default_rng(0), 100, 16)]
    )
    builder = GraphBuilder(16)
    builder.add(rows, rows.astype(np.uint64), vectors)
    builder.save(tmp_path)
    graph = Snapshot(tmp_path)
    found = graph.search(vectors[:1], 90, graph.places(rows[1000:]))
    right, _ = exact.search(vectors[:1], vectors[1000:], 90, rows[1000:].astype(np.uint64))
    assert found.rows.tolist() == (right + 1001).tolist()


def test_files_that_disagree_are_refused(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved, tmp_path / "copy")
    np.save(tmp_path / "copy/rows.npy", ROWS[:-1])
    with pytest.raises(ValueError, match="disagree"):
        Snapshot(tmp_path / "copy")
