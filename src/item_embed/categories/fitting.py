"""A classifier from the labelled rows of a catalogue, and what it says of each of them without having learnt from it.

Rows of the train and the validation split teach, in five folds that part no group: what is said of a row is said by a
classifier that learnt from the other folds. Temperature and thresholds are fitted to that, and the classifier that is
kept learns from all of them. The test split teaches nothing and fits nothing: it is what figures are of.

Where the encoder was trained on labels too, what it says of those rows is worth nothing: the train split teaches then,
and the validation split is what temperature and thresholds are fitted to. What is kept of the encoder, and C, were
chosen on that split as well, so that what is promised is somewhat optimistic.

Letters in shapes: N rows of the catalogue, n of them, L leaves, K levels as `tree` has them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from item_embed.catalog.store import Catalog
from item_embed.categories.abstaining import HeldOut, check_precision
from item_embed.categories.calibration import PRECISION, fit_temperature, softmax
from item_embed.categories.classifier import CategoryClassifier, Encoder
from item_embed.categories.leaves import LEAST_ROWS, LeafTask
from item_embed.categories.linear import Linear, linear_probe
from item_embed.categories.tree import Tree
from item_embed.embedding.seen import Modalities, seen_title
from item_embed.errors import CatalogError
from item_embed.progress import OnProgress, silent
from item_embed.wording import are, number_of

FOLDS = 5


@dataclass(frozen=True)
class Said:
    """What was said of labelled rows by a classifier that did not learn from them.

    Attributes:
        rows: (n,) of the catalogue.
        given: (n,) the leaf that the row is labelled with; -1 for one that the classifier does not know.
        probabilities: (n, L) of each leaf, calibrated; 0 of one that it had no row of.
        nodes: (n, K) the likeliest node of each level.
        held: their probabilities, whether they are right, and the groups.
    """

    rows: NDArray[np.int64]
    given: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    nodes: NDArray[np.int64]
    held: HeldOut

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Fitted:
    """A classifier, and what was said of the rows that fitted it and of those that judge it."""

    classifier: CategoryClassifier
    fitting: Said
    judging: Said
    remarks: tuple[str, ...]


def fit_classifier(
    catalog: Catalog,
    task: LeafTask,
    vectors: NDArray[np.float32],
    encoder: Encoder,
    precision: float = PRECISION,
    *,
    tuned: bool = False,
    on_progress: OnProgress = silent,
) -> Fitted:
    """Learn the leaves of a catalogue.

    C is chosen by accuracy on the validation split. Leaves of fewer than ten rows teach nothing; what is said of their
    rows counts, and is wrong unless it is a prefix that they lie under, as it will be of rows that nobody has labelled.

    Args:
        catalog: labelled, all or some of its rows.
        task: its leaves.
        vectors: (N, d) those of its rows; rows of zeros, of which the model saw nothing, are left out.
        encoder: what made them.
        precision: the share of answers that must be right.
        tuned: whether the encoder was trained on the labels of the train split.
        on_progress: told of fits.

    Raises:
        CatalogError: when there are too few groups to hold any out, or no test row can be judged.
        ConfigError: when the precision does not lie between 0 and 1.
    """
    check_precision(precision)
    task, remarks, teaching, held_out, judging, folds = _parts(
        catalog, task, np.asarray(vectors.any(axis=1)), tuned=tuned
    )
    strength = linear_probe(vectors)(task, task.train).settings["C"]
    on_progress(1, len(folds) + 2)
    known = np.unique(task.labels[teaching])  # of the task's leaves
    code = np.full(len(task.leaves) + 1, -1)
    code[known] = np.arange(len(known))
    given = code[task.labels]  # (N,)
    linear = Linear.fit(vectors[teaching], given[teaching], strength)
    on_progress(2, len(folds) + 2)

    logits = linear(vectors[held_out])  # which stay where the train split alone taught
    for done, fold in enumerate(folds, 3):
        logits[np.searchsorted(held_out, fold)] = _without(
            fold, teaching, given, vectors, strength=strength, leaves=len(known)
        )
        on_progress(done, len(folds) + 2)
    whose = given[held_out] >= 0
    temperature = fit_temperature(logits[whose], given[held_out][whose])
    leaves = tuple(task.leaves[leaf] for leaf in known)
    tree, scored = Tree(leaves), ((held_out, logits), (judging, linear(vectors[judging])))
    fitting, judged = (_said(catalog, tree, rows, given[rows], softmax(some, temperature)) for rows, some in scored)
    told = {
        "catalog": str(catalog.path.resolve()),
        "catalog_fingerprint": catalog.fingerprint,
        "rows": {"taught": len(teaching), "held_out": len(fitting), "test": len(judged)},
        "C": strength,
        "folds": len(folds),
        "fine_tuned": tuned,
    }
    classifier = CategoryClassifier(leaves, linear, temperature, encoder, fitting.held, precision, told)
    return Fitted(classifier, fitting, judged, (*remarks, *_unknown(fitting, judged)))


def check_labels(catalog: Catalog, task: LeafTask, modalities: Modalities, *, tuned: bool = False) -> None:
    """Refuse a catalogue that `fit_classifier` would refuse, before anything is trained or embedded for it.

    Args:
        catalog: labelled, all or some of its rows.
        task: its leaves.
        modalities: what the model sees.
        tuned: whether the encoder will be trained on the labels of the train split.

    Raises:
        CatalogError: as `fit_classifier` does.
    """
    seen = np.zeros(len(catalog), np.bool_)
    if modalities != "title":
        seen |= catalog.has_photo
    if modalities != "image":
        seen |= np.array([seen_title(title) is not None for title in catalog.titles])
    _parts(catalog, task, seen, tuned=tuned)


class _Parts(NamedTuple):
    """What each row is for; `folds` are of `held_out`, none where the train split alone teaches."""

    task: LeafTask
    remarks: list[str]
    teaching: NDArray[np.int64]
    held_out: NDArray[np.int64]
    judging: NDArray[np.int64]
    folds: list[NDArray[np.int64]]


def _parts(catalog: Catalog, task: LeafTask, seen: NDArray[np.bool_], *, tuned: bool) -> _Parts:
    """What each row is for, of those, (N,), of which the model sees something."""
    task, remarks = _seen(task, seen)
    teaching = task.train if tuned else np.sort(np.concatenate([task.train, task.validation]))
    labelled = np.array([path is not None for path in catalog.categories]) & seen
    splits = catalog.splits
    held_out = np.flatnonzero(labelled & np.isin(splits, ["validation"] if tuned else ["train", "validation"]))
    judging = np.flatnonzero(labelled & (splits == "test"))
    folds = [] if tuned else _folds(task, teaching, held_out)
    if (tuned and not len(task.validation)) or (not tuned and not folds):
        raise CatalogError(
            f"{catalog.path} has no labelled rows to hold out: {'its validation split' if tuned else 'all'} "
            f"{'has none' if tuned else 'are of one group'}; prepare a feed with more labelled rows."
        )
    if not np.isin(task.labels[task.test], task.labels[teaching]).any():
        raise CatalogError(
            f"no leaf of the test split of {catalog.path} has a row to learn from, so nothing can be measured; prepare "
            "a feed with more labelled rows."
        )
    return _Parts(task, remarks, teaching, held_out, judging, folds)


def _seen(task: LeafTask, seen: NDArray[np.bool_]) -> tuple[LeafTask, list[str]]:
    """Without the rows of which the model saw nothing."""
    splits = (task.train, task.validation, task.test)
    train, validation, test = (rows[seen[rows]] for rows in splits)
    blind = sum(map(len, splits)) - len(train) - len(validation) - len(test)
    if len(np.unique(task.labels[train])) < 2:
        raise CatalogError("the model sees something of the rows of fewer than two leaves; check --modalities.")
    if not len(test):
        raise CatalogError("the model sees something of no labelled row of the test split; check --modalities.")
    remarks = [f"Of {number_of(blind, 'labelled row')} the model saw nothing; left out."] if blind else []
    return replace(task, train=train, validation=validation, test=test), remarks


def _folds(task: LeafTask, teaching: NDArray[np.int64], held_out: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The held-out rows of each fold, of which no two share a group; fewer than five where fewer groups teach.

    What teaches is spread evenly; rows of leaves that are too small to teach go where their group is.
    """
    taught = task.groups[teaching]
    count = min(FOLDS, len(np.unique(taught)))
    if count < 2:
        return []
    groups, place = np.unique(task.groups[held_out], return_inverse=True)
    fold_of = np.arange(len(groups)) % count  # of a group that teaches nothing, any
    for number, (_, fold) in enumerate(GroupKFold(count).split(teaching, groups=taught)):
        fold_of[np.searchsorted(groups, taught[fold])] = number
    return [held_out[fold_of[place] == number] for number in range(count)]


