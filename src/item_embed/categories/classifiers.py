"""What a classifier of leaves is: it learns from given training rows, and scores those that choose and judge.

Its settings are chosen by accuracy on the validation rows, of equals by log-likelihood.

Letters in shapes: V validation and T test rows, L leaves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from item_embed.categories.calibration import log_likelihood
from item_embed.categories.leaves import LeafTask


@dataclass(frozen=True)
class Scores:
    """What a classifier says of the rows that choose and judge.

    Attributes:
        validation: (V, L) logits: their softmax gives probabilities, `-inf` marks leaves without a training row.
        test: (T, L) likewise.
        settings: what was chosen on validation.
    """

    validation: NDArray[np.floating[Any]]
    test: NDArray[np.floating[Any]]
    settings: dict[str, float]


#: Learns the leaves from some training rows of a task, (n,), and scores its validation and test rows.
Classifier = Callable[[LeafTask, NDArray[np.int64]], Scores]


def quality(logits: NDArray[np.floating[Any]], truth: NDArray[np.int64]) -> tuple[float, float]:
    """What settings are chosen by: how many rows are right, then how likely the truth is."""
    return float((logits.argmax(axis=1) == truth).sum()), log_likelihood(logits, truth)


def unit(features: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Rows scaled to length 1; zeros stay zeros.

    Raises:
        ValueError: when a number is not finite.
    """
    if not np.isfinite(features).all():
        raise ValueError("features must be finite")
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.where(lengths > 0, lengths, 1), np.float32)
