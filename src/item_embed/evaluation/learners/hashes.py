"""`phash`: the perceptual hash of the photo, which finds the same picture and knows nothing of the same product."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

from item_embed.catalog.photos.images import decode
from item_embed.embedding.seen import Modalities
from item_embed.evaluation.learners.learner import Fitted, Material
from item_embed.evaluation.learners.vectors import OneModality
from item_embed.progress import OnProgress, silent

_SIDE = 32  # pixels of the picture that is transformed
_LOW = 8  # frequencies kept along each side: 64 bits


def perceptual_hash(photo: bytes) -> NDArray[np.float32]:
    """The bits of a photo's perceptual hash as -1 and 1: (64,).

    pHash as the library ImageHash computes it: 32 x 32 grey values, their cosine transform, and of the 8 x 8 lowest
    frequencies which are above the median. The cosine of two hashes is 1 - 2 h / 64 with h their Hamming distance.

    Raises:
        PhotoError: when the photo cannot be decoded.
    """
    grey = decode(photo).convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    low = dctn(np.asarray(grey, np.float64), type=2)[:_LOW, :_LOW].ravel()
    return np.where(low > np.median(low), np.float32(1), np.float32(-1))


class PerceptualHash:
    """`phash`: nothing is trained."""

    name = "phash"
    sees: Modalities = "image"
    labels = False
    trains = False

    def fit(
        self, material: Material, folder: Path, device: str | None = None, on_progress: OnProgress = silent
    ) -> Fitted:
        """See `Learner.fit`."""
        embeds = OneModality("image", _LOW * _LOW, lambda hashes: torch.from_numpy(np.stack(hashes)), perceptual_hash)
        return Fitted(embeds, parameters=0, samples=0, minutes=0.0, cpu_minutes=0.0)
