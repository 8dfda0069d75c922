"""Methods that `index.py` asks, in the process that asks: the product index in a folder, and libraries of vectors."""

import shutil
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, ClassVar, cast

import numpy as np
from clustered import QUERIES, SHARES, Bench, Drawn, K
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.embedding.vectors import Vectors
from item_embed.search.index import ProductIndex
from item_embed.search.snapshot import BUILD_BREADTH, NEIGHBOURS

BREADTHS = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024]

Found = NDArray[np.int64]


class Peer:
    """One method, in a process of its own.

    Args:
        bench: what it holds and is asked.
        server: the address of a PostgreSQL.
    """

    shares: ClassVar[list[str]] = list(SHARES)
    breadths: ClassVar[list[int]] = BREADTHS
    at_once: ClassVar[int] = QUERIES
    updates: ClassVar[bool] = False

    def __init__(self, bench: Bench, server: str | None) -> None:
        self.bench = bench
        self.server = server or ""
        self.file = bench.folder / type(self).__name__
        self.dimension = bench.vectors.shape[1]

    def build(self) -> None:
        """Make it and save it."""
        raise NotImplementedError

    def open(self) -> None:
        """Open what was saved."""
        raise NotImplementedError

    def search(self, queries: NDArray[np.float32], share: str, breadth: int) -> Found:
        """The rows, (Q, K), that pass a filter and are nearest; -1 where there are fewer."""
        raise NotImplementedError

    def disk(self) -> int:
        """Bytes that it takes on disk."""
        return sum(
            f.stat().st_size for f in ([self.file] if self.file.is_file() else self.file.rglob("*")) if f.is_file()
        )

    def update(self) -> float:
        """Change one product in a hundred by comparing all, where `updates`: the seconds that it takes."""
        raise NotImplementedError

    def cpu(self) -> float:
        """Seconds of a processor that it has taken so far, here and in a server."""
        return process_time()


class Ours(Peer):
    """`ProductIndex` in a folder."""

    breadths: ClassVar[list[int]] = [0]
    updates: ClassVar[bool] = True

    @property
    def place(self) -> str | Path:
        """Where the index is."""
        return self.file

    def build(self) -> None:
        """With titles, and a number to filter by."""
        shutil.rmtree(self.file, ignore_errors=True)
        ProductIndex.build(*self._catalog(changed=False), self.place).close()

    def open(self) -> None:
        """By any process."""
        self.index = ProductIndex.open(self.place)

    def search(self, queries: NDArray[np.float32], share: str, breadth: int) -> Found:
        """Hits, with all that is shown of them."""
        where = None if share == "all" else f"n < {SHARES[share]}"
        found = [[int(hit.id) for hit in hits] for hits in self.index.search(queries, K, "drawn", where)]
        return np.array([[*rows, *[-1] * (K - len(rows))] for rows in found])

    def update(self) -> float:
        """In a copy: a later run asks the same index."""
        copy = self.file.with_name(f"{self.file.name}-updated")
        shutil.rmtree(copy, ignore_errors=True)
        self.index.close()
        shutil.copytree(self.file, copy)
        with ProductIndex.open(copy) as index:
            taken = self._update(index)
        shutil.rmtree(copy)
        return taken

    def _update(self, index: ProductIndex) -> float:
        """Every hundredth title and vector."""
        tonight = self._catalog(changed=True)
        began = perf_counter()
        changes = index.update(*tonight)
        taken = perf_counter() - began
        assert changes.changed == -(-len(self.bench.vectors) // 100), changes
        return taken

    def _catalog(self, changed: bool) -> tuple[Vectors, Catalog]:
        drawn = Drawn(self.bench, changed)
        return Vectors(drawn.ids, drawn.vectors, "drawn", "drawn"), cast("Catalog", drawn)


class Faiss(Peer):
    """faiss's HNSW graph as the index uses it, and its selectors."""

    def build(self) -> None:
        """By the same numbers as the index's graph."""
        import faiss

        graph = faiss.IndexHNSWFlat(self.dimension, NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = BUILD_BREADTH
        graph.add(np.ascontiguousarray(self.bench.vectors))
        faiss.write_index(graph, str(self.file))

    def open(self) -> None:
        """Into memory."""
        import faiss

        self.graph = faiss.read_index(str(self.file))
        self.selectors = {
            share: faiss.IDSelectorBitmap(np.packbits(self.bench.numbers < few, bitorder="little"))
            for share, few in SHARES.items()
            if share != "all"
        }

    def search(self, queries: NDArray[np.float32], share: str, breadth: int) -> Found:
        """With a selector under a filter."""
        import faiss

        options = {} if share == "all" else {"sel": self.selectors[share]}
        parameters = faiss.SearchParametersHNSW(efSearch=breadth, **options)
        return cast("Found", self.graph.search(queries, K, params=parameters)[1])


class Hnswlib(Peer):
    """hnswlib; its filters are functions of Python and are left out."""

    shares: ClassVar[list[str]] = ["all"]

    def build(self) -> None:
        """By the same numbers."""
        import hnswlib

        graph = hnswlib.Index("ip", self.dimension)
        graph.init_index(len(self.bench.vectors), M=NEIGHBOURS, ef_construction=BUILD_BREADTH)
        graph.add_items(self.bench.vectors, num_threads=_threads())
        graph.save_index(str(self.file))

    def open(self) -> None:
        """Into memory."""
        import hnswlib

        self.graph = hnswlib.Index("ip", self.dimension)
        self.graph.load_index(str(self.file))

    def search(self, queries: NDArray[np.float32], share: str, breadth: int) -> Found:
        """By ef."""
        self.graph.set_ef(breadth)
        return cast("Found", self.graph.knn_query(queries, K, num_threads=_threads())[0].astype(np.int64))


class Usearch(Peer):
    """usearch, in float32; it has no filters."""

    shares: ClassVar[list[str]] = ["all"]

    def build(self) -> None:
        """By the same numbers."""
        graph = self._empty()
        graph.add(np.arange(len(self.bench.vectors)), self.bench.vectors, threads=_threads())
        graph.save(str(self.file))

    def open(self) -> None:
        """Into memory."""
        self.graph = self._empty()
        self.graph.load(str(self.file))

    def search(self, queries: NDArray[np.float32], share: str, breadth: int) -> Found:
        """By its expansion."""
        self.graph.expansion_search = breadth
        return np.atleast_2d(np.asarray(self.graph.search(queries, K, threads=_threads()).keys).astype(np.int64))

    def _empty(self) -> Any:
        from usearch.index import Index

        return Index(
            ndim=self.dimension, metric="ip", connectivity=NEIGHBOURS, expansion_add=BUILD_BREADTH, dtype="f32"
        )


def _threads() -> int:
    import faiss

    return int(faiss.omp_get_max_threads())