def _without(
    fold: NDArray[np.int64],
    teaching: NDArray[np.int64],
    given: NDArray[np.int64],
    vectors: NDArray[np.float32],
    *,
    strength: float,
    leaves: int,
) -> NDArray[np.float32]:
    """The logits of a fold, (n, leaves), by what the other folds teach; `-inf` for a leaf that only the fold has."""
    rest = np.setdiff1d(teaching, fold, assume_unique=True)  # a fold has all teaching rows of its groups
    known, labels = np.unique(given[rest], return_inverse=True)
    logits = np.full((len(fold), leaves), -np.inf, np.float32)
    logits[:, known] = Linear.fit(vectors[rest], labels, strength)(vectors[fold])
    return logits


def _said(
    catalog: Catalog,
    tree: Tree,
    rows: NDArray[np.int64],
    given: NDArray[np.int64],
    probabilities: NDArray[np.float64],
) -> Said:
    nodes, likelihood = tree.best(probabilities)
    paths: Sequence[str | None] = [catalog.categories[row] for row in rows]
    truth = np.stack([tree.places(paths, level) for level in range(tree.levels)], axis=1)
    return Said(rows, given, probabilities, nodes, HeldOut(likelihood, nodes == truth, catalog.groups[rows]))


def _unknown(*parts: Said) -> list[str]:
    unknown = sum(int((said.given < 0).sum()) for said in parts)
    if not unknown:
        return []
    return [
        f"{number_of(unknown, 'row')} {are(unknown)} of leaves that were not learnt, having fewer than {LEAST_ROWS} "
        "rows, or none that taught: its answers to them count as wrong, unless a shorter path is right."
    ]
