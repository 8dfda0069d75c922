"""Classifiers of leaves: a linear probe and k-NN on any feature matrix, and TF-IDF of titles with a linear classifier.

A classifier learns from given training rows. Its settings are chosen by accuracy on the validation rows, of equals by
log-likelihood. Another method, such as a fine-tuned encoder, is one more function of the type `Classifier`.

Letters in shapes: N rows of the catalogue, V validation and T test rows, L leaves, d features.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from item_embed.catalog.store import Catalog
from item_embed.evaluation.calibration import log_likelihood
from item_embed.evaluation.leaves import LeafTask
from item_embed.hashing import hash64
from item_embed.search.exact import search

#: C of scikit-learn's logistic regression, weakest last: each fit starts from the one before. Then the C taken where
#: there is no validation row to choose one.
_PROBE, _PROBE_DEFAULT = (0.01, 0.1, 1.0, 10.0), 1.0
_WORDS, _WORDS_DEFAULT = (1.0, 10.0, 100.0), 10.0
_ITERATIONS = 100  # of L-BFGS; more change the third decimal
_TOLERANCE = 1e-6  # scikit-learn's own is of the mean loss, and stops weak penalties at once

_NEIGHBOURS, _NEIGHBOURS_DEFAULT = (1, 5, 10, 20, 50, 100), 10
_SHARPNESS, _SHARPNESS_DEFAULT = (0.01, 0.03, 0.1, 0.3), 0.1  # cosine over which a vote falls by e
_PRIOR = 0.01  # share of k-NN's probability that goes to the leaves by their training rows: none it knows gets 0


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


def linear_probe(features: NDArray[np.floating[Any]]) -> Classifier:
    """Multinomial logistic regression on vectors.

    Each row is scaled to length 1. Then all are moved by the training rows' mean and divided by one number, so that C
    means the same whatever the vectors' dimension and common part, and L-BFGS needs few steps.

    Args:
        features: (N, d) a vector for each row of the catalogue; zeros for one that has none.

    Example:
        >>> probe = linear_probe(embed_catalog(embedder, catalog).vectors)  # doctest: +SKIP
        >>> probe(task, task.drawn(5)).settings                             # doctest: +SKIP
        {'C': 1.0}
    """
    vectors = _unit(features)

    def classify(task: LeafTask, rows: NDArray[np.int64]) -> Scores:
        mean = vectors[rows].mean(axis=0)
        scale = max(float((vectors[rows] - mean).std()), 1e-6)
        return _linear(lambda some: (vectors[some] - mean) / np.float32(scale), task, rows, _PROBE, _PROBE_DEFAULT)

    return classify


def tfidf_linear(catalog: Catalog) -> Classifier:
    """Multinomial logistic regression on TF-IDF vectors of titles: the simple method to beat.

    scikit-learn's `TfidfVectorizer` with its defaults, fitted on the titles of the train split, labelled or not.
    """
    titles = [title or "" for title in catalog.titles]
    vectorizer = TfidfVectorizer(dtype=np.float32)
    try:
        words = vectorizer.fit([titles[row] for row in catalog.rows("train")]).transform(titles)
    except ValueError:  # no title has a word: only the leaves' sizes are left to learn
        words = csr_matrix((len(titles), 1), dtype=np.float32)
    return lambda task, rows: _linear(lambda some: words[some], task, rows, _WORDS, _WORDS_DEFAULT)


def nearest_neighbours(features: NDArray[np.floating[Any]]) -> Classifier:
    """Votes of the k training rows with the highest cosine, each weighted by exp(cosine / t).

    Equal cosines are ordered by a fixed hash of rows. A hundredth of the probability goes to the leaves by their
    training rows, so that a leaf without a neighbour has some too.

    Args:
        features: (N, d) a vector for each row of the catalogue; zeros for one that has none.
    """
    vectors = _unit(features)

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


def _linear(
    features: Callable[[NDArray[np.int64]], Any],
    task: LeafTask,
    rows: NDArray[np.int64],
    strengths: tuple[float, ...],
    default: float,
) -> Scores:
    model = LogisticRegression(max_iter=_ITERATIONS, tol=_TOLERANCE, warm_start=True)
    learnt, validation, test = features(rows), features(task.validation), features(task.test)
    truth = task.labels[task.validation]
    best: tuple[tuple[float, float], Scores] | None = None
    for strength in strengths if len(truth) else (default,):
        model.C = strength
        with warnings.catch_warnings():  # stopping early is meant, and so is a leaf of one row
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
            model.fit(learnt, task.labels[rows])
        chosen = _logits(model, validation, len(task.leaves))
        reached = quality(chosen, truth)
        if best is None or reached > best[0]:
            best = reached, Scores(chosen, _logits(model, test, len(task.leaves)), {"C": strength})
    assert best is not None
    return best[1]


def _logits(model: LogisticRegression, features: Any, leaves: int) -> NDArray[np.float32]:
    logits = np.full((features.shape[0], leaves), -np.inf, np.float32)
    if len(logits):  # scikit-learn refuses no rows
        decided = model.decision_function(features)
        logits[:, model.classes_] = (
            decided if decided.ndim == 2 else np.stack([np.zeros_like(decided), decided], axis=1)
        )
    return logits


def quality(logits: NDArray[np.floating[Any]], truth: NDArray[np.int64]) -> tuple[float, float]:
    """What settings are chosen by: how many rows are right, then how likely the truth is."""
    return float((logits.argmax(axis=1) == truth).sum()), log_likelihood(logits, truth)


def _unit(features: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Rows scaled to length 1; zeros stay zeros."""
    if not np.isfinite(features).all():
        raise ValueError("features must be finite")
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.where(lengths > 0, lengths, 1), np.float32)
