"""Methods that `index.py` asks in a PostgreSQL: the product index there, and pgvector by itself."""

from math import isqrt
from pathlib import Path
from time import process_time
from typing import Any, ClassVar

import numpy as np
import psutil
from clustered import SHARES, K
from numpy.typing import NDArray
from peers_here import BREADTHS, Found, Ours, Peer

from item_embed.search.index import ProductIndex

_SPARE = 16  # rows that halves find beside those wanted, since the order is made anew
_FEW = 200  # queries at once where SQL asks them one by one


class OursInPostgres(Ours):
    """`ProductIndex` in a database."""

    at_once: ClassVar[int] = _FEW

    @property
    def place(self) -> str | Path:
        """A schema of the server's."""
        return f"{self.server}&schema={self._schema}"

    def build(self) -> None:
        """Anew, whatever a run that was stopped has left: else the time would be that of a part."""
        import psycopg

        with psycopg.connect(self.server) as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {self._schema} CASCADE")
        ProductIndex.build(*self._catalog(changed=False), self.place).close()

    def update(self) -> float:
        """In the index itself."""
        return self._update(self.index)

    def cpu(self) -> float:
        """Here and in the server."""
        from item_embed.search.postgres.store import PostgresStore

        store = self.index._store
        assert isinstance(store, PostgresStore)
        return process_time() + _of_server(store.database._connection)

    def disk(self) -> int:
        """Of all tables and what belongs to them."""
        return _of_tables(self.server, f"schemaname = '{self._schema}'")

    @property
    def _schema(self) -> str:
        return f"ours_{len(self.bench.vectors)}_{self.dimension}"


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
        best = f"SELECT row, vector FROM {self._table} {where} ORDER BY {order} LIMIT {K + _SPARE}"
        query = f"SELECT row FROM ({best}) AS best ORDER BY vector <#> %s LIMIT {K}"
        found = [[row for (row,) in self.connection.execute(query, [one, one]).fetchall()] for one in queries]
        return np.array([[*rows, *[-1] * (K - len(rows))] for rows in found])

    def cpu(self) -> float:
        """Here and in the server."""
        return process_time() + _of_server(self.connection)

    def disk(self) -> int:
        """The table with its indexes."""
        return _of_tables(self.server, f"tablename = '{self._table}'")

    @property
    def _table(self) -> str:
        return f"{self.table}_{len(self.bench.vectors)}_{self.dimension}"

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


def _of_server(connection: Any) -> float:
    spent = psutil.Process(connection.info.backend_pid).cpu_times()
    return float(spent.user + spent.system)


def _of_tables(server: str, where: str) -> int:
    import psycopg

    size = "sum(pg_total_relation_size(format('%%I.%%I', schemaname, tablename)))"
    with psycopg.connect(server) as connection:
        found = connection.execute(f"SELECT {size} FROM pg_tables WHERE {where}".replace("%%", "%")).fetchone()
    return int(found[0]) if found else 0
