"""The vectors that an evaluation compares: those of the catalogue and those of the queries."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.embedding.bulk import Embeds, embed_seen
from item_embed.embedding.seen import Modalities
from item_embed.embedding.vectors import read_vectors
from item_embed.errors import VectorError
from item_embed.evaluation.queries import QuerySet
from item_embed.progress import OnProgress, silent
from item_embed.remote.places import Remote

_PART = 256  # queries whose photos are in memory at once: altered ones are not compressed


class Model(Protocol):
    """A model that may have made vectors: an `Embedder`, or what somebody remembers of one."""

    @property
    def path(self) -> Path:
        """Its folder."""

    @property
    def fingerprint(self) -> str:
        """What its vectors are known by."""


def read_catalog_vectors(
    path: str | Path | Remote, catalog: Catalog, embedder: Model, modalities: Modalities = "both"
) -> NDArray[np.float32]:
    """The vectors of a file, after checking that this model made them of this catalogue with these modalities.

    Args:
        path: written by `item embed`.
        catalog: whose rows they must be, in order.
        embedder: the model that must have made them.
        modalities: what it must have seen.

    Returns:
        (N, d) unit vectors.

    Raises:
        VectorError: when the vectors come from another model or catalogue, or were made with other modalities.
    """
    found = read_vectors(path)
    if found.fingerprint != embedder.fingerprint:
        raise VectorError(
            f"the vectors of {path} come from another model ({found.fingerprint[:12]}, {found.model}) than "
            f"{embedder.path} ({embedder.fingerprint[:12]}); embed the catalogue with this one."
        )
    if found.ids != catalog.ids:
        raise VectorError(
            f"the vectors of {path} are not those of {catalog.path}, row by row; "
            "embed this catalogue with `item embed`."
        )
    if found.modalities != modalities:
        raise VectorError(
            f"the vectors of {path} were made with --modalities {found.modalities}, not {modalities}; "
            f"ask for --modalities {found.modalities}, or embed the catalogue again."
        )
    return found.vectors


def embed_queries(
    embedder: Embeds,
    queries: QuerySet,
    modalities: Modalities = "both",
    *,
    batch_size: int = 256,
    on_progress: OnProgress = silent,
) -> NDArray[np.float32]:
    """The vectors of given queries, (Q, d); zero for a query of which the model sees nothing."""
    vectors = np.zeros((len(queries), embedder.dimension), np.float32)
    for start in range(0, len(queries), _PART):
        numbers = range(start, min(start + _PART, len(queries)))
        photos = [None if modalities == "title" else queries.photo(number) for number in numbers]
        titles = [None if modalities == "image" else queries.titles[number] for number in numbers]
        vectors[numbers.start : numbers.stop] = embed_seen(embedder, photos, titles, batch_size)
        on_progress(numbers.stop, len(queries))
    return vectors
