"""`whitened:METHOD` and `fused:METHOD`: any method, its vectors whitened as `item whiten` does it, the latter with
`--late-fusion`, so that all methods are given the same."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from item_embed.embedding.bulk import Embeds, embed_seen
from item_embed.embedding.embedder import Embedder
from item_embed.embedding.seen import seen_title
from item_embed.embedding.torch_backend import TorchBackend
from item_embed.errors import ConfigError
from item_embed.evaluation.learners.learner import Fitted, Material
from item_embed.evaluation.learners.wrapping import Wrapping
from item_embed.model.whitening import SIGHTS, Whitening, fit_whitening
from item_embed.progress import OnProgress, silent
from item_embed.training.whitening import whitening_rows
from item_embed.wording import number_of

PREFIX, FUSED = "whitened:", "fused:"
POWER, ROWS = 0.75, 4096  # what `item whiten` takes unless it is told otherwise


@dataclass(frozen=True)
class Whitened(Wrapping):
    """Another method, whitened by the rows that it learnt from.

    Attributes:
        late_fusion: whether its vectors of a product, of the photo alone and of the title alone are joined with the
            title's words.
    """

    late_fusion: bool = False

    @property
    def prefix(self) -> str:
        """What its name begins with."""
        return FUSED if self.late_fusion else PREFIX

    def fit(
        self, material: Material, folder: Path, device: str | None = None, on_progress: OnProgress = silent
    ) -> Fitted:
        """See `Wrapping.fit`; whitening that a model has is left out.

        Raises:
            ConfigError: when too few rows have a photo and a title.
            ModelError: when all of them have one vector.
        """
        fitted = super().fit(material, folder, device, on_progress)
        if isinstance(fitted.embeds, Embedder) and isinstance(fitted.embeds.backend, TorchBackend):
            fitted = replace(fitted, embeds=Embedder(fitted.embeds.backend.unwhitened()))
        rows = whitening_rows(material.catalog, material.rows, ROWS)
        whitening = Whitening.load(folder)
        if whitening is None:
            vectors = self._vectors(fitted.embeds, material, rows)
            titles = [material.catalog.titles[row] for row in rows] if self.late_fusion else None
            whitening = fit_whitening(vectors, POWER, titles=titles)
            folder.mkdir(parents=True, exist_ok=True)
            whitening.save(folder)
        told = [fitted.note] if fitted.note else []
        done = "whitened and fused" if self.late_fusion else "whitened"
        note = "; ".join([*told, f"{done} by {number_of(len(rows), 'row')}"])
        return replace(fitted, embeds=WhitenedVectors(fitted.embeds, whitening), note=note)

    def _vectors(self, embeds: Embeds, material: Material, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        if len(rows) < 2:
            raise ConfigError(f"{self.name}: fewer than two rows to learn from have a photo and a title.")
        photos, titles = material.catalog.photos(rows), [material.catalog.titles[row] for row in rows]
        if self.sees != "both":
            return dict.fromkeys(SIGHTS, embed_seen(embeds, photos, titles))
        whole = embed_seen(embeds, photos, titles)
        return dict(zip(SIGHTS, (whole, *_alone(embeds, photos, titles)), strict=True))


class WhitenedVectors:
    """Whitens what another method embeds; a product of which that one sees nothing keeps its zeros."""

    def __init__(self, embeds: Embeds, whitening: Whitening) -> None:
        self._embeds = embeds
        self._whitening = whitening

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return self._whitening.dimension

    def embed(
        self,
        images: Sequence[bytes | None] | None = None,
        titles: Sequence[str | None] | None = None,
        batch_size: int = 256,
        on_progress: OnProgress = silent,
    ) -> NDArray[np.float32]:
        """Vectors of length 1, or 0 where there is nothing to see, (n, dimension)."""
        n = len(images if images is not None else titles or ())
        images, titles = images or [None] * n, titles or [None] * n
        vectors = self._embeds.embed(images, titles, batch_size, on_progress)
        nothing = ~vectors.any(axis=1)
        if self._whitening.fuses:
            vectors = np.stack([vectors, *_alone(self._embeds, images, titles)], axis=1)
        photo = torch.tensor([bool(image) for image in images], dtype=torch.bool)
        seen = [seen_title(text) for text in titles]
        whitened: NDArray[np.float32] = self._whitening(torch.from_numpy(vectors), photo, seen).numpy()
        whitened[nothing] = 0
        return whitened


def _alone(
    embeds: Embeds, images: Sequence[bytes | None], titles: Sequence[str | None]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vectors (n, D) of the photos alone and of the titles alone, zeros where there is nothing to see."""
    nothing = [None] * len(images)
    return embed_seen(embeds, images, nothing), embed_seen(embeds, nothing, titles)
