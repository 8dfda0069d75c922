"""Where the vectors of an index come from, and what therefore compares with them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from item_embed.embedding.seen import Modalities
from item_embed.errors import VectorError
from item_embed.model.folder import find_model


class IndexManifest(BaseModel):
    """Where the vectors of an index come from.

    Attributes:
        dimension: numbers of a vector.
        fingerprint: of the model that made them.
        model: where that was.
        modalities: what it saw of the products.
        catalog: where the catalogue was.
        catalog_fingerprint: of its content.
        fields: the feed's columns that are in the products' metadata, empty ones too; none where that is not known.

    What checks takes `path`, the index, to name it.
    """

    dimension: int
    fingerprint: str
    model: str
    modalities: Modalities
    catalog: str
    catalog_fingerprint: str
    fields: list[str] = []

    def model_folder(self, given: Path | None, path: str | Path) -> Path:
        """Where the model is; `given` is what the user says of it.

        Raises:
            VectorError: when it is not there.
        """
        return find_model(given, Path(self.model), f"the model that made the vectors of {path}")

    def check_model(self, fingerprint: str, who: str, path: str | Path) -> None:
        """Refuse vectors of another model; `who` comes from it."""
        if fingerprint != self.fingerprint:
            raise VectorError(
                f"{who} from another model ({fingerprint[:12]}) than the vectors of {path} "
                f"({self.fingerprint[:12]}, {self.model}); use that model, or embed and index again."
            )

    def check_same(self, now: "IndexManifest", path: str | Path) -> None:
        """Refuse an index whose vectors do not compare with those that it had when it was opened."""
        if (now.fingerprint, now.dimension, now.modalities) != (self.fingerprint, self.dimension, self.modalities):
            raise VectorError(
                f"{path} was built again by another model ({now.fingerprint[:12]}, {now.model}) since it was "
                "opened; open it again."
            )

    def check_seen(self, modalities: Modalities, path: str | Path) -> None:
        """Refuse vectors of products of which something else was seen."""
        if modalities != self.modalities:
            raise VectorError(
                f"the vectors were made with --modalities {modalities}, those of {path} with "
                f"{self.modalities}; embed with {self.modalities}, or build another index."
            )

    def check_query(self, path: str | Path, *, image: bool, title: bool) -> None:
        """Refuse a query of a photo or a title that these vectors do not compare with."""
        if (self.modalities == "title" and image) or (self.modalities == "image" and title):
            fitting, lacking = ("title", "photo") if self.modalities == "title" else ("photo", "title")
            raise VectorError(
                f"{path} was made from {fitting}s alone and cannot be searched by {lacking}; look for a {fitting} "
                "only, or embed with --modalities both and index again."
            )

    def queries(self, queries: NDArray[np.float32], k: int, fingerprint: str, path: str | Path) -> NDArray[np.float32]:
        """The vectors of queries (Q, d), after checking that k of these vectors can be found by them."""
        self.check_model(fingerprint, "the query comes", path)
        matrix = self.matrix(queries, "queries", path)
        if not np.isfinite(matrix).all():
            raise VectorError("a query has numbers that are not finite; check the model that made it.")
        if k < 1:
            raise VectorError(f"k must be at least 1, not {k}.")
        return matrix

    def matrix(self, vectors: NDArray[np.float32], what: str, path: str | Path) -> NDArray[np.float32]:
        """Vectors (n, d) as float32, after checking that d is that of the index; `what` they are."""
        if vectors.ndim != 2 or vectors.shape[1] != self.dimension:
            raise VectorError(
                f"{what} of shape {vectors.shape} do not fit {path}, whose vectors have "
                f"{self.dimension} numbers; give an array ({what}, {self.dimension})."
            )
        return np.asarray(vectors, np.float32)
