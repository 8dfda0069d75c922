"""The weights of the simple sum, fitted on queries that no figure is of: those of the validation split."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.errors import CatalogError
from item_embed.evaluation.baselines import METHODS, simple_parts
from item_embed.evaluation.metrics import CUTOFF, macro_average, query_metrics
from item_embed.evaluation.queries import QuerySet, catalog_queries, subset
from item_embed.evaluation.relisting import relisted_queries
from item_embed.evaluation.same_product import Scorer
from item_embed.progress import OnProgress, silent
from item_embed.search.exact import tie_keys, top_k

_WEIGHTS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0)  # of pixels and of colours, beside 1 for words
_QUERIES = 500
_ENOUGH = 100  # labelled queries of the validation split; with fewer, relistings of it
_BLOCK = 16  # queries scored at once


@dataclass(frozen=True)
class FittedWeights:
    """The weights of `words`, `pixels` and `colours`, and what they were fitted on, to be told beside the figures."""

    weights: Mapping[str, float]
    fitted_on: str


def fit_simple_weights(catalog: Catalog, seed: int = 0, on_progress: OnProgress = silent) -> FittedWeights:
    """Choose the weights with the highest macro recall@10; of equals, the smallest.

    The queries are listings of the validation split where a hundred have another listing of their product, else
    simulated relistings of its rows. A catalogue without a validation split keeps the weights of `baselines.METHODS`.

    Args:
        catalog: the catalogue.
        seed: of the relistings.
        on_progress: told of the queries done.

    Example:
        >>> fit_simple_weights(Catalog("catalog")).weights  # doctest: +SKIP
        {'words': 1.0, 'pixels': 0.6, 'colours': 0.8}
    """
    shipped = METHODS["simple"].weights
    try:
        queries = _queries(catalog, seed)
    except CatalogError:
        return FittedWeights(shipped, "nothing of this catalogue: it has no validation split")
    parts = simple_parts(catalog, queries, shipped)
    grid = [dict(zip(shipped, (1.0, *weights), strict=True)) for weights in product(_WEIGHTS, repeat=2)]
    recall = _recall(parts, queries, tie_keys(catalog.ids), grid, on_progress)
    best = max(range(len(grid)), key=lambda place: (recall[place], -sum(grid[place].values())))
    kind = "simulated relistings" if queries.protocol == "relistings" else "listings"
    return FittedWeights(grid[best], f"{len(queries):,} {kind} of the validation split")


def _queries(catalog: Catalog, seed: int) -> QuerySet:
    try:
        labelled = catalog_queries(catalog, "validation")
    except CatalogError:
        labelled = None
    if labelled is not None and len(labelled) >= _ENOUGH:
        return labelled
    return relisted_queries(catalog, _QUERIES, split="validation", seed=seed)


def _recall(
    parts: Mapping[str, Scorer],
    queries: QuerySet,
    ties: NDArray[np.uint64],
    grid: list[dict[str, float]],
    on_progress: OnProgress,
) -> NDArray[np.float64]:
    """Macro recall@10 by each of the weights, (weights,); every part is scored once."""
    recall = np.zeros((len(grid), len(queries)))
    for start in range(0, len(queries), _BLOCK):
        part = slice(start, min(start + _BLOCK, len(queries)))
        scores = {name: scorer(part) for name, scorer in parts.items()}
        asked = subset(queries, np.arange(part.start, part.stop))
        for place, weights in enumerate(grid):
            total = np.round(sum(np.float32(weight) * scores[name] for name, weight in weights.items()), 5)
            rows, _ = top_k(np.asarray(total, np.float32), CUTOFF, ties, asked.excluded)
            recall[place, part] = query_metrics(asked.is_right(rows), asked.relevant).recall_at_10
        on_progress(part.stop, len(queries))
    return np.array([macro_average(values, queries.products) for values in recall])
