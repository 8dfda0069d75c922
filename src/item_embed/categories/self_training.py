"""Self-training: a classifier that learns from a few labelled rows and from what it says itself of the others."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from item_embed.categories.calibration import softmax
from item_embed.categories.classifiers import Classifier, Scores
from item_embed.categories.leaves import LeafTask
from item_embed.hashing import hash64

_SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)  # of the unlabelled rows, the surest first: the paper's steps
_MOST = 10_000  # unlabelled rows: more cost time and change little
_DRAW = 1  # stream of the hash that draws them


def self_trained(classify: Classifier) -> Classifier:
    """Curriculum labelling (Cascante-Bonilla et al., AAAI 2021, arXiv 2001.06001) around any classifier.

    The classifier learns from the labelled rows and says what the other rows of the train split are; the fifth of which
    it is surest is believed, and it learns anew from these and the labelled ones; then two fifths, and so on to all.
    Beside what products of a leaf look like, the others tell how frequent leaves are; so many labelled rows of each
    leaf do not.

    Of the train split's labels only those of the given rows are learnt from; the others' say no more than that their
    leaves are large enough to be in the task. Until the last round settings are the classifier's defaults; they are
    chosen on validation once, with all labels that are believed.

    Args:
        classify: learns from rows and scores others.

    Returns:
        A classifier; with nothing unlabelled in the train split, the given one.

    Examples:
        >>> classify = self_trained(linear_probe(vectors))  # doctest: +SKIP
        >>> scores = classify(task, task.drawn(5))          # doctest: +SKIP
    """

    def taught(task: LeafTask, rows: NDArray[np.int64]) -> Scores:
        others = _drawn(np.setdiff1d(task.train, rows))
        nothing = np.zeros(0, np.int64)
        labels, learnt = task.labels, rows
        for share in _SHARES if len(others) else ():
            said = classify(replace(task, labels=labels, validation=nothing, test=others), learnt).test
            surest = np.argsort(-softmax(said).max(axis=1), kind="stable")[: round(share * len(others))]
            labels = task.labels.copy()
            labels[others[surest]] = said[surest].argmax(axis=1)
            learnt = np.concatenate([rows, others[surest]])
        return classify(replace(task, labels=labels), learnt)

    return taught


def _drawn(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most so many rows as are learnt from, in the catalogue's order, by a hash of the row."""
    return np.sort(rows[np.argsort(hash64(_DRAW, rows), kind="stable")[:_MOST]])
