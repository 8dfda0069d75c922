"""Whitening: vectors turned and stretched so that no few directions decide every cosine.

A trained encoder spreads products far along some directions and little along others, and their common mean lies far
from 0: cosines are then high between any two products, and the wide directions decide. Whitening takes the mean away
and divides each direction by a power of its spread (Su et al., Whitening Sentence Representations, arXiv 2103.15316;
softer powers than 1 as in Mu and Viswanath's all-but-the-top, arXiv 1702.01417, keep more of what was learnt).

Products of which a photo, a title or both are seen lie in different places: each has a mean and a spread of its own.
All three are turned into one frame, so that they can be compared with each other.

With late fusion a product's vector joins three that the encoder gives of it: of the whole product, of its photo alone
and of its title alone. What the photo tells cannot be drowned by the title then, nor the other way round, and a query
by the photo alone meets in every product the very part that was made from its photo alone.
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
from item_embed.model.folder import WHITENING_FILE

#: What is seen of a product; the first axis of means and matrices, in this order.
SIGHTS = ("both", "image", "title")

_FUSED = 256  # numbers of a fused vector unless otherwise asked: more find hardly more, and an index holds them all
_ROUNDING = 1e-6  # numbers of float32 vectors that differ by less are equal
_NARROWEST = 1e-6  # a direction that has less of the widest one's variance is rounding, too, and is not blown up


class Whitening:
    """A mean and a matrix for each of `SIGHTS`; called with vectors, it whitens them.

    Args:
        mean: (3, D).
        matrix: (3, D, K): D numbers in, K out, those of the widest spread first.
        frame: (3K, J), with late fusion: the directions that are kept of three whitened vectors in a row.

    Example:
        >>> whitening = Whitening(torch.zeros(3, 2), torch.eye(2).expand(3, 2, 2))
        >>> whitening(torch.tensor([[3.0, 4.0]]), torch.tensor([True]), torch.tensor([False]))
        tensor([[0.6000, 0.8000]])
    """

    def __init__(self, mean: Tensor, matrix: Tensor, frame: Tensor | None = None) -> None:
        self.mean = mean
        self.matrix = matrix
        self.frame = frame

    @property
    def dimension(self) -> int:
        """Numbers in a whitened vector."""
        return int(self.matrix.shape[2] if self.frame is None else self.frame.shape[1])

    @property
    def fuses(self) -> bool:
        """Whether each product comes as three vectors, by `SIGHTS`: late fusion."""
        return self.frame is not None

    def __call__(self, vectors: Tensor, photo: Tensor, title: Tensor) -> Tensor:
        """Whitened vectors of length 1.

        Args:
            vectors: (B, D), of length 1; with late fusion (B, 3, D), by `SIGHTS`: of what is seen of the product, of
                its photo and of its title alone, where what stands for one that it lacks does not count.
            photo: (B,) True where a photo was seen.
            title: (B,) True where a title was seen.

        Returns:
            (B, K), or (B, J) with late fusion; zeros for a vector that is just the mean.
        """
        sight = torch.where(photo & title, 0, torch.where(photo, 1, 2))
        if self.frame is None:
            return self._whitened(vectors, sight)
        whole = self._whitened(vectors[:, 0], sight)
        alone = [
            self._whitened(vectors[:, number], torch.full_like(sight, number)) * there[:, None]
            for number, there in ((1, photo), (2, title))
        ]
        return F.normalize(torch.cat([whole, *alone], dim=1) @ self.frame, dim=-1)

    def _whitened(self, vectors: Tensor, sight: Tensor) -> Tensor:
        whitened = vectors.new_zeros(len(vectors), self.matrix.shape[2])
        for number in range(len(SIGHTS)):
            (rows,) = (sight == number).nonzero(as_tuple=True)
            whitened[rows] = (vectors[rows] - self.mean[number]) @ self.matrix[number]
        return F.normalize(whitened, dim=-1)

    def to(self, device: torch.device) -> "Whitening":
        """The same on another device."""
        frame = None if self.frame is None else self.frame.to(device)
        return Whitening(self.mean.to(device), self.matrix.to(device), frame)

    def save(self, folder: Path) -> None:
        """Write it into a model's folder."""
        tensors = {"mean": self.mean.contiguous(), "matrix": self.matrix.contiguous()}
        if self.frame is not None:
            tensors["frame"] = self.frame.contiguous()
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
                frame = opened.get_tensor("frame") if "frame" in opened.keys() else None  # noqa: SIM118, no mapping
                return cls(opened.get_tensor("mean"), opened.get_tensor("matrix"), frame)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{file} cannot be read ({error}); copy the whole model folder.") from None


def fit_whitening(
    vectors: Mapping[str, NDArray[np.float32]],
    power: float,
    dimensions: int | None = None,
    *,
    late_fusion: bool = False,
) -> Whitening:
    """Whitening of some products' vectors.

    Directions are those of the covariance, shrunk as by Ledoit and Wolf so that few products suffice; each is divided
    by its standard deviation to the given power. Afterwards all are turned to the directions of products seen whole,
    so that the first numbers of a vector tell most and the others can be left out.

    Args:
        vectors: by name of `SIGHTS` those of the same products, (n, D), of length 1.
        power: 0 takes the mean away alone, 1 makes every direction as wide as the others.
        dimensions: how many numbers are kept, at most D, or 3 D with late fusion; None: D, or with late fusion 256
            if there are as many.
        late_fusion: a product's vector joins those of all `SIGHTS`, each of length 1, in the directions in which
            these products differ most.

    Raises:
        ModelError: when all products have one vector, or there are fewer numbers than are to be kept.

    Example:
        >>> vectors = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
        >>> fit_whitening(dict.fromkeys(SIGHTS, vectors), power=1, dimensions=2).dimension
        2
    """
    width = vectors[SIGHTS[0]].shape[1]
    most = len(SIGHTS) * width if late_fusion else width
    if dimensions is not None and not 1 <= dimensions <= most:
        raise ModelError(f"vectors of {most} numbers cannot be kept to {dimensions}; ask for 1 to {most}.")
    means, stretched, turned = [], [], None
    for sight in SIGHTS:
        mean, spread, directions = _spread(vectors[sight].astype(np.float64), sight)
        if turned is None:
            turned = directions if late_fusion else directions[:, :dimensions]
        means.append(mean)
        stretched.append((directions * spread**-power) @ directions.T @ turned)
    if not late_fusion:
        return Whitening(_tensor(means), _tensor(stretched))
    whole = Whitening(_tensor(means), _tensor(stretched), torch.eye(most))
    seen = torch.ones(len(vectors[SIGHTS[0]]), dtype=torch.bool)
    joined = whole(torch.from_numpy(np.stack([vectors[sight] for sight in SIGHTS], axis=1)), seen, seen).numpy()
    _, directions = np.linalg.eigh(np.cov(joined.astype(np.float64), rowvar=False))
    return Whitening(whole.mean, whole.matrix, _tensor(directions[:, ::-1][:, : dimensions or _FUSED]))


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


def _tensor(arrays: Any) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(arrays, np.float32))
