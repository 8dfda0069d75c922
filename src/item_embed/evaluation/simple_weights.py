"""The weights of the simple sum, fitted on queries that no figure is of: those of the validation split."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.errors import CatalogError
from item_embed.evaluation.baselines import METHODS, Descriptors, simple_parts
from item_embed.evaluation.drawn import MOST_QUERIES, drawn
from item_embed.evaluation.metrics import CUTOFF, QueryMetrics, macro_average, query_metrics
from item_embed.evaluation.queries import QuerySet, catalog_queries, subset
from item_embed.evaluation.relisting import relisted_queries
from item_embed.evaluation.same_product import Scorer
from item_embed.progress import OnProgress, silent
from item_embed.search.exact import tie_keys, top_k
from item_embed.wording import number_of

_WEIGHTS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0)  # of pixels and of colours, beside 1 for words
_ENOUGH = 100  # queries; with fewer, chance decides
_BLOCK = 16  # queries scored at once
_DIGITS = 9  # of a figure: two sums of the same numbers in another order are equal


@dataclass(frozen=True)
class FittedWeights:
    """The weights of `words`, `pixels` and `colours`, and where they come from, to be told beside the figures."""

    weights: Mapping[str, float]
    told: str


def fit_simple_weights(
    catalog: Catalog,
    judged: NDArray[np.int64],
    *,
    described: Descriptors | None = None,
    seed: int = 0,
    on_progress: OnProgress = silent,
) -> FittedWeights:
    """Choose the weights with the highest macro recall@10; of equals by MAP@10, then by hit@1, then the smallest.

    The queries are at most 500 listings of the validation split where a hundred have another listing of their product,
    else simulated relistings of its rows; none is of a group that a figure is of. With fewer than a hundred of both,
    the weights of `baselines.METHODS` stay.

    Args:
        catalog: the N rows.
        judged: (Q,) the rows that the judged queries are, or were made from.
        described: the catalogue's photos, of `baselines.describe_catalog`, where they are described already.
        seed: of the relistings, and of the draw of 500.
        on_progress: told of the queries done.

    Examples:
        >>> fit_simple_weights(catalog, catalog_queries(catalog, "test").rows).weights  # doctest: +SKIP
        {'words': 1.0, 'pixels': 0.6, 'colours': 0.8}
    """
    shipped = METHODS["simple"].weights
    found = _queries(catalog, judged, seed)
    if found is None or len(found) < _ENOUGH:
        left = 0 if found is None else len(found)
        few = number_of(left, "query", "queries")
        told = f"as shipped: the validation split leaves {few} to fit them on, and {_ENOUGH} are needed"
        return FittedWeights(shipped, told)
    queries = drawn(found, MOST_QUERIES, seed)
    parts = simple_parts(catalog, queries, shipped, described=described)
    grid = [dict(zip(shipped, (1.0, *weights), strict=True)) for weights in product(_WEIGHTS, repeat=2)]
    scores = _scores(parts, queries, tie_keys(catalog.ids), grid, on_progress)
    best = max(range(len(grid)), key=lambda place: (*scores[place], -sum(grid[place].values())))
    kind = "simulated relistings" if queries.protocol == "relistings" else "listings"
    return FittedWeights(grid[best], f"fitted on {len(queries):,} {kind} of the validation split")


def _queries(catalog: Catalog, judged: NDArray[np.int64], seed: int) -> QuerySet | None:
    """Those of the validation split that are of no judged group; None where it has no rows."""
    groups = np.unique(catalog.groups[judged])
    try:
        labelled = _less(catalog_queries(catalog, "validation"), catalog, groups)
    except CatalogError:  # no labels
        labelled = None
    if labelled is not None and len(labelled) >= _ENOUGH:
        return labelled
    try:  # one of a group: so many that enough are left
        made = relisted_queries(catalog, MOST_QUERIES + len(groups), split="validation", seed=seed)
    except CatalogError:
        return None
    return _less(made, catalog, groups)


def _less(queries: QuerySet, catalog: Catalog, groups: NDArray[np.int64]) -> QuerySet:
    return subset(queries, np.flatnonzero(~np.isin(catalog.groups[queries.rows], groups)))


def _scores(
    parts: Mapping[str, Scorer],
    queries: QuerySet,
    ties: NDArray[np.uint64],
    grid: list[dict[str, float]],
    on_progress: OnProgress,
) -> list[tuple[float, float, float]]:
    """Macro recall@10, MAP@10 and hit@1 by each of the weights; every part is scored once."""
    right = np.zeros((len(grid), len(queries), CUTOFF), np.bool_)
    for start in range(0, len(queries), _BLOCK):
        part = slice(start, min(start + _BLOCK, len(queries)))
        scores = {name: scorer(part) for name, scorer in parts.items()}
        asked = subset(queries, np.arange(part.start, part.stop))
        for place, weights in enumerate(grid):
            total = np.round(sum(np.float32(weight) * scores[name] for name, weight in weights.items()), 5)
            rows, _ = top_k(np.asarray(total, np.float32), CUTOFF, ties, asked.excluded)
            right[place, part, : rows.shape[1]] = asked.is_right(rows)
        on_progress(part.stop, len(queries))
    return [_figures(query_metrics(ranked, queries.relevant), queries.products) for ranked in right]


def _figures(metrics: QueryMetrics, products: NDArray[np.int64]) -> tuple[float, float, float]:
    recall = macro_average(metrics.recall_at_10, products)
    ap, hit = float(metrics.ap_at_10.mean()), float(metrics.hit_at_1.mean())
    return round(recall, _DIGITS), round(ap, _DIGITS), round(hit, _DIGITS)
