"""A snapshot of an index's vectors as an HNSW graph (Malkov and Yashunin, 2018) of faiss: derived, never the truth.

FOLDER/graph.faiss    the graph and the vectors, memory-mapped when opened
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

_BREADTH = 128  # efSearch: candidates that a query keeps
_SPARE = 16  # candidates scored anew beside the k, so that faiss's rounding does not decide
_COST = 16  # vectors scored for each candidate that is kept: half of a vector's 32 neighbours were seen before


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

        Few rows are searched exactly: a graph that may give only a share s of its rows has to keep 1 / s as many
        candidates, so it costs more than looking at each of n where n * n < rows * candidates * cost of one.

        Args:
            queries: (Q, d) unit vectors.
            k: how many rows each query gets.
            among: what may be found, from `places`; by default all.
        """
        count = len(self) if among is None else len(among)
        breadth = max(_BREADTH, 2 * k)
        if count <= k or count**2 < len(self._rows) * breadth * _COST:
            found, scores = self._exactly(queries, k, among)
        else:
            found, scores = self._by_graph(queries, k, among, breadth * len(self._rows) // count)
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
        found, scores = exact.search(queries, self._vectors[places], k, self._ties[places])
        return (np.where(found >= 0, places[found], -1) if len(places) else found), scores


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

    def save(self, folder: Path) -> None:
        """Write the snapshot's files into a folder.

        Raises:
            OSError: when the file system refuses.
        """
        np.save(folder / "rows.npy", np.concatenate(self._rows))
        np.save(folder / "ties.npy", np.concatenate(self._ties))
        try:
            faiss.write_index(self._graph, str(folder / "graph.faiss"))
        except RuntimeError as error:  # faiss's word for every failure of a file
            raise OSError(f"faiss cannot write it: {error}") from None


def _stored(graph: Any) -> NDArray[np.float32]:
    """The vectors (n, d) that a graph holds, without copying them; they live as long as the graph."""
    flat = faiss.downcast_index(graph.storage)
    vectors: NDArray[np.float32] = faiss.rev_swig_ptr(flat.get_xb(), graph.ntotal * graph.d)
    return vectors.reshape(graph.ntotal, graph.d)
