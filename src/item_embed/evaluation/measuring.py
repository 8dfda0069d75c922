"""All that a comparison measures of one method: the same queries, the same labelled rows."""

from contextlib import suppress
from dataclasses import dataclass

from item_embed.catalog.store import Catalog
from item_embed.categories.classifiers import Classifier
from item_embed.categories.leaves import LeafTask, leaf_task
from item_embed.categories.linear import linear_probe
from item_embed.embedding.bulk import Embeds
from item_embed.embedding.seen import Modalities
from item_embed.errors import CatalogError
from item_embed.evaluation.asked import Asked
from item_embed.evaluation.classification import judge
from item_embed.evaluation.dominance import movement
from item_embed.evaluation.finders import VectorFinder, vector_finder
from item_embed.evaluation.measured import Sums, accuracy_sums, alone, dominance_sums, known, retrieval_sums
from item_embed.evaluation.queries import QuerySet
from item_embed.evaluation.same_product import SameProductResult
from item_embed.progress import Stages, silent_stages
from item_embed.search.words import TitleWords

_ALONE: tuple[Modalities, ...] = ("image", "title")
_NAMES: dict[Modalities, str] = {"image": "photo", "title": "title"}


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

    @property
    def sides(self) -> tuple[Modalities, ...]:
        """What can be asked for alone: `image` and `title`, where some query and some row have it."""
        catalog, queries = self.catalog, self.queries
        pictured = catalog.has_photo.any() and queries.has_photo.any()
        titled = catalog.titles.present.any() and queries.has_title.any()
        return tuple(side for side, there in zip(_ALONE, (pictured, titled), strict=True) if there)


def open_questions(catalog: Catalog, asked: Asked, *, leaf_category: bool = True) -> Questions:
    """The questions that a catalogue has answers to.

    Args:
        catalog: the N rows.
        asked: the same-product queries.
        leaf_category: whether to ask for leaf category where there are labels.

    Raises:
        ConfigError, CatalogError: when there are no such queries.

    Examples:
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

    A method that sees one modality finds by that side what it finds by the whole, and has no dominance to measure. A
    side that no query or no row has is not measured: whatever is found by it is found by the order of ties.

    Args:
        embeds: the method.
        questions: what it is asked.
        sees: what of a product it can see.
        batch_size: products that it embeds at once.
        stage: told of the progress of each stage.

    Returns:
        Figures by their names in `measured.FIGURES`, in that order.

    Raises:
        CatalogError: when the one side that the method sees is there of no query, or of no row.

    Examples:
        >>> found = measure(embedder, Questions(catalog, queries))   # doctest: +SKIP
        >>> found["macro_recall_at_10"].figure().text()              # doctest: +SKIP
        '0.483 [0.468, 0.498]'
    """
    if sees != "both" and sees not in questions.sides:
        raise CatalogError(
            f"no query, or no row of {questions.catalog.path}, has a {_NAMES[sees]}, and the method sees nothing else."
        )
    found: dict[str, Sums] = {}
    for seen in ("both", *questions.sides) if sees == "both" else (sees,):
        finder, result = _searched(embeds, questions, seen, batch_size, stage)
        sums = retrieval_sums(result.metrics, result.queries.products)
        if seen == sees:
            found |= sums
            if questions.leaves is not None:
                with stage("classifying"):
                    found["accuracy"] = classified(linear_probe(finder.index), questions.leaves)
        if seen in _ALONE:
            found[alone(seen)] = sums["macro_recall_at_10"]
        del finder  # the catalogue's vectors by one side are let go before those by the next are made
    if sees == "both":
        with suppress(CatalogError):  # no query has both a photo and a title: there is nothing to exchange
            found["dominance_index"] = dominance_sums(
                movement(
                    embeds,
                    questions.catalog,
                    questions.queries,
                    seed=questions.seed,
                    batch_size=batch_size,
                    stage=stage,
                )
            )
    return {name: found[name] for name in known(found)}


def measure_hybrid(
    embeds: Embeds,
    questions: Questions,
    *,
    sees: Modalities = "both",
    batch_size: int = 256,
    stage: Stages = silent_stages,
) -> dict[str, Sums]:
    """Same product by vectors and words together, of the whole listing and of the title alone; see `hybrid`.

    By the photo alone there are no words to join, and leaf category and dominance are of vectors: `measure` has those.

    Args:
        embeds: the method.
        questions: what it is asked.
        sees: what of a product it can see: `both` or the `title`.
        batch_size: products that it embeds at once.
        stage: told of the progress of each stage.

    Returns:
        Figures by their names in `measured.FIGURES`, in that order.

    Raises:
        CatalogError: when no query, or no row, has a title.

    Examples:
        >>> measure_hybrid(embedder, questions)["hit_at_1"].figure().text()  # doctest: +SKIP
        '0.702 [0.688, 0.716]'
    """
    catalog = questions.catalog
    if "title" not in questions.sides:
        raise CatalogError(f"no query, or no row of {catalog.path}, has a title, whose words could be joined.")
    found: dict[str, Sums] = {}
    with TitleWords(catalog.ids, catalog.titles) as words:
        for seen in dict.fromkeys((sees, "title")):
            _, result = _searched(embeds, questions, seen, batch_size, stage, words=words)
            sums = retrieval_sums(result.metrics, result.queries.products)
            found |= sums if seen == sees else {}
            if seen == "title":
                found[alone(seen)] = sums["macro_recall_at_10"]
    return found


def _searched(
    embeds: Embeds,
    questions: Questions,
    seen: Modalities,
    batch_size: int,
    stage: Stages,
    *,
    words: TitleWords | None = None,
) -> tuple[VectorFinder, SameProductResult]:
    with stage(f"embedding the catalogue ({seen})") as on_progress:
        finder = vector_finder(embeds, questions.catalog, seen, batch_size=batch_size, on_progress=on_progress)
    with stage(f"searching ({seen})") as on_progress:
        return finder, finder.judge(finder.embed(questions.queries, on_progress), questions.queries, words)


def classified(classifier: Classifier, leaves: LeafTask) -> Sums:
    """The accuracy of a classifier that learns from all training rows."""
    return accuracy_sums(judge(classifier(leaves, leaves.train), leaves, len(leaves.train)))
