"""How good the probabilities of `item serve` are for queries: learned from half of some, judged on what else there is.

    python benchmarks/query_probabilities.py run/model catalog --queries relistings.parquet

Judged are the other half, by product; that half with its products taken out of the index, where every hit is wrong;
that half with a filter that one listing in a hundred passes and none of its products, by leads over the whole index, as
`item serve` takes them, and over what passes; and the listings of the catalogue whose product has another: real second
listings, where the queries are simulated. Each by cosine and lead, as `item evaluate --probabilities` learns it, and by
the cosine alone.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from item_embed import Catalog, Embedder
from item_embed.embedding.bulk import embed_catalog
from item_embed.evaluation.embedded import embed_queries, read_catalog_vectors
from item_embed.evaluation.queries import QuerySet, catalog_queries, given_queries, subset
from item_embed.evaluation.query_probability import ShownHits, shown_hits
from item_embed.evaluation.same_product import evaluate_same_product
from item_embed.search.calibration import fit_probability
from item_embed.search.exact import search, tie_keys
from item_embed.search.probability import Answers
from item_embed.search.query_product import SHOWN, leads

Vectors = NDArray[np.float32]


def judged(
    vectors: Vectors, asked: Vectors, queries: QuerySet, catalog: Catalog, seed: int = 0
) -> dict[str, dict[str, dict[str, Any]]]:
    """How good each way is on each kind of query.

    Args:
        vectors: (N, d) of the catalogue.
        asked: (Q, d) of the queries.
        queries: given ones, that have photos and titles.
        catalog: that they are asked of.
        seed: of the halves.
    """
    ties = tie_keys(catalog.ids)
    products = np.unique(queries.products)
    learned_from = np.isin(queries.products, np.random.default_rng(seed).permutation(products)[: len(products) // 2])
    halves = [np.flatnonzero(learned_from), np.flatnonzero(~learned_from)]
    learned, other = (
        shown_hits(evaluate_same_product(vectors, asked[half], subset(queries, half), ties), vectors) for half in halves
    )
    there = np.isin(queries.listings, queries.listings[queries.rows[halves[1]]])
    kinds = {"other half": other, "absent": absent(vectors[~there], asked[halves[1]], ties[~there])}
    some = np.random.default_rng(seed).permutation(np.flatnonzero(~there))[: max(SHOWN, len(vectors) // 100)]
    kinds["filtered"] = filtered(vectors, asked[halves[1]], some, ties)
    kinds["filtered, over what passes"] = absent(vectors[some], asked[halves[1]], ties[some])
    listings = catalog_queries(catalog)
    kinds["listings"] = shown_hits(evaluate_same_product(vectors, vectors[listings.rows], listings, ties), vectors)
    by_both, by_cosine = learned.fit(), fit_probability(learned.answers)
    ways: dict[str, Callable[[ShownHits], NDArray[np.float64]]] = {
        "cosine and lead": lambda hits: by_both(hits.answers.cosine, hits.lead),
        "cosine": lambda hits: by_cosine(hits.answers.cosine),
    }
    return {way: {kind: hits.judge(of(hits)) for kind, hits in kinds.items()} for way, of in ways.items()}


def absent(vectors: Vectors, asked: Vectors, ties: NDArray[np.uint64]) -> ShownHits:
    """The hits of queries in an index that has none of their products."""
    rows, scores = search(asked, vectors, SHOWN, ties, None)
    lead = [leads(cosine, vectors[found]) for cosine, found in zip(scores, rows, strict=True)]
    return _wrong(scores, np.stack(lead))


def filtered(vectors: Vectors, asked: Vectors, some: NDArray[np.int64], ties: NDArray[np.uint64]) -> ShownHits:
    """The hits of queries among some rows, none of their products, with leads over the first ten of all rows."""
    rows, scores = search(asked, vectors[some], SHOWN, ties[some], None)
    rivals, best = search(asked, vectors, SHOWN, ties, None)
    rows, scores = np.concatenate([rivals, some[rows]], axis=1), np.concatenate([best, scores], axis=1)
    lead = [leads(cosine, vectors[found])[SHOWN:] for cosine, found in zip(scores, rows, strict=True)]
    return _wrong(scores[:, SHOWN:], np.stack(lead))


def _wrong(scores: Vectors, lead: NDArray[np.float64]) -> ShownHits:
    """The first ten hits of each query, all of them wrong."""
    answers = Answers(
        scores.ravel(), np.zeros(scores.size, np.bool_), np.ones(scores.size), np.repeat(np.arange(len(scores)), SHOWN)
    )
    return ShownHits(answers, lead.ravel(), np.arange(scores.size) % SHOWN == 0, len(scores))


def main() -> None:
    """Print a line for each way and kind of query."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("--queries", type=Path, required=True)
    parser.add_argument("--vectors", type=Path)
    arguments = parser.parse_args()
    embedder, catalog = Embedder.from_pretrained(arguments.model), Catalog(arguments.catalog)
    queries = given_queries(arguments.queries, catalog)
    vectors = (
        embed_catalog(embedder, catalog).vectors
        if arguments.vectors is None
        else read_catalog_vectors(arguments.vectors, catalog, embedder)
    )
    for way, kinds in judged(vectors, embed_queries(embedder, queries), queries, catalog).items():
        for kind, found in kinds.items():
            print(way, "|", kind, "|", found)


if __name__ == "__main__":
    main()
