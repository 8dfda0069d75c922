"""The model and the catalogue that tasks measure, each loaded and embedded once for all of them."""

from copy import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from item_embed.cli.console import progress, say
from item_embed.cli.evaluating.request import Request, queries_of
from item_embed.embedding.seen import Modalities

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from item_embed.catalog.store import Catalog
    from item_embed.embedding.embedder import Embedder
    from item_embed.evaluation.queries import QuerySet
    from item_embed.evaluation.shared_words import MaskedWords


class Subject:
    """What is measured: loaded, embedded and asked when a task first needs it, and kept for the next.

    Args:
        request: what was asked for.
        catalog: the catalogue.
    """

    def __init__(self, request: Request, catalog: "Catalog") -> None:
        self.request = request
        self.catalog = catalog
        self._vectors: dict[Modalities, NDArray[np.float32]] = {}
        self._said: set[str] = set()

    @cached_property
    def is_simple(self) -> bool:
        """Whether a simple method is measured and no trained model."""
        from item_embed.evaluation.baselines import METHODS

        return self.request.model in METHODS

    @property
    def folder(self) -> Path:
        """The model's folder.

        Raises:
            ModelError: when it is a simple method that was asked for.
        """
        from item_embed.errors import ModelError

        if self.is_simple:
            raise ModelError(
                f"{self.request.model} is a simple method, and this is measured on a trained model; give its folder"
                f"{', or tfidf for leaf category' if self.request.model != 'tfidf' else ''}."
            )
        return Path(self.request.model)

    @cached_property
    def embedder(self) -> "Embedder":
        """The model, loaded."""
        from item_embed.embedding.embedder import Embedder

        return Embedder.from_pretrained(self.folder, device=self.request.device)

    @property
    def batch_size(self) -> int:
        """Products embedded at once."""
        return self.request.batch_size or 256

    @cached_property
    def split(self) -> str:
        """The split that was asked for, or else the one whose queries the model did not see."""
        from item_embed.evaluation.run import default_split

        if self.request.split is not None:
            return self.request.split.value
        return "all" if self.is_simple else default_split(self.folder, self.catalog)

    @cached_property
    def queries(self) -> "QuerySet":
        """The queries that were asked for."""
        return queries_of(self.request, self.catalog, self.split)

    def under(self, masked: "MaskedWords") -> "Subject":
        """The same, asked under titles of which words are masked; what is loaded stays, what is embedded does not."""
        if not self.is_simple:
            _ = self.embedder  # loaded before the copy is made, so that both have it
        other = copy(self)
        other.catalog, other.queries, other._vectors = masked.catalog, masked.queries, {}
        return other

    def vectors(self, modalities: Modalities = "both") -> "NDArray[np.float32]":
        """(N, d) the vectors of the catalogue: those of --vectors, or made now."""
        if modalities not in self._vectors:
            self._vectors[modalities] = self._read(modalities) if self.request.vectors else self._made(modalities)
        return self._vectors[modalities]

    def say(self, *remarks: str) -> None:
        """Write remarks to stderr, each once, whichever tasks make it."""
        for remark in remarks:
            if remark not in self._said:
                say(remark)
                self._said.add(remark)

    def _read(self, modalities: Modalities) -> "NDArray[np.float32]":
        from item_embed.evaluation.embedded import read_catalog_vectors

        assert self.request.vectors is not None
        return read_catalog_vectors(self.request.vectors, self.catalog, self.embedder, modalities)

    def _made(self, modalities: Modalities) -> "NDArray[np.float32]":
        from item_embed.embedding.bulk import embed_catalog

        with progress("embedding the catalogue") as on_progress:
            made = embed_catalog(
                self.embedder, self.catalog, modalities, batch_size=self.batch_size, on_progress=on_progress
            )
        return made.vectors
