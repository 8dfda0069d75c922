"""Whitening: vectors turned and stretched so that no few directions decide every cosine.

A trained encoder spreads products far along some directions and little along others, and their common mean lies far
from 0: cosines are then high between any two products, and the wide directions decide. Whitening takes the mean away
and divides each direction by a power of its spread (Su et al., Whitening Sentence Representations, arXiv 2103.15316;
softer powers than 1 as in Mu and Viswanath's all-but-the-top, arXiv 1702.01417, keep more of what was learnt).

Products of which a photo, a title or both are seen lie in different places: each has a mean and a spread of its own.
All three are turned into one frame, so that they can be compared with each other.

With late fusion a product's vector joins three that the encoder gives of it, of the whole product, of its photo alone
and of its title alone, and the words of its title. What the photo tells cannot be drowned by the title then, nor the
other way round, and a query by the photo alone meets in every product the very part that was made from its photo alone.
The words are for names and numbers that the encoder never saw: those of other shops above all.
"""

from collections.abc import Mapping, Sequence
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

from item_embed.config import WORDS_SHARE, most_fused
from item_embed.errors import ModelError
from item_embed.files import whole_file
from item_embed.model.folder import WHITENING_FILE
from item_embed.model.words import Words

#: What is seen of a product; the first axis of means and matrices, in this order.
SIGHTS = ("both", "image", "title")

_FUSED = 256  # numbers of a fused vector unless otherwise asked: more find hardly more, and an index holds them all
_ROUNDING = 1e-6  # numbers of float32 vectors that differ by less are equal
_NARROWEST = 1e-6  # a direction that has less of the widest one's variance is rounding, too, and is not blown up


class Fusion:
    """Joins whitened vectors of a product, of its photo and of its title with the words of the title.

    Args:
        frame: (3K, J): the directions that are kept of the three in a row.
        words: vectors of titles, (n, W).
    """

    def __init__(self, frame: Tensor, words: Words) -> None:
        self.frame = frame
        self.words = words

    @property
    def dimension(self) -> int:
        """Numbers in a joined vector, J + W."""
        return int(self.frame.shape[1]) + self.words.width

    def __call__(self, three: Tensor, words: Tensor) -> Tensor:
        """(B, J + W) of length 1, from (B, 3K) and the words of the titles, (B, W)."""
        return F.normalize(torch.cat([three @ self.frame, words], dim=1), dim=-1)


class Whitening:
    """A mean and a matrix for each of `SIGHTS`; called with vectors, it whitens them.

    Args:
        mean: (3, D).
        matrix: (3, D, K): D numbers in, K out, those of the widest spread first.
        fusion: with late fusion, how the three and the words are joined.

    Examples:
        >>> whitening = Whitening(torch.zeros(3, 2), torch.eye(2).expand(3, 2, 2))
        >>> whitening(torch.tensor([[3.0, 4.0]]), torch.tensor([True]), [None])
        tensor([[0.6000, 0.8000]])
    """

    def __init__(self, mean: Tensor, matrix: Tensor, fusion: Fusion | None = None) -> None:
        self.mean = mean
        self.matrix = matrix
        self.fusion = fusion

    @property
    def dimension(self) -> int:
        """Numbers in a whitened vector."""
        return int(self.matrix.shape[2]) if self.fusion is None else self.fusion.dimension

    @property
    def fuses(self) -> bool:
        """Whether each product comes as three vectors, by `SIGHTS`: late fusion."""
        return self.fusion is not None

    def __call__(self, vectors: Tensor, photo: Tensor, titles: Sequence[str | None]) -> Tensor:
        """Whitened vectors of length 1.

        Args:
            vectors: (B, D), of length 1; with late fusion (B, 3, D), by `SIGHTS`: of what is seen of the product, of
                its photo and of its title alone, where what stands for one that it lacks does not count.
            photo: (B,) True where a photo was seen.
            titles: B titles that were seen, cleaned; None where none was.

        Returns:
            (B, K), or (B, J + W) with late fusion; zeros for a vector that is just the mean.
        """
        title = torch.tensor([text is not None for text in titles], dtype=torch.bool, device=photo.device)
        words = None if self.fusion is None else torch.from_numpy(self.fusion.words(titles)).to(photo.device)
        return self.joined(vectors, photo, title, words)

    def joined(self, vectors: Tensor, photo: Tensor, title: Tensor, words: Tensor | None) -> Tensor:
        """The same of titles whose words are vectors already; gradients flow through.

        Args:
            vectors: as above.
            photo: as above.
            title: (B,) True where a title was seen.
            words: with late fusion those of the titles, (B, W).
        """
        sight = torch.where(photo & title, 0, torch.where(photo, 1, 2))
        if self.fusion is None:
            return self._whitened(vectors, sight)
        whole = self._whitened(vectors[:, 0], sight)
        alone = [
            self._whitened(vectors[:, number], torch.full_like(sight, number)) * there[:, None]
            for number, there in ((1, photo), (2, title))
        ]
        assert words is not None
        return self.fusion(torch.cat([whole, *alone], dim=1), words)

    def _whitened(self, vectors: Tensor, sight: Tensor) -> Tensor:
        whitened = vectors.new_zeros(len(vectors), self.matrix.shape[2])
        for number in range(len(SIGHTS)):
            (rows,) = (sight == number).nonzero(as_tuple=True)
            whitened[rows] = (vectors[rows] - self.mean[number]) @ self.matrix[number]
        return F.normalize(whitened, dim=-1)

    def to(self, device: torch.device) -> "Whitening":
        """The same on another device."""
        fusion = None if self.fusion is None else Fusion(self.fusion.frame.to(device), self.fusion.words)
        return Whitening(self.mean.to(device), self.matrix.to(device), fusion)

    def save(self, folder: Path) -> None:
        """Write it into a model's folder."""
        tensors = {"mean": self.mean.contiguous(), "matrix": self.matrix.contiguous()}
        if self.fusion is not None:
            words = self.fusion.words
            tensors["frame"] = self.fusion.frame.contiguous()
            tensors["words"] = torch.from_numpy(words.counts)
            tensors["words_of"] = torch.tensor([words.titles, words.width])
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
                fusion = None
                if "frame" in opened.keys():  # noqa: SIM118, no mapping
                    if "words_of" not in opened.keys():  # noqa: SIM118
                        raise ModelError(
                            f"{file} joins vectors as an earlier version did; remove it, and have `item whiten` make "
                            "another."
                        )
                    titles, width = opened.get_tensor("words_of").tolist()
                    words = Words(opened.get_tensor("words").numpy(), titles, width)
                    fusion = Fusion(opened.get_tensor("frame"), words)
                return cls(opened.get_tensor("mean"), opened.get_tensor("matrix"), fusion)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{file} cannot be read ({error}); copy the whole model folder.") from None


