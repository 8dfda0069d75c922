"""A model over a catalogue, ready to be asked again and again: rows are embedded once, only queries anew.

Letters in shapes: Q queries, N rows of the catalogue, d dimensions.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.embedding.bulk import Embeds
from item_embed.embedding.seen import Modalities
from item_embed.errors import VectorError
from item_embed.evaluation.embedded import embed_queries
from item_embed.evaluation.hybrid import evaluate_hybrid
from item_embed.evaluation.queries import QuerySet, rows_as_queries
from item_embed.evaluation.same_product import SameProductResult, evaluate_same_product
from item_embed.progress import OnProgress, silent
from item_embed.search.exact import tie_keys
from item_embed.search.words import TitleWords


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

    Examples:
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
        return embed_queries(self.embeds, queries, self.modalities, batch_size=self.batch_size, on_progress=on_progress)

    def judge(
        self, vectors: NDArray[np.float32], queries: QuerySet, words: TitleWords | None = None
    ) -> SameProductResult:
        """What the vectors of queries, (Q, d), find; with the words of the catalogue's titles, together with those."""
        asked = (self.index, vectors, queries, self.ties)
        if words is None:
            return evaluate_same_product(*asked, method=self.method, modalities=self.modalities)
        return evaluate_hybrid(*asked, words, method=self.method, modalities=self.modalities)

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
