"""What vectors lose by being made or kept in fewer bits: measured on the vectors themselves, without labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 10
ROWS = 2000  # at most so many are compared: their scores are a square of it


@dataclass(frozen=True)
class Loss:
    """How far some vectors are from the exact ones of the same products.

    Attributes:
        rows: how many products were compared, all that are not zeros.
        cosine: of a vector with its exact one, the mean.
        lowest_cosine: of the product that is worst off.
        same_nearest: share of products whose nearest other is the same.
        neighbours_kept: share of the ten nearest that are found again, among these rows; the mean over products.
    """

    rows: int
    cosine: float
    lowest_cosine: float
    same_nearest: float
    neighbours_kept: float

    def text(self) -> str:
        """In a sentence's part, for people."""
        return (
            f"cosine to the exact vectors {self.cosine:.5f} in the mean and {self.lowest_cosine:.5f} at worst; of "
            f"{self.rows:,} rows {self.same_nearest:.1%} keep their nearest, and {self.neighbours_kept:.1%} of their "
            f"{NEIGHBOURS} nearest"
        )


def loss_of(exact: NDArray[np.float32], found: NDArray[np.float32]) -> Loss | None:
    """Compare vectors with the exact ones, and the neighbours that they give with the true ones.

    Args:
        exact: (n, d), each of length 1 or 0.
        found: (n, d) of the same products, in the same order.

    Returns:
        None where fewer than two vectors are not zeros: there are no neighbours then.

    Examples:
        >>> exact = np.eye(3, dtype=np.float32)
        >>> loss_of(exact, exact).cosine
        1.0
    """
    there = exact.any(axis=1)
    if there.sum() < 2:
        return None
    one, two = exact[there].astype(np.float64), found[there].astype(np.float64)
    cosines = (one * two).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
    true, other = _nearest(one), _nearest(two)
    kept = [len(np.intersect1d(*rows)) / len(rows[0]) for rows in zip(true, other, strict=True)]
    return Loss(
        rows=len(one),
        cosine=float(cosines.mean()),
        lowest_cosine=float(cosines.min()),
        same_nearest=float((true[:, 0] == other[:, 0]).mean()),
        neighbours_kept=float(np.mean(kept)),
    )


def _nearest(vectors: NDArray[np.float64]) -> NDArray[np.int64]:
    """The nearest others of each, (n, k), nearest first; equally near ones in the order of their rows."""
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    return np.argsort(-scores, axis=1, kind="stable")[:, : min(NEIGHBOURS, len(vectors) - 1)]


def spread_rows(rows: int, most: int = ROWS) -> NDArray[np.int64]:
    """Numbers of at most so many rows of a file, evenly spread over it.

    Examples:
        >>> spread_rows(10, most=4).tolist()
        [0, 3, 6, 9]
    """
    return np.unique(np.linspace(0, max(rows - 1, 0), min(rows, most)).round().astype(np.int64))
