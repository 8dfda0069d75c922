"""Same-product retrieval: rank the catalogue for every query and count the right answers.

Letters in shapes: Q queries, N rows of the catalogue, d dimensions, k ranks kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from item_embed.embedding.seen import Modalities
from item_embed.errors import ConfigError
from item_embed.evaluation.intervals import Figure, figures
from item_embed.evaluation.metrics import CUTOFF, QueryMetrics, query_metrics
from item_embed.evaluation.queries import QuerySet
from item_embed.progress import OnProgress, silent
from item_embed.search.exact import search, top_k

#: Scores a run of queries, (q, N) float32, higher is nearer: any method that is not a cosine of vectors.
Scorer = Callable[[slice], NDArray[np.float32]]

_BLOCK_BYTES = 48 << 20  # float32 scores held at once
_PART = 2048  # queries searched between reports of progress


@dataclass(frozen=True)
class Ranking:
    """What a method found for every query: rows (Q, k), best first and -1 for none, and their scores (Q, k)."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class SameProductResult:
    """How one method did on a set of queries.

    Attributes:
        method: its name.
        modalities: what it saw of queries and index: `both`, `image` or `title`.
        queries: what was asked.
        ranking: what it found.
        right: (Q, k) which of that is a listing of the product asked for.
        metrics: the metrics of each query.
    """

    method: str
    modalities: Modalities
    queries: QuerySet
    ranking: Ranking
    right: NDArray[np.bool_]
    metrics: QueryMetrics

    def figures(self, seed: int = 0, *, minus: "SameProductResult | None" = None) -> dict[str, Figure]:
        """hit@1, macro recall@10 and MAP@10, or how far they lie above another method's on the same queries."""
        other = None if minus is None else minus.metrics
        return figures(self.metrics, self.queries.products, minus=other, seed=seed)

    def figures_by(self, column: str, seed: int = 0) -> dict[str, tuple[int, dict[str, Figure]]]:
        """For each value of a column of the queries: how many have it, and their figures.

        Raises:
            ConfigError: when the queries have no such column; `columns.told_apart` gives them any of the catalogue.
        """
        if column not in self.queries.columns:
            known = ", ".join(sorted(self.queries.columns)) or "none"
            raise ConfigError(f"the queries have no column {column!r} to be told apart by; they have {known}.")
        values = np.array(self.queries.columns[column])
        parts = {str(value): values == value for value in np.unique(values)}
        return {
            value: (
                int(part.sum()),
                figures(self.metrics.subset(part), self.queries.products[part], seed=seed),
            )
            for value, part in parts.items()
        }


def evaluate_same_product(
    index_vectors: NDArray[np.float32],
    query_vectors: NDArray[np.float32],
    queries: QuerySet,
    ties: NDArray[np.uint64],
    *,
    method: str = "model",
    modalities: Modalities = "both",
    on_progress: OnProgress = silent,
) -> SameProductResult:
    """Same-product retrieval by the cosine of vectors.

    Args:
        index_vectors: (N, d) unit vectors of all rows of the catalogue, in its order.
        query_vectors: (Q, d) unit vectors of the queries.
        queries: what is asked, and what is right.
        ties: (N,) keys of the rows, from `search.exact.tie_keys`.
        method: the name of what made the vectors.
        modalities: what it saw.
        on_progress: told of the queries ranked.

    Examples:
        >>> queries = catalog_queries(catalog, "test")                              # doctest: +SKIP
        >>> result = evaluate_same_product(vectors, vectors[queries.rows], queries, tie_keys(catalog.ids))
        ...                                                                         # doctest: +SKIP
        >>> result.figures()["macro_recall_at_10"].text()                           # doctest: +SKIP
        '0.413 [0.398, 0.428]'
    """

    def rank(part: slice, excluded: NDArray[np.int64] | None) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        return search(query_vectors[part], index_vectors, CUTOFF, ties, excluded)

    ranking = ranked(rank, queries, _PART, on_progress)
    return judge(ranking, queries, method, modalities)


def evaluate_scorer(
    scorer: Scorer,
    queries: QuerySet,
    ties: NDArray[np.uint64],
    *,
    method: str,
    modalities: Modalities,
    on_progress: OnProgress = silent,
) -> SameProductResult:
    """Same-product retrieval by any scores: as `evaluate_same_product`, ties and self left out alike."""

    def rank(part: slice, excluded: NDArray[np.int64] | None) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        return top_k(scorer(part), CUTOFF, ties, excluded)

    ranking = ranked(rank, queries, max(1, _BLOCK_BYTES // (4 * len(ties))), on_progress)
    return judge(ranking, queries, method, modalities)


def judge(ranking: Ranking, queries: QuerySet, method: str, modalities: Modalities) -> SameProductResult:
    """Turn what was found into metrics."""
    right = queries.is_right(ranking.rows)
    return SameProductResult(method, modalities, queries, ranking, right, query_metrics(right, queries.relevant))


def as_json(
    result: SameProductResult,
    others: list[SameProductResult],
    by: str | None = None,
    seed: int = 0,
    remarks: Sequence[str] = (),
) -> dict[str, Any]:
    """The result, and the methods that it is compared with, as one JSON object.

    `remarks` holds what a reader should know of the figures, those of the queries first. `baselines` holds for each of
    `others` the same figures and `model_minus_baseline`, the paired differences.
    """
    queries = result.queries
    object_: dict[str, Any] = {
        "task": "same-product",
        "protocol": queries.protocol,
        "split": queries.split,
        "queries": len(queries),
        "index_size": len(queries.listings),
        "modalities": result.modalities,
        "remarks": [*queries.remarks, *remarks],
        **_method(result, by, seed),
    }
    if others:
        object_["baselines"] = {
            other.method: {
                "modalities": other.modalities,
                **_method(other, by, seed),
                "model_minus_baseline": _plain(result.figures(seed, minus=other)),
            }
            for other in others
        }
    return object_


def _method(result: SameProductResult, by: str | None, seed: int) -> dict[str, Any]:
    if by is None:
        return _plain(result.figures(seed))
    parts = result.figures_by(by, seed).items()
    return {
        **_plain(result.figures(seed)),
        "by": {by: {value: {"queries": count, **_plain(found)} for value, (count, found) in parts}},
    }


def _plain(found: dict[str, Figure]) -> dict[str, Any]:
    return {name: figure.as_json() for name, figure in found.items()}


def ranked(
    rank: Callable[[slice, NDArray[np.int64] | None], tuple[NDArray[np.int64], NDArray[np.float32]]],
    queries: QuerySet,
    block: int,
    on_progress: OnProgress,
) -> Ranking:
    """Rank in blocks of queries, so that memory stays bounded and progress is seen.

    Args:
        rank: what gives rows (q, k) and scores (q, k) of a run of queries, for the row that each may not find, (q,).
        queries: what is asked.
        block: how many queries are ranked at once.
        on_progress: told of the queries ranked.
    """
    rows = np.full((len(queries), CUTOFF), -1, np.int64)
    scores = np.full((len(queries), CUTOFF), -np.inf, np.float32)
    for start in range(0, len(queries), block):
        part = slice(start, min(start + block, len(queries)))
        excluded = None if queries.excluded is None else queries.excluded[part]
        rows[part], scores[part] = rank(part, excluded)
        on_progress(part.stop, len(queries))
    return Ranking(rows, scores)
