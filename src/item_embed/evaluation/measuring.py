"""All that a comparison measures of one method: the same queries, the same labelled rows."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.embedding.bulk import Embeds
from item_embed.embedding.seen import Modalities
from item_embed.errors import CatalogError
from item_embed.evaluation.asked import Asked
from item_embed.evaluation.classification import judge
from item_embed.evaluation.classifiers import Classifier, linear_probe
from item_embed.evaluation.dominance import evaluate_dominance
from item_embed.evaluation.finders import VectorFinder, vector_finder
from item_embed.evaluation.leaves import LeafTask, leaf_task
from item_embed.evaluation.measured import Sums, accuracy_sums, alone, dominance_sums, retrieval_sums
from item_embed.evaluation.queries import QuerySet
from item_embed.evaluation.same_product import SameProductResult
from item_embed.progress import Stages, silent_stages

_ALONE: tuple[Modalities, ...] = ("image", "title")


@dataclass(frozen=True)
class Questions:
    """What every method is asked.

    Attributes:
        catalog: the N rows.
        queries: the same-product queries.
        leaves: the labelled rows for leaf category, which a linear probe learns from; None: not asked.
        seed: of draws.
        remarks: what a reader of the figures should know of all that.
    """

    catalog: Catalog
    queries: QuerySet
    leaves: LeafTask | None = None
    seed: int = 0
    remarks: tuple[str, ...] = ()


def open_questions(catalog: Catalog, asked: Asked, *, leaf_category: bool = True) -> Questions:
    """The questions that a catalogue has answers to.

    Args:
        catalog: the N rows.
        asked: the same-product queries.
        leaf_category: whether to ask for leaf category where there are labels.

    Raises:
        ConfigError, CatalogError: when there are no such queries.

    Example:
        >>> open_questions(Catalog("catalog"), Asked(relist=500)).remarks  # doctest: +SKIP
        ('Simulated relistings: ...',)
    """
    queries = asked.queries(catalog)
    leaves, remarks = None, queries.remarks
    if leaf_category:
        try:
            leaves = leaf_task(catalog)
        except CatalogError as error:  # no labels, or one leaf: the other figures are there all the same
            remarks = (*remarks, f"Leaf category is not measured: {error}")
        else:
            remarks = (*remarks, *leaves.remarks)
    return Questions(catalog, queries, leaves, asked.seed, remarks)


def measure(
    embeds: Embeds,
    questions: Questions,
    *,
    sees: Modalities = "both",
    batch_size: int = 256,
    stage: Stages = silent_stages,
) -> dict[str, Sums]:
    """Same product by the whole listing and by each side alone, leaf category by a linear probe, dominance.

    A method that sees one modality finds by that side what it finds by the whole, and has no dominance to measure.

    Args:
        embeds: the method.
        questions: what it is asked.
        sees: what of a product it can see.
        batch_size: products that it embeds at once.
        stage: told of the progress of each stage.

    Returns:
        Figures by their names in `measured.FIGURES`.

    Example:
        >>> found = measure(embedder, Questions(catalog, queries))   # doctest: +SKIP
        >>> found["macro_recall_at_10"].figure().text()              # doctest: +SKIP
        '0.483 [0.468, 0.498]'
    """
    finders: dict[Modalities, VectorFinder] = {}
    for seen in ("both", *_ALONE) if sees == "both" else (sees,):
        with stage(f"embedding the catalogue ({seen})") as on_progress:
            finders[seen] = vector_finder(
                embeds, questions.catalog, seen, batch_size=batch_size, on_progress=on_progress
            )
    results: dict[Modalities, SameProductResult] = {}
    for seen, finder in finders.items():
        with stage(f"searching ({seen})") as on_progress:
            results[seen] = finder.judge(finder.embed(questions.queries, on_progress), questions.queries)
    vectors = {seen: finder.index for seen, finder in finders.items()}
    found = _retrieval(results, sees)
    if questions.leaves is not None:
        with stage("classifying"):
            found["accuracy"] = classified(linear_probe(vectors[sees]), questions.leaves)
    if sees == "both":
        with suppress(CatalogError):  # no query has both a photo and a title: there is nothing to exchange
            found["dominance_index"] = _dominance(embeds, questions, vectors, batch_size, stage)
    return found


def classified(classifier: Classifier, leaves: LeafTask) -> Sums:
    """The accuracy of a classifier that learns from all training rows."""
    return accuracy_sums(judge(classifier(leaves, leaves.train), leaves, len(leaves.train)))


def _retrieval(results: Mapping[Modalities, SameProductResult], sees: Modalities) -> dict[str, Sums]:
    """The figures by what the method sees; recall@10 by each side alone."""
    found = {seen: retrieval_sums(result.metrics, result.queries.products) for seen, result in results.items()}
    return found[sees] | {alone(seen): found[seen]["macro_recall_at_10"] for seen in _ALONE if seen in found}


def _dominance(
    embeds: Embeds,
    questions: Questions,
    vectors: Mapping[Modalities, NDArray[np.float32]],
    batch_size: int,
    stage: Stages,
) -> Sums:
    dominance = evaluate_dominance(
        embeds,
        questions.catalog,
        questions.queries,
        vectors=vectors,
        seed=questions.seed,
        batch_size=batch_size,
        stage=stage,
    )
    return dominance_sums(dominance.movement)
