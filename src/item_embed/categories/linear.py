"""Linear classifiers of leaves: multinomial logistic regression on vectors, and on TF-IDF of titles.

Letters in shapes: N rows of the catalogue, n of them, L leaves, d features.
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
from item_embed.categories.classifiers import Classifier, Scores, quality, unit
from item_embed.categories.leaves import LeafTask

#: C of scikit-learn's logistic regression, weakest last: each fit starts from the one before. Then the C taken where
#: there is no validation row to choose one.
_PROBE, _PROBE_DEFAULT = (0.01, 0.1, 1.0, 10.0), 1.0
_WORDS, _WORDS_DEFAULT = (1.0, 10.0, 100.0), 10.0
_ITERATIONS = 100  # of L-BFGS; more change the third decimal
_TOLERANCE = 1e-6  # scikit-learn's own is of the mean loss, and stops weak penalties at once


@dataclass(frozen=True)
class Linear:
    """A linear classifier of vectors, whole: of the same form however it was learnt.

    Each vector is scaled to length 1. Then all are moved by the training rows' mean and divided by one number, so that
    C means the same whatever the vectors' dimension and common part, and L-BFGS needs few steps.

    Attributes:
        mean: (d,) of the training rows.
        scale: their spread, one number.
        weights: (L, d).
        bias: (L,).
    """

    mean: NDArray[np.float32]
    scale: float
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    @classmethod
    def fit(cls, vectors: NDArray[np.floating[Any]], labels: NDArray[np.int64], strength: float) -> "Linear":
        """Learn from labelled rows.

        Args:
            vectors: (n, d).
            labels: (n,) from 0 to L - 1, each at least once.
            strength: C, as `linear_probe` chooses it: the larger, the closer to the training rows.

        Examples:
            >>> made = Linear.fit(np.eye(3), np.arange(3), 1.0)
            >>> made(np.eye(3)).argmax(axis=1).tolist()
            [0, 1, 2]
        """
        units = unit(vectors)
        mean, scale = _moments(units)
        if labels.max() == 0:  # nothing to tell apart, and scikit-learn refuses to
            return cls(mean, scale, np.zeros((1, len(mean)), np.float32), np.zeros(1, np.float32))
        model = _model()
        model.C = strength
        _fit(model, (units - mean) / np.float32(scale), labels)
        weights, bias = np.asarray(model.coef_, np.float32), np.asarray(model.intercept_, np.float32)
        if len(weights) == 1:  # of two leaves scikit-learn keeps the second's
            weights, bias = np.concatenate([np.zeros_like(weights), weights]), np.append(np.float32(0), bias)
        return cls(mean, scale, weights, bias)

    def __call__(self, vectors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """The logits of vectors, (n, d), over all leaves, (n, L)."""
        return np.asarray((unit(vectors) - self.mean) / np.float32(self.scale) @ self.weights.T + self.bias, np.float32)


def linear_probe(features: NDArray[np.floating[Any]]) -> Classifier:
    """Multinomial logistic regression on vectors, moved and scaled as `Linear` does it.

    Args:
        features: (N, d) a vector for each row of the catalogue; zeros for one that has none.

    Examples:
        >>> probe = linear_probe(embed_catalog(embedder, catalog).vectors)  # doctest: +SKIP
        >>> probe(task, task.drawn(5)).settings                             # doctest: +SKIP
        {'C': 1.0}
    """
    vectors = unit(features)

    def classify(task: LeafTask, rows: NDArray[np.int64]) -> Scores:
        mean, scale = _moments(vectors[rows])
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


def _moments(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    mean = vectors.mean(axis=0)
    return mean, max(float((vectors - mean).std()), 1e-6)


def _linear(
    features: Callable[[NDArray[np.int64]], Any],
    task: LeafTask,
    rows: NDArray[np.int64],
    strengths: tuple[float, ...],
    default: float,
) -> Scores:
    model = _model()
    learnt, validation, test = features(rows), features(task.validation), features(task.test)
    truth = task.labels[task.validation]
    best: tuple[tuple[float, float], Scores] | None = None
    for strength in strengths if len(truth) else (default,):
        model.C = strength
        _fit(model, learnt, task.labels[rows])
        chosen = _logits(model, validation, len(task.leaves))
        reached = quality(chosen, truth)
        if best is None or reached > best[0]:
            best = reached, Scores(chosen, _logits(model, test, len(task.leaves)), {"C": strength})
    assert best is not None
    return best[1]


def _model() -> LogisticRegression:
    return LogisticRegression(max_iter=_ITERATIONS, tol=_TOLERANCE, warm_start=True)


def _fit(model: LogisticRegression, features: Any, labels: NDArray[np.int64]) -> None:
    with warnings.catch_warnings():  # stopping early is meant, and so is a leaf of one row
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        model.fit(features, labels)


def _logits(model: LogisticRegression, features: Any, leaves: int) -> NDArray[np.float32]:
    logits = np.full((features.shape[0], leaves), -np.inf, np.float32)
    if len(logits):  # scikit-learn refuses no rows
        decided = model.decision_function(features)
        logits[:, model.classes_] = (
            decided if decided.ndim == 2 else np.stack([np.zeros_like(decided), decided], axis=1)
        )
    return logits
