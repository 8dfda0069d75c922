"""A snapshot of an index's vectors as an HNSW graph (Malkov and Yashunin, 2018) of faiss: derived, never the truth.

FOLDER/graph.faiss    the graph, how broadly it is to be asked, and the vectors, memory-mapped when opened
FOLDER/rows.npy       (n,) int64, the row of every vector in ascending order
FOLDER/ties.npy       (n,) uint64, the keys that order equal scores
"""

from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from item_embed.search import exact
from item_embed.search.held import Nearest, places_of

#: Neighbours of a vector in the graph, M of the paper, and candidates kept while it is made, efConstruction.
NEIGHBOURS, BUILD_BREADTH = 32, 128

_BREADTH = 128  # efSearch, candidates that a query keeps, in graphs that do not say
_UNSAID = 16  # faiss's own, which a graph has that was written before it was measured
_BREADTHS = (32, 48, 64, 96, 128, 192, 256)  # that a graph is tried with, until it finds
_WANTED = 0.999  # of the nearest: products that were left out of a graph then find .99 or more, being harder to find
_ASKED, _NEAREST = 256, 10  # queries that it is tried by, and how many nearest
_NOISE = 0.5  # by which these differ from vectors of the graph: a cosine of .89
_SPARE = 16  # candidates scored anew beside the k, so that faiss's rounding does not decide
_COST = 40  # vectors scored exactly, one after the other, in the time that a candidate takes, all over the memory


