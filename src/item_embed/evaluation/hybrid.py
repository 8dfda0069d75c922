"""Same-product retrieval by vector and by words together: what `item search --hybrid` would find.

Letters in shapes: Q queries, q of them ranked at once, N rows of the catalogue, d dimensions, k ranks kept.
"""

import numpy as np
from numpy.typing import NDArray

from item_embed.embedding.seen import Modalities, seen_title
from item_embed.evaluation.metrics import CUTOFF
from item_embed.evaluation.queries import QuerySet
from item_embed.evaluation.same_product import SameProductResult, judge, ranked
from item_embed.progress import OnProgress, silent
from item_embed.search.exact import search
from item_embed.search.fusion import DEPTH, best_by_both
from item_embed.search.words import TitleWords

WORDS = "BM25"  # what a method is joined with, as tables call it

_PART = 64  # queries between reports of progress: words take longer than vectors


def evaluate_hybrid(
    index_vectors: NDArray[np.float32],
    query_vectors: NDArray[np.float32],
    queries: QuerySet,
    ties: NDArray[np.uint64],
    words: TitleWords,
    *,
    method: str = "model",
    modalities: Modalities = "both",
    on_progress: OnProgress = silent,
) -> SameProductResult:
    """As `same_product.evaluate_same_product`, the ranking by cosine joined with BM25 of titles by reciprocal rank.

    Depth and fusion are those of `ProductIndex.search_hybrid`. Vectors are searched exactly, as an index of up to
    50,000 products searches them. A query without a title finds what its vector finds. A row that its query may not
    find is in neither ranking, as with the filter `id != "that row"`.

    Args:
        index_vectors: (N, d) unit vectors of all rows of the catalogue, in its order.
        query_vectors: (Q, d) unit vectors of the queries.
        queries: what is asked, and what is right.
        ties: (N,) keys of the rows, from `search.exact.tie_keys`.
        words: the catalogue's titles.
        method: the name of what made the vectors; the result's says that BM25 was added.
        modalities: what it saw.
        on_progress: told of the queries ranked.

    Examples:
        >>> with TitleWords(catalog.ids, catalog.titles) as words:                               # doctest: +SKIP
        ...     result = evaluate_hybrid(vectors, vectors[queries.rows], queries, ties, words)
        >>> result.method                                                                        # doctest: +SKIP
        'model + BM25'
    """

    def rank(part: slice, excluded: NDArray[np.int64] | None) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        nearest, _ = search(query_vectors[part], index_vectors, DEPTH, ties, excluded)
        rows = np.full((len(nearest), CUTOFF), -1, np.int64)
        scores = np.full((len(nearest), CUTOFF), -np.inf, np.float32)
        for query, (title, near) in enumerate(zip(queries.titles[part], nearest, strict=True)):
            by_words = words.rows(seen_title(title) or "", DEPTH + (excluded is not None))
            if excluded is not None:
                by_words = by_words[by_words != excluded[query]][:DEPTH]
            best = best_by_both(near[near >= 0].tolist(), by_words.tolist(), CUTOFF)
            rows[query, : len(best)], scores[query, : len(best)] = list(best), list(best.values())
        return rows, scores

    found = ranked(rank, queries, _PART, on_progress)
    return judge(found, queries, f"{method} + {WORDS}", modalities)
