"""Exact nearest neighbours by cosine: the reference that every approximate index is held against.

Equal scores are ordered by a fixed hash of the ids, so no method gains by the order of the rows.
Letters in shapes: Q queries, N rows searched, d dimensions, k hits.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from item_embed.hashing import text_hash

_BLOCK_BYTES = 64 << 20  # float32 scores held at once
_CHUNK_ROWS = 8192  # rows copied, or scored anew, at once
_MARGIN = 1e-5  # far above the rounding error of a float32 product of unit vectors


def tie_keys(ids: Sequence[str]) -> NDArray[np.uint64]:
    """The key of each id by which equal scores are ordered, lowest first: the same on every machine.

    Args:
        ids: the ids of the N rows searched.

    Returns:
        (N,) keys.

    Examples:
        >>> tie_keys(["a", "b"]).shape
        (2,)
    """
    return np.fromiter((text_hash(key) for key in ids), np.uint64, len(ids))


def top_k(
    scores: NDArray[np.float32], k: int, ties: NDArray[np.uint64], excluded: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k best rows of every query: highest score first, equal scores by tie key, equal keys by row.

    Args:
        scores: (Q, N) scores; `-inf` marks a row that may not be found. They are left as they are.
        k: how many rows each query gets.
        ties: (N,) keys of the rows, from `tie_keys`.
        excluded: (Q,) the one row that each query may not find (itself, as a rule), or -1.

    Returns:
        Rows (Q, k) and their scores (Q, k); -1 and `-inf` where fewer than k rows may be found.

    Examples:
        >>> rows, _ = top_k(np.array([[0.1, 0.9, 0.5]], np.float32), 2, tie_keys(["a", "b", "c"]))
        >>> rows
        array([[1, 2]])
    """
    rows, best = _nothing_found(len(scores), k)
    edges = _kth_best(scores, k if excluded is None else k + 1)
    for query, edge in enumerate(edges):
        found = _at_least(scores[query], edge, None if excluded is None else excluded[query])
        _place(rows[query], best[query], found, scores[query, found], ties)
    return rows, best


