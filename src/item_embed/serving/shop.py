"""`Shop`: what is served: an index, the model that reads queries, and what else there is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from item_embed.embedding.seen import Modalities
from item_embed.errors import VectorError
from item_embed.explain.explanation import Seen
from item_embed.search.duplicates.decision import Decision
from item_embed.search.index import ProductIndex
from item_embed.search.probability import ProbabilityTable
from item_embed.search.query_product import QueryProbabilities
from item_embed.serving.fields import Filter, filters_of
from item_embed.serving.review import Review

if TYPE_CHECKING:  # a classifier brings scikit-learn, which few services need
    from item_embed.categories.abstaining import Thresholds
    from item_embed.categories.classifier import CategoryClassifier
    from item_embed.embedding.embedder import Embedder

#: Why two products are alike: what `schemas.Explained` holds.
Explain = Callable[[Seen, Seen], Mapping[str, Any]]

_NAMES = {"image": "photos", "title": "titles"}


@dataclass(frozen=True)
class Shop:
    """What a service serves.

    Attributes:
        index: where products are found.
        embedder: reads queries; its vectors compare with those of the index.
        decision: whether two products are the same, from `item duplicates`.
        review: pairs to be judged, from the same folder.
        classifier: from `item classify fit`.
        explain: why two products are alike.
        queries: whether a hit is the product of a query from outside, from `item evaluate --probabilities`.

    Raises:
        VectorError: when the parts belong to different models, or the model reads nothing of what the vectors are of.

    Examples:
        >>> shop = Shop(ProductIndex.open("index"), Embedder.from_pretrained("run/model"))  # doctest: +SKIP
    """

    index: ProductIndex
    embedder: "Embedder"
    decision: Decision | None = None
    review: Review | None = None
    classifier: "CategoryClassifier | None" = None
    explain: Explain | None = None
    queries: QueryProbabilities | None = None

    def __post_init__(self) -> None:
        index, mine = self.index, self.index.fingerprint
        parts = (
            (
                "the model",
                self.embedder.fingerprint,
                "give the --model that made the vectors, or embed and index again",
            ),
            (
                "--duplicates",
                None if self.decision is None else self.decision.fingerprint,
                "run `item duplicates` on this index",
            ),
            (
                "--categories",
                None if self.classifier is None else self.classifier.encoder.fingerprint,
                "fit the classifier again",
            ),
            (
                "--query-probabilities",
                None if self.queries is None else self.queries.fingerprint,
                "run `item evaluate --probabilities` with the model of this index",
            ),
        )
        for name, theirs, mend in parts:
            if theirs is not None and theirs != mine:
                raise VectorError(
                    f"{name} ({theirs[:12]}) does not belong to the vectors of {index.path} ({mine[:12]}); {mend}."
                )
        if self.queries is not None and self.queries.modalities != index.modalities:
            raise VectorError(
                f"--query-probabilities were learned with --modalities {self.queries.modalities}, and the vectors of "
                f"{index.path} were made with {index.modalities}; run `item evaluate --probabilities` with that."
            )
        if not self.sees:
            reads, made_of = (_NAMES[side] for (side,) in (self.embedder.sees, self.made_of))
            raise VectorError(
                f"the model reads {reads} alone, and the vectors of {index.path} are of {made_of} alone; give the "
                f"whole --model, or an export that reads {made_of}."
            )

    @classmethod
    def open(
        cls,
        index: ProductIndex,
        embedder: "Embedder",
        duplicates: Path | None = None,
        categories: Path | None = None,
        *,
        explain: Explain | None = None,
        query_probabilities: Path | None = None,
    ) -> Self:
        """Open the parts that are folders.

        Args:
            index: where products are found.
            embedder: reads queries.
            duplicates: what `item duplicates` wrote.
            categories: what `item classify fit` wrote.
            explain: why two products are alike.
            query_probabilities: what `item evaluate --probabilities` wrote.

        Raises:
            VectorError: when a part belongs to another model, or holds nothing of its kind.
            ModelError: when `categories` holds no classifier.
        """
        decision = review = classifier = None
        if duplicates is not None:
            decision, review = Decision.read(duplicates), Review.open(duplicates, index)
        if categories is not None:
            from item_embed.categories.classifier import CategoryClassifier

            classifier = CategoryClassifier.load(categories)
        queries = None if query_probabilities is None else QueryProbabilities.read(query_probabilities)
        return cls(index, embedder, decision, review, classifier, explain, queries)

    @property
    def variants_differ(self) -> bool:
        """Whether listings that differ in the column of variants are different products, whatever their score."""
        rule = None if self.decision is None else self.decision.variants
        return rule is not None and not rule.same

    @property
    def of_listings(self) -> ProbabilityTable:
        """The probability that two listings of the index are one product, by cosine; empty where it is not known."""
        return ProbabilityTable.empty() if self.decision is None else self.decision.probability

    @cached_property
    def sees(self) -> frozenset[str]:
        """What can be looked for: `image`, `title`."""
        return self.made_of & self.embedder.sees

    @cached_property
    def made_of(self) -> frozenset[str]:
        """What the vectors of the index were made of: `image`, `title`."""
        seen = self.index.modalities
        return frozenset({"image", "title"} if seen == "both" else {str(seen)})

    @property
    def modalities(self) -> Modalities:
        """What can be looked for, as an index tells it."""
        sides: tuple[Modalities, ...] = ("image", "title")
        return next((side for side in sides if self.sees == {side}), self.index.modalities)

    def read_ahead(self) -> None:
        """Make now what the first request would have to wait for."""
        _ = self.filters
        if self.classifier is not None:
            _ = self.thresholds, self.silent

    @cached_property
    def thresholds(self) -> "Thresholds":
        """From which probabilities on categories are answered."""
        assert self.classifier is not None
        return self.classifier.thresholds()

    @cached_property
    def silent(self) -> str | None:
        """Why no category at all is answered, as a sentence; None where some are."""
        assert self.classifier is not None
        return self.classifier.why_silent()

    @cached_property
    def filters(self) -> dict[str, Filter]:
        """What `where` can name, with frequent values: as it was when the service began."""
        return filters_of(self.index)
