"""Whitening: vectors turned and stretched so that no few directions decide every cosine.

A trained encoder spreads products far along some directions and little along others, and their common mean lies far
from 0: cosines are then high between any two products, and the wide directions decide. Whitening takes the mean away
and divides each direction by a power of its spread (Su et al., Whitening Sentence Representations, arXiv 2103.15316;
softer powers than 1 as in Mu and Viswanath's all-but-the-top, arXiv 1702.01417, keep more of what was learnt).

Products of which a photo, a title or both are seen lie in different places: each has a mean and a spread of its own.
All three are turned into one frame, so that they can be compared with each other.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from sklearn.covariance import ledoit_wolf
from torch import Tensor

from item_embed.errors import ModelError
from item_embed.files import whole_file

WHITENING_FILE = "whitening.safetensors"

#: What is seen of a product; the first axis of means and matrices, in this order.
SIGHTS = ("both", "image", "title")

_ROUNDING = 1e-6  # numbers of float32 vectors that differ by less are equal
_NARROWEST = 1e-6  # a direction that has less of the widest one's variance is rounding, too, and is not blown up


class Whitening:
    """A mean and a matrix for each of `SIGHTS`; called with vectors, it whitens them.

    Args:
        mean: (3, D).
        matrix: (3, D, K): D numbers in, K out, those of the widest spread first.

    Example:
        >>> whitening = Whitening(torch.zeros(3, 2), torch.eye(2).expand(3, 2, 2))
        >>> whitening(torch.tensor([[3.0, 4.0]]), torch.tensor([True]), torch.tensor([False]))
        tensor([[0.6000, 0.8000]])
    """

    def __init__(self, mean: Tensor, matrix: Tensor) -> None:
        self.mean = mean
        self.matrix = matrix

    @property
    def dimension(self) -> int:
        """Numbers in a whitened vector."""
        return int(self.matrix.shape[2])

    def __call__(self, vectors: Tensor, photo: Tensor, title: Tensor) -> Tensor:
        """Whitened vectors of length 1.

        Args:
            vectors: (B, D), of length 1.
            photo: (B,) True where a photo was seen.
            title: (B,) True where a title was seen.

        Returns:
            (B, K); zeros for a vector that is just the mean.
        """
        sight = torch.where(photo & title, 0, torch.where(photo, 1, 2))
        whitened = vectors.new_zeros(len(vectors), self.dimension)
        for number in range(len(SIGHTS)):
            (rows,) = (sight == number).nonzero(as_tuple=True)
            whitened[rows] = (vectors[rows] - self.mean[number]) @ self.matrix[number]
        return F.normalize(whitened, dim=-1)

    def to(self, device: torch.device) -> "Whitening":
        """The same on another device."""
        return Whitening(self.mean.to(device), self.matrix.to(device))

    def save(self, folder: Path) -> None:
        """Write it into a model's folder."""
        tensors = {"mean": self.mean.contiguous(), "matrix": self.matrix.contiguous()}
        with whole_file(folder / WHITENING_FILE) as aside:
            save_file(tensors, aside)

    @classmethod
    def load(cls, folder: Path) -> "Whitening | None":
        """That of a model's folder; None where it has none.

        Raises:
            ModelError: when it cannot be read.
        """
        file = folder / WHITENING_FILE
        if not file.is_file():
            return None
        try:
            with safe_open(file, framework="pt") as opened:
                return cls(opened.get_tensor("mean"), opened.get_tensor("matrix"))
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{file} cannot be read ({error}); copy the whole model folder.") from None


def fit_whitening(vectors: Mapping[str, NDArray[np.float32]], power: float, dimensions: int | None = None) -> Whitening:
    """Whitening of some products' vectors.

    Directions are those of the covariance, shrunk as by Ledoit and Wolf so that few products suffice; each is divided
    by its standard deviation to the given power. Afterwards all are turned to the directions of products seen whole,
    so that the first numbers of a vector tell most and the others can be left out.

    Args:
        vectors: by name of `SIGHTS` those of the same products, (n, D), of length 1.
        power: 0 takes the mean away alone, 1 makes every direction as wide as the others.
        dimensions: K, how many numbers are kept; None: all D.

    Raises:
        ModelError: when all products have one vector, or there are fewer numbers than are to be kept.

    Example:
        >>> vectors = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
        >>> fit_whitening(dict.fromkeys(SIGHTS, vectors), power=1, dimensions=2).dimension
        2
    """
    width = vectors[SIGHTS[0]].shape[1]
    if dimensions is not None and not 1 <= dimensions <= width:
        raise ModelError(f"vectors of {width} numbers cannot be kept to {dimensions}; ask for 1 to {width}.")
    means, stretched, frame = [], [], None
    for sight in SIGHTS:
        mean, spread, directions = _spread(vectors[sight].astype(np.float64), sight)
        if frame is None:
            frame = directions[:, :dimensions]
        means.append(mean)
        stretched.append((directions * spread**-power) @ directions.T @ frame)
    return Whitening(_tensor(means), _tensor(stretched))


def _spread(vectors: NDArray[np.float64], sight: str) -> tuple[NDArray[np.float64], ...]:
    """Mean (D,), standard deviations (D,) and their directions as columns (D, D), the widest first."""
    mean = vectors.mean(axis=0)
    centred = vectors - mean
    if np.abs(centred).max() < _ROUNDING:
        seen = {"both": "", "image": " by their photos", "title": " by their titles"}[sight]
        raise ModelError(f"{len(vectors)} products all have one vector{seen}: there is nothing to whiten.")
    covariance, _ = ledoit_wolf(centred, assume_centered=True)
    variances, directions = np.linalg.eigh(covariance)
    variances = np.maximum(variances, _NARROWEST * variances[-1])
    return mean, np.sqrt(variances[::-1]), directions[:, ::-1]


def _tensor(arrays: list[Any]) -> Tensor:
    return torch.from_numpy(np.stack(arrays).astype(np.float32))
