"""An evaluation from a model, or the names of simple methods, to results."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.seen import Modalities
from item_embed.evaluation.baselines import METHODS, simple_methods
from item_embed.evaluation.embedded import embed_queries, read_catalog_vectors
from item_embed.evaluation.hybrid import evaluate_hybrid
from item_embed.evaluation.queries import SIMULATED, QuerySet
from item_embed.evaluation.same_product import SameProductResult, evaluate_same_product, evaluate_scorer
from item_embed.model.folder import provenance
from item_embed.progress import Stages, silent_stages
from item_embed.search.exact import tie_keys
from item_embed.search.words import TitleWords
from item_embed.wording import number_of

if TYPE_CHECKING:  # the embedder brings torch
    from item_embed.embedding.embedder import Embedder


def evaluate_model(
    embedder: "Embedder",
    catalog: Catalog,
    queries: QuerySet,
    modalities: Modalities = "both",
    *,
    hybrid: bool = False,
    vectors: Path | NDArray[np.float32] | None = None,
    batch_size: int = 256,
    stage: Stages = silent_stages,
) -> list[SameProductResult]:
    """Same-product retrieval by a model: embed catalogue and queries, search, judge.

    Args:
        embedder: the model.
        catalog: the rows to be found.
        queries: what is asked.
        modalities: what the model sees of queries and catalogue.
        hybrid: whether to search by vector and words of titles together as well.
        vectors: the catalogue's vectors, (N, d), or a file of them by `item embed`, which saves their making.
        batch_size: products that the model embeds at once.
        stage: told of the progress of each stage.

    Returns:
        The model's result and, if asked for, that of `hybrid.evaluate_hybrid`.

    Raises:
        VectorError: when the file's vectors are not those of this model, catalogue and modalities.

    Examples:
        >>> queries = catalog_queries(catalog, "test")                        # doctest: +SKIP
        >>> [result] = evaluate_model(embedder, catalog, queries)             # doctest: +SKIP
        >>> result.figures()["macro_recall_at_10"].text()                     # doctest: +SKIP
        '0.413 [0.398, 0.428]'
    """
    if isinstance(vectors, Path):
        rows = read_catalog_vectors(vectors, catalog, embedder, modalities)
    elif vectors is not None:
        rows = vectors
    else:
        with stage("embedding the catalogue") as on_progress:
            rows = embed_catalog(embedder, catalog, modalities, batch_size=batch_size, on_progress=on_progress).vectors
    asked: NDArray[np.float32]
    if queries.protocol == "listings":
        asked = rows[queries.rows]
    else:
        with stage("embedding the queries") as on_progress:
            asked = embed_queries(embedder, queries, modalities, batch_size=batch_size, on_progress=on_progress)
    ties = tie_keys(catalog.ids)
    with stage("searching") as on_progress:
        found = evaluate_same_product(rows, asked, queries, ties, modalities=modalities, on_progress=on_progress)
    if not hybrid:
        return [found]
    with stage("searching by words too") as on_progress, TitleWords(catalog.ids, catalog.titles) as words:
        joined = evaluate_hybrid(rows, asked, queries, ties, words, modalities=modalities, on_progress=on_progress)
    return [found, joined]


def evaluate_simple(
    names: Iterable[str], catalog: Catalog, queries: QuerySet, stage: Stages = silent_stages
) -> list[SameProductResult]:
    """Same-product retrieval by simple methods, each by what it sees.

    Args:
        names: keys of `baselines.METHODS`.
        catalog: the rows to be found.
        queries: what is asked.
        stage: told of the progress of each stage.

    Returns:
        A result for each name, in their order.

    Examples:
        >>> [result] = evaluate_simple(["simple"], catalog, queries)  # doctest: +SKIP
    """
    names = list(names)
    ties = tie_keys(catalog.ids)
    with stage("describing photos") as on_progress:
        scorers = simple_methods(catalog, queries, names, on_progress)
    results = []
    for name in names:
        seen = METHODS[name].modalities
        with stage(f"searching by {name}") as on_progress:
            results.append(
                evaluate_scorer(scorers[name], queries, ties, method=name, modalities=seen, on_progress=on_progress)
            )
    return results


def default_split(model: Path, catalog: Catalog) -> str:
    """`test` if the model was trained on this catalogue, so that no query was seen in training; else `all`."""
    return "test" if _trained_on(model, catalog) is not None else "all"


def training_remarks(model: Path, catalog: Catalog, queries: QuerySet) -> tuple[str, ...]:
    """What a reader of the figures should know of the model's training.

    Whether it saw the queries' own rows; nothing is said where rows were left out on request: they may be those of the
    queries. And whether it has practised what simulated relistings are made by.
    """
    return (*_seen_remarks(model, catalog, queries), *_practised_remarks(model, queries))


def _practised_remarks(model: Path, queries: QuerySet) -> tuple[str, ...]:
    weights = provenance(model).get("config", {}).get("objectives", {}).get("weights", {})
    if SIMULATED not in queries.remarks or not weights.get("agreement"):
        return ()
    return (
        "The model learnt to stand changes of the kinds that relistings are made by (agreement), which flatters it "
        "beside methods that did not; real second listings say more.",
    )


def _seen_remarks(model: Path, catalog: Catalog, queries: QuerySet) -> tuple[str, ...]:
    if _trained_on(model, catalog) != 0:
        return ()
    trained = int((catalog.splits[queries.rows] == "train").sum())
    if not trained:
        return ()
    asked, belong = number_of(len(queries), "query", "queries"), "belongs" if trained == 1 else "belong"
    mend = "item pretrain --exclude-groups with these queries" if queries.protocol == "given" else "--split test"
    return (
        f"{trained:,} of {asked} {belong} to rows that the model was trained on, so the figures may "
        f"flatter it; {mend} keeps them apart.",
    )


def training_note(model: Path, catalog: Catalog, rows: NDArray[np.int64]) -> str:
    """What a reader should know of a model's training where other methods learn from some rows of a catalogue.

    Args:
        model: its folder.
        catalog: the catalogue.
        rows: (n,) those of the training split, less the groups of given queries.

    Returns:
        A clause; empty where the folder does not say how the model was trained.
    """
    known = provenance(model)
    if "catalog_fingerprint" not in known:
        return ""
    left_out = _trained_on(model, catalog)
    if left_out is None:
        return "trained on another catalogue, or on this one as it was prepared another time"
    mend = "so the figures may flatter it; item pretrain --exclude-groups with these queries keeps them apart"
    if left_out:
        if known.get("rows_sha256") == hashlib.sha256(rows.tobytes()).hexdigest():
            return "trained on the rows that the other methods learn from"
        return f"trained on this catalogue without {number_of(left_out, 'row')}, not those of these queries, {mend}"
    kept_apart = len(catalog.rows("train")) - len(rows)
    if kept_apart:
        rows_kept = number_of(kept_apart, "row")
        used = "trained on or whitened by" if known.get("whitened") else "trained on"
        return f"{used} {rows_kept} of the queries' groups, which no other method learns from, {mend}"
    return "trained on the whole training split; queries that come from it would flatter the figures"


def _trained_on(model: Path, catalog: Catalog) -> int | None:
    """How many rows of the catalogue were left out of the model's training on request; None if it was not used.

    Of all runs that the model came by, where one went on from another, and of its whitening: a row was left out if all
    left it out.
    """
    known, left_out = provenance(model), []
    while known:
        for use in (known, known.get("whitened") or {}):
            if use.get("catalog_fingerprint") == catalog.fingerprint:
                excluded = use.get("excluded_rows", 0)
                left_out.append(excluded if isinstance(excluded, int) else 0)
        known = known.get("from") or {}
    return min(left_out, default=None)
