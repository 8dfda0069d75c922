"""The categories that the supervised baselines learn from. No other method reads them in training."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from item_embed.errors import CatalogError
from item_embed.evaluation.learners.learner import Material
from item_embed.objectives.loss import Loss


@dataclass(frozen=True)
class Labels:
    """The leaf categories of the training rows.

    Attributes:
        rows: (n,) the training rows that have one.
        of: (N,) the leaf of each row of the catalogue by number; -1 for rows that are not among `rows`.
        count: L, the number of leaves.
    """

    rows: NDArray[np.int64]
    of: NDArray[np.int64]
    count: int


def training_labels(material: Material, rows: NDArray[np.int64]) -> Labels:
    """The leaf, the whole category path, of each training row that has one. Those of other rows are never read.

    Args:
        material: the catalogue.
        rows: of those to learn from, the ones that hold what the learner reads.

    Raises:
        CatalogError: when there are fewer than two leaves to tell apart.
    """
    paths = {int(row): path for row in rows if (path := material.catalog.categories[row]) is not None}
    leaves = {leaf: number for number, leaf in enumerate(sorted(set(paths.values())))}
    if len(leaves) < 2:
        raise CatalogError(
            f"the rows of {material.catalog.path} to learn from have {'one category' if leaves else 'no categories'}, "
            "and it takes two to tell them apart; leave out the methods that learn from categories, or prepare the "
            "feed again with --category-column."
        )
    labels = np.full(len(material.catalog), -1, np.int64)
    labels[list(paths)] = [leaves[path] for path in paths.values()]
    return Labels(np.array(list(paths), np.int64), labels, len(leaves))


def category_loss(scores: Tensor, labels: Tensor) -> Loss:
    """Cross-entropy of scores of the leaves, (B, L), and the leaves, (B,), with the metric `accuracy`."""
    right = (scores.argmax(dim=-1) == labels).sum().detach()
    return Loss(cross_entropy(scores.float(), labels, reduction="sum"), len(labels), {"accuracy": right})
