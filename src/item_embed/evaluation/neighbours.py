"""k-NN on any feature matrix, as a classifier of leaves beside the linear one.

Letters in shapes: N rows of the catalogue, d features.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from item_embed.categories.classifiers import Classifier, Scores, quality, unit
from item_embed.categories.leaves import LeafTask
from item_embed.hashing import hash64
from item_embed.search.exact import search

_NEIGHBOURS, _NEIGHBOURS_DEFAULT = (1, 5, 10, 20, 50, 100), 10
_SHARPNESS, _SHARPNESS_DEFAULT = (0.01, 0.03, 0.1, 0.3), 0.1  # cosine over which a vote falls by e
_PRIOR = 0.01  # share of k-NN's probability that goes to the leaves by their training rows: none it knows gets 0


def nearest_neighbours(features: NDArray[np.floating[Any]]) -> Classifier:
    """Votes of the k training rows with the highest cosine, each weighted by exp(cosine / t).

    Equal cosines are ordered by a fixed hash of rows. A hundredth of the probability goes to the leaves by their
    training rows, so that a leaf without a neighbour has some too.

    Args:
        features: (N, d) a vector for each row of the catalogue; zeros for one that has none.
    """
    vectors = unit(features)

    def classify(task: LeafTask, rows: NDArray[np.int64]) -> Scores:
        labels, leaves = task.labels[rows], len(task.leaves)
        prior = np.bincount(labels, minlength=leaves) / len(rows)
        ties = hash64(rows)
        k = min(_NEIGHBOURS[-1], len(rows))
        found, test = (search(vectors[some], vectors[rows], k, ties) for some in (task.validation, task.test))

        def score(hits: tuple[NDArray[np.int64], NDArray[np.float32]], k: int, sharpness: float) -> NDArray[np.float32]:
            near, cosines = hits[0][:, :k], hits[1][:, :k]
            weights = np.exp((cosines - cosines[:, :1]) / sharpness)
            places = np.arange(len(near))[:, None] * leaves + labels[near]
            votes = np.bincount(places.ravel(), weights.ravel(), len(near) * leaves).reshape(len(near), leaves)
            shares = (1 - _PRIOR) * votes / weights.sum(axis=1, keepdims=True) + _PRIOR * prior
            logits: NDArray[np.float64] = np.log(shares, out=np.full_like(shares, -np.inf), where=shares > 0)
            return logits.astype(np.float32)

        choices = [(k, sharpness) for k in _NEIGHBOURS if k <= len(rows) for sharpness in _SHARPNESS]
        if not len(task.validation):
            choices = [(min(_NEIGHBOURS_DEFAULT, len(rows)), _SHARPNESS_DEFAULT)]
        truth = task.labels[task.validation]
        best = max(choices, key=lambda choice: quality(score(found, *choice), truth))
        return Scores(score(found, *best), score(test, *best), {"k": best[0], "t": best[1]})

    return classify