def fit_whitening(
    vectors: Mapping[str, NDArray[np.float32]],
    power: float,
    dimensions: int | None = None,
    *,
    titles: Sequence[str | None] | None = None,
) -> Whitening:
    """Whitening of some products' vectors.

    Directions are those of the covariance, shrunk as by Ledoit and Wolf so that few products suffice; each is divided
    by its standard deviation to the given power. Afterwards all are turned to the directions of products seen whole,
    so that the first numbers of a vector tell most and the others can be left out.

    Args:
        vectors: by name of `SIGHTS` those of the same products, (n, D), of length 1.
        power: 0 takes the mean away alone, 1 makes every direction as wide as the others.
        dimensions: how many numbers are kept, at most D, or `most_fused` with late fusion; None: D, or with late
            fusion 256 if there are as many.
        titles: for late fusion, those of the products: three eighths of the numbers are their words', and the others
            are the vectors of all `SIGHTS`, each of length 1, in the directions in which these products differ most.

    Raises:
        ModelError: when all products have one vector, or there are fewer numbers than are to be kept.
        ValueError: when there is not one title for each product.

    Examples:
        >>> vectors = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
        >>> fit_whitening(dict.fromkeys(SIGHTS, vectors), power=1, dimensions=2).dimension
        2
    """
    width = vectors[SIGHTS[0]].shape[1]
    late_fusion = titles is not None
    if titles is not None and len(titles) != len(vectors[SIGHTS[0]]):
        raise ValueError(f"{len(titles)} titles of {len(vectors[SIGHTS[0]])} products")
    most = most_fused(width) if late_fusion else width
    if dimensions is not None and not 1 <= dimensions <= most:
        raise ModelError(f"vectors of {most} numbers cannot be kept to {dimensions}; ask for 1 to {most}.")
    means, stretched, turned = [], [], None
    for sight in SIGHTS:
        mean, spread, directions = _spread(vectors[sight].astype(np.float64), sight)
        if turned is None:
            turned = directions if late_fusion else directions[:, :dimensions]
        means.append(mean)
        stretched.append((directions * spread**-power) @ directions.T @ turned)
    whitening = Whitening(_tensor(means), _tensor(stretched))
    if titles is not None:
        numbers = dimensions or min(_FUSED, most)
        of_words = numbers * WORDS_SHARE[0] // WORDS_SHARE[1]
        whitening.fusion = Fusion(fit_frame(whitening, vectors, numbers - of_words), Words.of(titles, of_words))
    return whitening


def fit_frame(whitening: Whitening, vectors: Mapping[str, NDArray[np.float32]], numbers: int) -> Tensor:
    """The directions in which three whitened vectors in a row differ most, (3K, numbers).

    Args:
        whitening: of one pass.
        vectors: of the same products by name of `SIGHTS`, (n, D), of length 1.
        numbers: how many directions are kept.
    """
    joined = [
        whitening._whitened(torch.from_numpy(vectors[sight]), torch.full((len(vectors[sight]),), number))
        for number, sight in enumerate(SIGHTS)
    ]
    _, directions = np.linalg.eigh(np.cov(torch.cat(joined, dim=1).numpy().astype(np.float64), rowvar=False))
    return _tensor(directions[:, ::-1][:, :numbers])


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
