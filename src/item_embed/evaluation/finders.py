"""Methods ready to be asked again and again: the catalogue is read once, and only the queries are embedded anew.

Letters in shapes: Q queries, N rows of the catalogue, d dimensions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from item_embed.catalog.store import Catalog
from item_embed.embedding.bulk import embed_seen
from item_embed.embedding.seen import Modalities
from item_embed.errors import VectorError
from item_embed.evaluation.baselines import METHODS, Descriptors, describe, grid_for, histograms, tfidf, thumbnails
from item_embed.evaluation.drawn import rows_as_queries
from item_embed.evaluation.queries import QuerySet
from item_embed.evaluation.same_product import SameProductResult, Scorer, evaluate_same_product, evaluate_scorer
from item_embed.progress import OnProgress, silent
from item_embed.search.exact import tie_keys

if TYPE_CHECKING:  # the embedder brings torch
    from item_embed.embedding.embedder import Embedder

_PART = 256  # queries whose photos are in memory at once: altered ones are not compressed


class Embeds(Protocol):
    """What makes vectors of photos and titles: `Embedder`, or any other method with the same two names."""

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""

    def embed(
        self,
        images: Sequence[bytes | None] | None = None,
        titles: Sequence[str | None] | None = None,
        batch_size: int = 256,
        on_progress: OnProgress = silent,
    ) -> NDArray[np.float32]:
        """Unit vectors, (n, dimension), of n products that each have an encoded photo or a title."""


class Finder(Protocol):
    """A method over one catalogue."""

    @property
    def modalities(self) -> Modalities:
        """What it sees of queries and index."""

    def find(self, queries: QuerySet) -> SameProductResult:
        """Rank the catalogue for every query and judge it."""


@dataclass(frozen=True)
class VectorFinder:
    """A model and the vectors of a catalogue.

    Attributes:
        embeds: the model.
        index: (N, d) unit vectors of all rows, of which the model saw `modalities`.
        ties: (N,) keys of the rows, from `search.exact.tie_keys`.
        modalities: what it sees of queries and index.
        method: its name.
        batch_size: products that it embeds at once.

    Example:
        >>> vectors = embed_catalog(embedder, catalog).vectors                 # doctest: +SKIP
        >>> finder = VectorFinder(embedder, vectors, tie_keys(catalog.ids))    # doctest: +SKIP
        >>> finder.find(queries).figures()["hit_at_1"].text()                  # doctest: +SKIP
        '0.483 [0.468, 0.498]'
    """

    embeds: Embeds
    index: NDArray[np.float32]
    ties: NDArray[np.uint64]
    modalities: Modalities = "both"
    method: str = "model"
    batch_size: int = 256

    def embed(self, queries: QuerySet, on_progress: OnProgress = silent) -> NDArray[np.float32]:
        """(Q, d) unit vectors; zero for a query of which the model sees nothing, neither photo nor title."""
        embedder = cast("Embedder", self.embeds)  # embed_seen asks for no more than `Embeds` has
        vectors = np.zeros((len(queries), self.embeds.dimension), np.float32)
        for start in range(0, len(queries), _PART):
            numbers = range(start, min(start + _PART, len(queries)))
            photos = [None if self.modalities == "title" else queries.photo(number) for number in numbers]
            titles = [None if self.modalities == "image" else queries.titles[number] for number in numbers]
            vectors[numbers.start : numbers.stop] = embed_seen(embedder, photos, titles, self.batch_size)
            on_progress(numbers.stop, len(queries))
        return vectors

    def judge(self, vectors: NDArray[np.float32], queries: QuerySet) -> SameProductResult:
        """What the vectors of queries, (Q, d), find."""
        return evaluate_same_product(
            self.index, vectors, queries, self.ties, method=self.method, modalities=self.modalities
        )

    def find(self, queries: QuerySet) -> SameProductResult:
        """Embed the queries, rank the catalogue, judge."""
        return self.judge(self.embed(queries), queries)


def vector_finder(
    embeds: Embeds,
    catalog: Catalog,
    modalities: Modalities = "both",
    *,
    vectors: NDArray[np.float32] | None = None,
    method: str = "model",
    batch_size: int = 256,
    on_progress: OnProgress = silent,
) -> VectorFinder:
    """A model over a catalogue, whose rows it embeds unless their vectors, (N, d), are given.

    Raises:
        VectorError: when the vectors given are not one of each row.
    """
    if vectors is not None and len(vectors) != len(catalog):
        raise VectorError(f"{len(vectors):,} vectors are not those of the {len(catalog):,} rows of {catalog.path}.")
    nothing = np.zeros((0, embeds.dimension), np.float32)
    finder = VectorFinder(embeds, nothing, tie_keys(catalog.ids), modalities, method, batch_size)
    found = finder.embed(rows_as_queries(catalog), on_progress) if vectors is None else vectors
    return replace(finder, index=found)


class SimpleFinder:
    """A simple method over a catalogue: the rows' photos are described once, those of the queries each time.

    Args:
        name: a key of `baselines.METHODS`.
        catalog: the rows to be found.
        on_progress: told of the photos described.

    Example:
        >>> SimpleFinder("simple", catalog).find(queries).figures()  # doctest: +SKIP
    """

    def __init__(self, name: str, catalog: Catalog, on_progress: OnProgress = silent) -> None:
        self.method = name
        self.modalities: Modalities = METHODS[name].modalities
        self._titles = catalog.titles
        self._ties = tie_keys(catalog.ids)
        self._rows: Descriptors | None = None
        if self.modalities != "title":
            self._grid = grid_for(catalog)
            self._rows = describe(catalog.iter_photos(), len(catalog), self._grid, on_progress)

    def find(self, queries: QuerySet) -> SameProductResult:
        """Score the catalogue for every query, rank, judge."""
        weights = METHODS[self.method].weights
        asked = self._described(queries)
        parts = [(np.float32(weight), self._part(part, queries, asked)) for part, weight in weights.items()]

        def score(part: slice) -> NDArray[np.float32]:
            total = sum((weight * scorer(part) for weight, scorer in parts), np.float32(0))
            return np.asarray(np.round(total, 5), np.float32)  # as in `baselines`: equal products tie

        return evaluate_scorer(score, queries, self._ties, method=self.method, modalities=self.modalities)

    def _described(self, queries: QuerySet) -> Descriptors | None:
        if self._rows is None:
            return None
        return describe((queries.photo(number) for number in range(len(queries))), len(queries), self._grid)

    def _part(self, name: str, queries: QuerySet, asked: Descriptors | None) -> Scorer:
        if name == "words":
            return tfidf(self._titles, queries.titles, TfidfVectorizer(dtype=np.float32))
        if name == "trigrams":
            trigrams = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3), dtype=np.float32)
            return tfidf(self._titles, queries.titles, trigrams)
        assert self._rows is not None
        assert asked is not None
        return thumbnails(self._rows, asked) if name == "pixels" else histograms(self._rows, asked)
