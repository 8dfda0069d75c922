"""Clusters against the true products of their listings.

By pairs: of the pairs of listings that are in one cluster, how many are one product (precision), and of those that are
one product, how many are in one cluster (recall). A large cluster counts as its square there. B-cubed (Bagga and
Baldwin, 1998; Amigo et al., 2009) asks the same of every listing, itself included, and averages over listings.

Letters in shapes: n listings whose product is known, P products.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from item_embed.evaluation.intervals import Figure, ratios

_NO_INTERVAL = "no interval: a mean of two figures"


@dataclass(frozen=True)
class Quality:
    """The figures of some clusters; those that nothing was measured of are left out.

    Attributes:
        figures: `pair_precision`, `pair_recall`, `pair_f1`, `b_cubed_precision`, `b_cubed_recall`, `b_cubed_f1`.
        listings: how many listings have a product.
        products: how many products there are.
        several: how many of those have several listings.
    """

    figures: Mapping[str, Figure]
    listings: int
    products: int
    several: int

    def as_json(self) -> dict[str, object]:
        """All of it."""
        counts = {"listings": self.listings, "products": self.products, "products_of_several": self.several}
        return counts | {name: figure.as_json() for name, figure in self.figures.items()}


def cluster_quality(clusters: NDArray[np.int64], products: NDArray[np.int64], seed: int = 0) -> Quality | None:
    """Measure clusters, every figure with its 95 % bootstrap interval over products.

    Args:
        clusters: (N,) the cluster of each listing.
        products: (N,) the product of each, or -1 where it is not known; such a listing is left out.
        seed: of the intervals.

    Returns:
        The figures; None where no two listings are of one product.

    Examples:
        >>> found = cluster_quality(np.array([0, 0, 1, 2]), np.array([7, 7, 7, 8]))
        >>> {name: round(figure.value, 3) for name, figure in found.figures.items() if name.startswith("pair")}
        {'pair_precision': 1.0, 'pair_recall': 0.333, 'pair_f1': 0.5}
    """
    known = products >= 0
    _, product, product_size = np.unique(products[known], return_inverse=True, return_counts=True)
    if not (product_size > 1).any():
        return None
    joined, actual, right = _partners(clusters[known], product)
    ones = np.ones(len(product))
    sums = {
        "pair_precision": (right, joined),
        "pair_recall": (right, actual),
        "pair_f1": (2 * right, joined + actual),
        "b_cubed_precision": ((right + 1) / (joined + 1), ones),
        "b_cubed_recall": ((right + 1) / (actual + 1), ones),
    }
    sums = {name: both for name, both in sums.items() if both[1].any()}  # nothing joined: no precision
    numerators, denominators = (
        np.stack([np.bincount(product, both[side]).astype(np.float64) for both in sums.values()], axis=1)
        for side in (0, 1)
    )
    figures = dict(zip(sums, ratios(numerators, denominators, seed=seed), strict=True))
    precision, recall = figures["b_cubed_precision"].value, figures["b_cubed_recall"].value
    figures["b_cubed_f1"] = Figure(2 * precision * recall / (precision + recall), None, None, _NO_INTERVAL)
    return Quality(figures, int(known.sum()), len(product_size), int((product_size > 1).sum()))


def _partners(
    clusters: NDArray[np.int64], product: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of each listing, (n,): how many others are in its cluster, are of its product, and are both."""
    _, cluster, cluster_size = np.unique(clusters, return_inverse=True, return_counts=True)
    _, cell, cell_size = np.unique(cluster * (product.max() + 1) + product, return_inverse=True, return_counts=True)
    sizes = (cluster_size[cluster], np.bincount(product)[product], cell_size[cell])
    joined, actual, right = (size.astype(np.float64) - 1 for size in sizes)
    return joined, actual, right
