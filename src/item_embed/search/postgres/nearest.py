"""Nearest products in PostgreSQL: by an HNSW graph of pgvector over halves, scored anew in float64; or exactly."""

from math import isqrt

import numpy as np
from numpy.typing import NDArray

from item_embed.progress import OnProgress, silent
from item_embed.search import exact
from item_embed.search.conditions import Condition
from item_embed.search.held import Nearest
from item_embed.search.postgres.store import PostgresStore, matrix

#: Up to so many products are searched exactly: at 256 numbers that takes the server nine milliseconds.
EXACT_ROWS = 10_000

#: Neighbours of a vector in the graph, M of the paper, and candidates kept while it is made, efConstruction.
NEIGHBOURS, BUILD_BREADTH = 16, 128

_BREADTH, _MOST_BREADTH = 128, 1000  # efSearch: candidates that a query keeps; pgvector takes no more
_SPARE = 16  # candidates scored anew beside the k, so that the rounding to halves does not decide
_COST = 16  # products scored for each candidate that is kept
_MARGIN = 1e-5  # as in `exact.py`: far above the rounding error of a float32 product of unit vectors

_ALL = Condition("true")
_EXACTLY = """
WITH passing AS MATERIALIZED (SELECT number, vector <#> %s AS distance FROM items WHERE {where}),
     best AS (SELECT distance FROM passing ORDER BY distance LIMIT %s)
SELECT number, tie, vector FROM items WHERE number = ANY(ARRAY(
    SELECT number FROM passing WHERE distance <= (SELECT max(distance) FROM best) + %s
)) ORDER BY number
"""
_BY_GRAPH = """
SELECT number, tie, vector FROM items WHERE {where}
ORDER BY (vector::halfvec({dimension})) <#> %s::halfvec({dimension}) LIMIT %s
"""
_GRAPH = """
CREATE INDEX items_by_vector ON items USING hnsw ((vector::halfvec({dimension})) halfvec_ip_ops)
WITH (m = {neighbours}, ef_construction = {breadth})
"""


class PostgresNeighbours:
    """The search by vector over the tables of an index.

    Args:
        store: the tables.
        dimension: how many numbers a vector has.
    """

    def __init__(self, store: PostgresStore, dimension: int) -> None:
        self._store = store
        self._dimension = dimension
        self._products = 0
        self._has_graph = False

    def __len__(self) -> int:
        return self._products

    def catch_up(self) -> None:
        """Read how many products there are; to be called while the store is read."""
        query = b"SELECT products, graph FROM manifest"
        self._products, self._has_graph = self._store.database.execute(query).fetchone() or (0, False)

    def search(self, queries: NDArray[np.float32], k: int, where: Condition | None = None) -> Nearest:
        """The k nearest products of every query, by number; equal scores by tie key.

        What passes a narrow filter is searched exactly, for the reason and by the formula of `Snapshot.search`; of a
        wide one the graph goes on until enough pass.

        Args:
            queries: (Q, d) unit vectors.
            k: how many products each query gets.
            where: what must hold of a product; by default any may be found.
        """
        breadth = min(max(_BREADTH, 2 * k), _MOST_BREADTH)
        few = None if where is None else self._few(where, breadth)
        by_graph = self._has_graph and few is None
        if by_graph:
            settings = "SELECT set_config('hnsw.ef_search', %s, true), set_config('hnsw.iterative_scan', %s, true)"
            self._store.database.execute(settings.encode(), [str(breadth), "relaxed_order"])  # ordered anew here
        # A graph stops when it has as many as it is asked for. With a filter, let as many pass as it sees without.
        wanted = 0 if not by_graph else max(k + _SPARE, 0 if where is None else breadth)
        found = [self._one(query, k, few or where or _ALL, wanted) for query in queries]
        shape = (len(queries), k)
        return Nearest(*(np.array(part).reshape(shape) for part in zip(*found, strict=True))) if found else _none(k)

    def fold(self, on_progress: OnProgress = silent) -> None:
        """Make the graph if there is none and there are many products; from then on it takes part in every change.

        Raises:
            OutputError: when it cannot be made; nothing is lost by that.
        """
        with self._store.reading():
            self.catch_up()
        if self._has_graph or self._products <= EXACT_ROWS:
            return
        on_progress(0, self._products)
        with self._store.writing():
            self.catch_up()
            if not self._has_graph:
                settings = {"dimension": self._dimension, "neighbours": NEIGHBOURS, "breadth": BUILD_BREADTH}
                self._store.database.execute(_GRAPH.format(**settings).encode())
                self._store.database.execute(b"UPDATE manifest SET graph = true")
        on_progress(self._products, self._products)

    def _few(self, where: Condition, breadth: int) -> Condition | None:
        """The products for which a condition holds, by number, so that it is asked once for all queries.

        None where they are so many that the graph costs less.
        """
        most = isqrt(self._products * breadth * _COST) if self._has_graph else self._products + 1
        numbers = f"SELECT array_agg(number) FROM (SELECT number FROM items WHERE {where.sql} LIMIT %s) AS passing"
        (passing,) = self._store.database.execute(numbers.encode(), [*where.bound, most]).fetchone() or (None,)
        passing = passing or []
        return Condition("number = ANY(%s)", (passing,)) if len(passing) < most else None

    def _one(
        self, query: NDArray[np.float32], k: int, where: Condition, wanted: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.uint64]]:
        """Numbers, cosines and ties (k,) of one query: of so many candidates of the graph, or of all if they are 0."""
        if wanted:
            sql = _BY_GRAPH.format(where=where.sql, dimension=self._dimension)
            candidates = self._candidates(sql, [*where.bound, query, wanted])
            if len(candidates[0]) >= k:
                return _ranked(query, k, *candidates)
        sql = _EXACTLY.format(where=where.sql)
        return _ranked(query, k, *self._candidates(sql, [query, *where.bound, k, _MARGIN]))

    def _candidates(
        self, sql: str, bound: list[object]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.float32]]:
        """Numbers, ties and vectors (n, d) of what a statement finds."""
        found = self._store.database.execute(sql.encode(), bound).fetchall()
        rows, ties, vectors = zip(*found, strict=True) if found else ((), (), ())
        return np.array(rows, np.int64), np.array(ties, np.uint64), matrix(vectors, self._dimension)


def _ranked(
    query: NDArray[np.float32],
    k: int,
    rows: NDArray[np.int64],
    ties: NDArray[np.uint64],
    vectors: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.uint64]]:
    found = exact.rank(query[None], vectors, np.arange(len(rows))[None], k, ties)
    nearest = Nearest.of(*found, rows, ties)
    return nearest.rows[0], nearest.cosines[0], nearest.ties[0]


def _none(k: int) -> Nearest:
    return Nearest(np.empty((0, k), np.int64), np.empty((0, k), np.float32), np.empty((0, k), np.uint64))