class Snapshot:
    """A graph that was saved, open for searching. Rows can be dropped: they stay in it, and are found no more.

    Args:
        folder: what `GraphBuilder.save` wrote.

    Raises:
        OSError, ValueError, RuntimeError: when the folder is incomplete or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._graph = faiss.read_index(str(folder / "graph.faiss"), faiss.IO_FLAG_MMAP_IFC)
        self._rows: NDArray[np.int64] = np.load(folder / "rows.npy", allow_pickle=False)
        self._ties: NDArray[np.uint64] = np.load(folder / "ties.npy", allow_pickle=False)
        if not len(self._rows) == len(self._ties) == self._graph.ntotal:
            raise ValueError(f"the files of {folder} disagree")
        self._vectors = _stored(self._graph)
        said = int(self._graph.hnsw.efSearch)
        self._breadth = _BREADTH if said == _UNSAID else said
        self._live = np.ones(len(self._rows), np.bool_)
        self.dead = 0

    def __len__(self) -> int:
        return len(self._rows) - self.dead

    @property
    def last_row(self) -> int:
        """The highest row that the graph knows."""
        return int(self._rows[-1])

    def drop(self, rows: NDArray[np.int64]) -> None:
        """Let some rows be found no more; those that are not here are left alone."""
        places = places_of(self._rows, rows)
        self.dead += int(self._live[places].sum())
        self._live[places] = False

    def places(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where those of some rows lie, ascending, that may be found; valid until rows are dropped."""
        places = places_of(self._rows, rows)
        return places[self._live[places]]

    def search(self, queries: NDArray[np.float32], k: int, among: NDArray[np.int64] | None = None) -> Nearest:
        """The k rows of every query that the graph finds, scored and ordered as by `exact.search`.

        Few rows are searched exactly. A graph that may give only a share s of its rows has to keep more candidates:
        1 / s times as many to give as many, and as many times more since its ways lead through rows that it may not
        give. So it costs more than looking at each of n where n < candidates / s² * cost of one.

        Args:
            queries: (Q, d) unit vectors.
            k: how many rows each query gets.
            among: what may be found, from `places`; by default all.
        """
        count = len(self) if among is None else len(among)
        breadth = max(self._breadth, 2 * k) * len(self._rows) ** 2 // max(1, count) ** 2
        if count <= k or count < breadth * _COST:
            found, scores = self._exactly(queries, k, among)
        else:
            found, scores = self._by_graph(queries, k, among, breadth)
        return Nearest.of(found, scores, self._rows, self._ties)

    def _by_graph(
        self, queries: NDArray[np.float32], k: int, among: NDArray[np.int64] | None, breadth: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        parameters = faiss.SearchParametersHNSW(efSearch=breadth)
        if among is not None or self.dead:
            allowed = self._live
            if among is not None:
                allowed = np.zeros(len(self._rows), np.bool_)
                allowed[among] = True
            selector = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
            parameters = faiss.SearchParametersHNSW(efSearch=breadth, sel=selector)
        _, candidates = self._graph.search(np.ascontiguousarray(queries), k + _SPARE, params=parameters)
        found, scores = exact.rank(queries, self._vectors, candidates, k, self._ties)
        short = np.flatnonzero(found[:, -1] < 0)  # rows that a graph does not reach: duplicates know only each other
        if len(short):
            found[short], scores[short] = self._exactly(queries[short], k, among)
        return found, scores

    def _exactly(
        self, queries: NDArray[np.float32], k: int, among: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        places = np.flatnonzero(self._live) if among is None else among
        return exact.search_among(queries, self._vectors, places, k, self._ties)


class GraphBuilder:
    """A graph in memory that vectors are added to, to be saved as a snapshot.

    Args:
        dimension: how many numbers a vector has.
    """

    def __init__(self, dimension: int) -> None:
        self._graph = faiss.IndexHNSWFlat(dimension, NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
        self._graph.hnsw.efConstruction = BUILD_BREADTH
        self._rows: list[NDArray[np.int64]] = []
        self._ties: list[NDArray[np.uint64]] = []

    @classmethod
    def of(cls, folder: Path) -> "GraphBuilder":
        """Go on with a snapshot: to add a few vectors costs what they cost, and the writing of the files.

        Raises:
            OSError, ValueError, RuntimeError: when the folder is incomplete or damaged.
        """
        builder = cls(1)
        builder._graph = faiss.read_index(str(folder / "graph.faiss"))  # into memory: what is mapped cannot grow
        builder._rows.append(np.load(folder / "rows.npy", allow_pickle=False))
        builder._ties.append(np.load(folder / "ties.npy", allow_pickle=False))
        return builder

    @property
    def last_row(self) -> int:
        """The highest row of all, or 0."""
        return int(self._rows[-1][-1]) if self._rows else 0

    def __len__(self) -> int:
        return int(self._graph.ntotal)

    def add(self, rows: NDArray[np.int64], ties: NDArray[np.uint64], vectors: NDArray[np.float32]) -> None:
        """Add vectors (n, d) whose rows are higher than all before, in ascending order."""
        self._rows.append(rows)
        self._ties.append(ties)
        self._graph.add(np.ascontiguousarray(vectors))

    def breadth(self) -> int:
        """The least efSearch by which queries that are like the vectors find .999 of their ten nearest, or the most."""
        vectors, ties = _stored(self._graph), np.concatenate(self._ties)
        queries = _like(vectors)
        k = min(_NEAREST, len(vectors))
        _, nearest = exact.search(queries, vectors, k, ties)
        for breadth in _BREADTHS:
            parameters = faiss.SearchParametersHNSW(efSearch=breadth)
            _, candidates = self._graph.search(queries, k + _SPARE, params=parameters)
            _, found = exact.rank(queries, vectors, candidates, k, ties)
            if (found >= nearest[:, -1:]).sum() >= _WANTED * found.size:  # a tie with the last counts
                return breadth
        return _BREADTHS[-1]

    def save(self, folder: Path) -> None:
        """Write the snapshot's files into a folder, after measuring how broadly the graph is to be asked.

        Raises:
            OSError: when the file system refuses.
        """
        np.save(folder / "rows.npy", np.concatenate(self._rows))
        np.save(folder / "ties.npy", np.concatenate(self._ties))
        self._graph.hnsw.efSearch = self.breadth()
        try:
            faiss.write_index(self._graph, str(folder / "graph.faiss"))
        except RuntimeError as error:  # faiss's word for every failure of a file
            raise OSError(f"faiss cannot write it: {error}") from None


def _like(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vectors (q, d) near some of the vectors, drawn; of the vector zero, which is near nothing, none."""
    rng = np.random.default_rng(0)
    drawn = vectors[rng.choice(len(vectors), min(_ASKED, len(vectors)), replace=False)]
    drawn = drawn[drawn.any(axis=1)]
    noise = rng.standard_normal(drawn.shape)
    near = drawn + _NOISE * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    return np.asarray(near / np.linalg.norm(near, axis=1, keepdims=True), np.float32)


def _stored(graph: Any) -> NDArray[np.float32]:
    """The vectors (n, d) that a graph holds, without copying them; they live as long as the graph."""
    flat = faiss.downcast_index(graph.storage)
    vectors: NDArray[np.float32] = faiss.rev_swig_ptr(flat.get_xb(), graph.ntotal * graph.d)
    return vectors.reshape(graph.ntotal, graph.d)