def search(
    queries: NDArray[np.float32],
    vectors: NDArray[np.float32],
    k: int,
    ties: NDArray[np.uint64],
    excluded: NDArray[np.int64] | None = None,
    *,
    allowed: NDArray[np.bool_] | None = None,
    block: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k rows of `vectors` with the highest cosine to every query, ordered as by `top_k`.

    A float32 matrix product finds the candidates. They are scored anew by a float64 sum of fixed order,
    since the product's last bits depend on a row's place in the matrix. So equal vectors always tie, and
    neither the block nor the number of threads changes a result.

    Args:
        queries: (Q, d) unit vectors.
        vectors: (N, d) unit vectors, in memory or memory-mapped.
        k: how many rows each query gets.
        ties: (N,) keys of the rows, from `tie_keys`.
        excluded: (Q,) the one row that each query may not find, or -1.
        allowed: (N,) the rows that may be found at all; by default all.
        block: queries scored at once; by default so many that their scores take about 64 MB.

    Returns:
        Rows (Q, k) and cosines (Q, k); -1 and `-inf` where fewer than k rows may be found.

    Examples:
        >>> vectors = np.eye(3, dtype=np.float32)
        >>> rows, cosines = search(vectors[:1], vectors, 1, tie_keys(["a", "b", "c"]))
        >>> int(rows[0, 0]), float(cosines[0, 0])
        (0, 1.0)
    """
    block = block or max(1, _BLOCK_BYTES // (4 * max(1, len(vectors))))
    rows, best = _nothing_found(len(queries), k)
    for start in range(0, len(queries), block):
        rough = queries[start : start + block] @ vectors.T
        if allowed is not None:
            rough[:, ~allowed] = -np.inf
        edges = _kth_best(rough, k if excluded is None else k + 1) - np.float32(_MARGIN)
        for query, edge in enumerate(edges, start):
            found = _at_least(rough[query - start], edge, None if excluded is None else excluded[query])
            _place(rows[query], best[query], found, _dots(vectors, found, queries[query]), ties)
    return rows, best


def rank(
    queries: NDArray[np.float32],
    vectors: NDArray[np.float32],
    candidates: NDArray[np.int64],
    k: int,
    ties: NDArray[np.uint64],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Of some rows for every query the k best, scored and ordered as by `search`.

    Args:
        queries: (Q, d) unit vectors.
        vectors: (N, d) unit vectors, in memory or memory-mapped.
        candidates: (Q, c) rows, each at most once for a query, or -1.
        k: how many rows each query gets.
        ties: (N,) keys of the rows, from `tie_keys`.

    Returns:
        Rows (Q, k) and cosines (Q, k); -1 and `-inf` where there are fewer than k candidates.

    Examples:
        >>> vectors = np.eye(3, dtype=np.float32)
        >>> rows, _ = rank(vectors[:1], vectors, np.array([[2, 0, -1]]), 1, tie_keys(["a", "b", "c"]))
        >>> int(rows[0, 0])
        0
    """
    rows, best = _nothing_found(len(queries), k)
    for query, named in enumerate(candidates):
        found = np.sort(named[named >= 0])
        _place(rows[query], best[query], found, _dots(vectors, found, queries[query]), ties)
    return rows, best


def search_among(
    queries: NDArray[np.float32],
    vectors: NDArray[np.float32],
    places: NDArray[np.int64],
    k: int,
    ties: NDArray[np.uint64],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """What `search` finds among some of the rows; 8,192 of these are copied at a time, always to the same place.

    A copy of all would take their memory once more, and a fifth to a third more time.

    Args:
        queries: (Q, d) unit vectors.
        vectors: (N, d) unit vectors, in memory or memory-mapped.
        places: (n,) the rows that may be found, ascending.
        k: how many rows each query gets.
        ties: (N,) keys of the rows, from `tie_keys`.

    Returns:
        Rows (Q, k) and cosines (Q, k); -1 and `-inf` where there are fewer than k places.

    Examples:
        >>> rows, _ = search_among(np.eye(3, dtype=np.float32)[:1], np.eye(3, dtype=np.float32), np.array([1, 2]), 1,
        ...                        np.arange(3).astype(np.uint64))
        >>> int(rows[0, 0])
        1
    """
    rows, best = _nothing_found(len(queries), k)
    copied = np.empty((min(_CHUNK_ROWS, len(places)), vectors.shape[1]), np.float32)
    # As bytes: numbers of a mapped file may lie at any address, and numpy would then copy all of them first.
    source, target = vectors.view(np.uint8), copied.view(np.uint8)
    for start in range(0, len(places), _CHUNK_ROWS):
        part = places[start : start + _CHUNK_ROWS]
        np.take(source, part, axis=0, out=target[: len(part)], mode="clip")  # any other mode copies twice
        found, cosines = search(queries, copied[: len(part)], k, ties[part])
        rows, best = np.hstack([rows, np.where(found >= 0, part[found], -1)]), np.hstack([best, cosines])
        order = np.lexsort((ties[rows], -best), axis=1)[:, :k]
        rows, best = np.take_along_axis(rows, order, axis=1), np.take_along_axis(best, order, axis=1)
    return rows, best


def _nothing_found(queries: int, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    return np.full((queries, k), -1, np.int64), np.full((queries, k), -np.inf, np.float32)


def _kth_best(scores: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """The k-th highest score of every query, (Q,); `-inf` where there are not more than k."""
    count = scores.shape[1]
    if count <= k:
        return np.full(len(scores), -np.inf, np.float32)
    return np.asarray(np.partition(scores, count - k, axis=1)[:, count - k])


def _at_least(scores: NDArray[np.float32], edge: np.float32, excluded: np.int64 | None) -> NDArray[np.int64]:
    """The rows at or above the edge: the k best, and all that tie with the k-th."""
    found = np.flatnonzero((scores >= edge) & (scores > -np.inf))
    return found if excluded is None else found[found != excluded]


def _place(
    rows: NDArray[np.int64],
    best: NDArray[np.float32],
    found: NDArray[np.int64],
    scores: NDArray[np.float32],
    ties: NDArray[np.uint64],
) -> None:
    """Write the best of the found rows, in order, into one query's results."""
    order = np.lexsort((ties[found], -scores))[: len(rows)]  # stable: equal keys stay in row order
    rows[: len(order)] = found[order]
    best[: len(order)] = scores[order]


def _dots(vectors: NDArray[np.float32], rows: NDArray[np.int64], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Products of some rows with one query, summed in an order that does not depend on the other rows."""
    products = np.empty(len(rows), np.float32)
    wide = query.astype(np.float64)
    for start in range(0, len(rows), _CHUNK_ROWS):
        chunk = slice(start, start + _CHUNK_ROWS)
        products[chunk] = (vectors[rows[chunk]] * wide).sum(axis=1)
    return products
