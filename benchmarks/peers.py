"""Whom `index.py` asks: the product index, and libraries that hold nothing but vectors."""

import shutil
from collections.abc import Callable
from math import isqrt
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from time import perf_counter, process_time
from typing import Any, ClassVar, cast

import numpy as np
import psutil
from clustered import QUERIES, SHARES, Bench, Drawn, K
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.embedding.vectors import Vectors
from item_embed.search.index import ProductIndex
from item_embed.search.snapshot import BUILD_BREADTH, NEIGHBOURS

SECONDS = 0.5  # that a method may be asked one by one in a turn
_FEW = 200  # queries at once where SQL asks them one by one
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

    def update(self) -> None:
        """Change one product in a hundred by comparing all, where it can."""

    def cpu(self) -> float:
        """Seconds of a processor that it has taken so far, here and in a server."""
        return process_time()


class Ours(Peer):
    """`ProductIndex` in a folder."""

    breadths: ClassVar[list[int]] = [0]

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

    def update(self) -> None:
        """Every hundredth title and vector."""
        changes = self.index.update(*self._catalog(changed=True))
        assert changes.changed == -(-len(self.bench.vectors) // 100), changes

    def _catalog(self, changed: bool) -> tuple[Vectors, Catalog]:
        drawn = Drawn(self.bench, changed)
        return Vectors(drawn.ids, drawn.vectors, "drawn", "drawn"), cast("Catalog", drawn)


class OursInPostgres(Ours):
    """`ProductIndex` in a database."""

    at_once: ClassVar[int] = _FEW

    @property
    def place(self) -> str | Path:
        """A schema of the server's."""
        return f"{self.server}&schema=ours_{len(self.bench.vectors)}"

    def cpu(self) -> float:
        """Here and in the server."""
        from item_embed.search.postgres.store import PostgresStore

        store = self.index._store
        assert isinstance(store, PostgresStore)
        return process_time() + _of_server(store.database._connection)

    def disk(self) -> int:
        """Of all tables and what belongs to them."""
        return _of_tables(self.server, f"schemaname = 'ours_{len(self.bench.vectors)}'")


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


class Pgvector(Peer):
    """An HNSW graph of pgvector over halves, and the filter in the query, by iterative scan."""

    breadths: ClassVar[list[int]] = [b for b in BREADTHS if b <= 1000]
    at_once: ClassVar[int] = _FEW
    table = "hnsw"
    index = "hnsw ((vector::halfvec({dimension})) halfvec_ip_ops) WITH (m = 16, ef_construction = 128)"
    settings = "SET hnsw.iterative_scan = relaxed_order"
    setting = "SET hnsw.ef_search = {breadth}"

    def build(self) -> None:
        """The table, then the graph."""
        rows, lists = len(self.bench.vectors), 2 * isqrt(len(self.bench.vectors))
        with self._connect() as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
            connection.execute(f"DROP TABLE IF EXISTS {self._table}")
            connection.execute(f"CREATE TABLE {self._table} (row int, n int, vector vector({self.dimension}))")
            with connection.cursor().copy(f"COPY {self._table} FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["int4", "int4", "vector"])
                for row, n, vector in zip(range(rows), self.bench.numbers.tolist(), self.bench.vectors, strict=True):
                    copy.write_row((row, n, vector))
            index = self.index.format(dimension=self.dimension, lists=lists)
            connection.execute(f"CREATE INDEX ON {self._table} USING {index}")
            connection.execute(f"CREATE INDEX ON {self._table} (n)")
            connection.execute(f"ANALYZE {self._table}")

    def open(self) -> None:
        """A connection."""
        self.connection = self._connect()
        self.connection.execute(self.settings)

    def search(self, queries: NDArray[np.float32], share: str, breadth: int) -> Found:
        """One by one: SQL has no batches."""
        self.connection.execute(self.setting.format(breadth=breadth))
        where = "" if share == "all" else f"WHERE n < {SHARES[share]}"
        order = f"(vector::halfvec({self.dimension})) <#> %s::halfvec({self.dimension})"
        query = f"SELECT row FROM {self._table} {where} ORDER BY {order} LIMIT {K}"
        found = [[row for (row,) in self.connection.execute(query, [one]).fetchall()] for one in queries]
        return np.array([[*rows, *[-1] * (K - len(rows))] for rows in found])

    def cpu(self) -> float:
        """Here and in the server."""
        return process_time() + _of_server(self.connection)

    def disk(self) -> int:
        """The table with its indexes."""
        return _of_tables(self.server, f"tablename = '{self._table}'")

    @property
    def _table(self) -> str:
        return f"{self.table}_{len(self.bench.vectors)}"

    def _connect(self) -> Any:
        import psycopg
        from pgvector.psycopg import register_vector

        connection = psycopg.connect(self.server, autocommit=True)
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
        register_vector(connection)
        return connection


class PgvectorLists(Pgvector):
    """Inverted lists of pgvector over halves; the breadth is their probes."""

    breadths: ClassVar[list[int]] = [1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128]
    table = "lists"
    index = "ivfflat ((vector::halfvec({dimension})) halfvec_ip_ops) WITH (lists = {lists})"
    settings = "SET ivfflat.iterative_scan = relaxed_order"
    setting = "SET ivfflat.probes = {breadth}"


PEERS: dict[str, type[Peer]] = {
    "ProductIndex": Ours,
    "faiss": Faiss,
    "hnswlib": Hnswlib,
    "usearch": Usearch,
    "ProductIndex in PostgreSQL": OursInPostgres,
    "pgvector HNSW": Pgvector,
    "pgvector IVFFlat": PgvectorLists,
}


class Asked:
    """What a process does with a method."""

    def __init__(self, bench: Bench, peer: type[Peer], server: str | None) -> None:
        self.bench = bench
        self.peer = peer(bench, server)

    def build(self) -> dict[str, Any]:
        """Make it: seconds, bytes of memory at the most, bytes on disk."""
        row = {"build": _seconds(self.peer.build)}
        return row | {"peak": getrusage(RUSAGE_SELF).ru_maxrss * 1024, "disk": self.peer.disk()}

    def open(self) -> dict[str, Any]:
        """Open it, and say what can be asked."""
        self.before = psutil.Process().memory_info().rss
        self.peer.open()
        return {"shares": self.peer.shares, "breadths": self.peer.breadths}

    def singles(self, share: str, breadth: int, start: int, stop: int) -> tuple[list[float], float]:
        """Ask some queries one by one: the seconds of each, as many as half a second allows, and of CPU in all."""
        taken: list[float] = []
        before = self.peer.cpu()
        for query in self.bench.queries[start:stop, None]:
            taken.append(_seconds(lambda query=query: self.peer.search(query, share, breadth)))  # type: ignore[misc]
            if sum(taken) > SECONDS:
                break
        return taken, self.peer.cpu() - before

    def batch(self, share: str, breadth: int) -> tuple[float, float]:
        """Ask many queries at once: how many a second, and the seconds of CPU of each."""
        count, before = min(self.peer.at_once, len(self.bench.queries)), self.peer.cpu()
        rate = count / _seconds(lambda: self.found(share, breadth))
        return rate, (self.peer.cpu() - before) / count

    def found(self, share: str, breadth: int) -> Found:
        """What is found for as many queries."""
        return self.peer.search(self.bench.queries[: self.peer.at_once], share, breadth)

    def close(self) -> dict[str, Any]:
        """Bytes of memory that it has come to hold; then the seconds of an update, where it has one."""
        row: dict[str, Any] = {"memory": psutil.Process().memory_info().rss - self.before}
        if isinstance(self.peer, Ours):
            row["update"] = _seconds(self.peer.update)
        return row


def _seconds(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began


def _threads() -> int:
    import faiss

    return int(faiss.omp_get_max_threads())


def _of_server(connection: Any) -> float:
    spent = psutil.Process(connection.info.backend_pid).cpu_times()
    return float(spent.user + spent.system)


def _of_tables(server: str, where: str) -> int:
    import psycopg

    size = "sum(pg_total_relation_size(format('%%I.%%I', schemaname, tablename)))"
    with psycopg.connect(server) as connection:
        found = connection.execute(f"SELECT {size} FROM pg_tables WHERE {where}".replace("%%", "%")).fetchone()
    return int(found[0]) if found else 0
