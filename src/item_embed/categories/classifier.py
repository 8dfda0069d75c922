"""`CategoryClassifier`: a classifier of leaf categories on vectors, whole, in a folder.

DIR/classifier.json          leaves, model, temperature, wanted precision, and what the fit told of itself
DIR/classifier.safetensors   the linear classifier, and what it said of held-out rows: thresholds are fitted to these

Nothing is pickled: a folder of somebody else's is numbers and text.

Letters in shapes: n rows, L leaves, K levels as `tree` has them, d numbers of a vector.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from item_embed.categories.abstaining import HeldOut, Thresholds, answered, fit_thresholds, why_silent
from item_embed.categories.calibration import softmax
from item_embed.categories.linear import Linear
from item_embed.categories.tree import Tree
from item_embed.embedding.seen import Modalities
from item_embed.errors import ModelError, VectorError

SCHEMA_VERSION = 1
TOLD_FILE, NUMBERS_FILE = "classifier.json", "classifier.safetensors"
TOP = 5
_ROWS = 1 << 14  # whose probabilities are in memory at once


@dataclass(frozen=True)
class Encoder:
    """The model whose vectors a classifier reads, and what it sees of products.

    Attributes:
        path: its folder.
        fingerprint: of the model: vectors of another one mean something else.
        modalities: `both`, the `image` alone, or the `title` alone.
    """

    path: Path
    fingerprint: str
    modalities: Modalities = "both"


@dataclass(frozen=True)
class Predictions:
    """What is said of n rows.

    Attributes:
        top: (n, 5) the likeliest leaves, fewer columns where there are fewer leaves.
        top_likelihood: (n, 5) their probabilities.
        level: (n,) the level that is answered, 0 for a leaf; -1 for no answer.
        node: (n,) the node of that level.
        likelihood: (n,) its probability; 0 for no answer.
    """

    top: NDArray[np.int64]
    top_likelihood: NDArray[np.float64]
    level: NDArray[np.int64]
    node: NDArray[np.int64]
    likelihood: NDArray[np.float64]


@dataclass(frozen=True)
class CategoryClassifier:
    """Leaf categories by vector, with calibrated probabilities, and no answer where it is not sure enough.

    Attributes:
        leaves: the whole path of each leaf, sorted.
        linear: logits by vector.
        temperature: what logits are divided by, so that probabilities are what they say.
        encoder: whose vectors it reads.
        held: what was said of rows that nothing was learnt from.
        precision: the one that was wanted when it was fitted.
        told: what the fit tells of itself: rows, settings, figures.

    Examples:
        >>> classifier = CategoryClassifier.load(Path("categories"))                 # doctest: +SKIP
        >>> made = read_vectors("vectors.parquet")                                   # doctest: +SKIP
        >>> found = classifier.predict(made.vectors, made.fingerprint)               # doctest: +SKIP
        >>> classifier.tree.names(found.level[0])[found.node[0]], found.likelihood[0]  # doctest: +SKIP
        ('Apparel > Topwear > Shirts', 0.98)
    """

    leaves: tuple[str, ...]
    linear: Linear
    temperature: float
    encoder: Encoder
    held: HeldOut
    precision: float
    told: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def tree(self) -> Tree:
        """What lies above the leaves."""
        return Tree(self.leaves)

    def thresholds(self, precision: float | None = None) -> Thresholds:
        """The thresholds for a wanted precision; by default the one that was wanted when it was fitted.

        Raises:
            ConfigError: when it does not lie between 0 and 1.
        """
        return fit_thresholds(self.held, self.precision if precision is None else precision)

    def why_silent(self, precision: float | None = None) -> str | None:
        """Why nothing at all is answered at a precision, as a sentence; None where something may be."""
        return why_silent(self.held, self.precision if precision is None else precision)

    def probabilities(self, vectors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """The calibrated probability of every leaf, (n, L)."""
        return softmax(self.linear(vectors), self.temperature)

    def predict(
        self, vectors: NDArray[np.floating[Any]], fingerprint: str, thresholds: Thresholds | None = None
    ) -> Predictions:
        """The category of products.

        Args:
            vectors: (n, d), of the classifier's model. One of zeros, of which the model saw nothing, has no answer.
            fingerprint: of the model that made them.
            thresholds: from `thresholds`; by default those of the precision it was fitted for.

        Raises:
            VectorError: when another model made the vectors, or they have another dimension.
        """
        self.check(vectors, fingerprint)
        least = self.thresholds() if thresholds is None else thresholds
        starts = range(0, max(1, len(vectors)), _ROWS)
        parts = [self._predict(vectors[start : start + _ROWS], least) for start in starts]
        columns = ([getattr(part, name) for part in parts] for name in Predictions.__dataclass_fields__)
        return Predictions(*(np.concatenate(column) for column in columns))

    def check(self, vectors: NDArray[np.floating[Any]], fingerprint: str) -> None:
        """Refuse vectors that mean something else.

        Raises:
            VectorError: when another model made them, or they have another dimension.
        """
        self.check_model(fingerprint)
        if vectors.shape[1] != self.linear.weights.shape[1]:
            raise VectorError(
                f"the vectors have {vectors.shape[1]} numbers and the classifier's model makes "
                f"{self.linear.weights.shape[1]}; make them with `item embed`."
            )

    def check_model(self, fingerprint: str) -> None:
        """Refuse a model whose vectors mean something else.

        Raises:
            VectorError: when it is not the classifier's.
        """
        if fingerprint != self.encoder.fingerprint:
            raise VectorError(
                f"the vectors come from another model ({fingerprint[:12]}) than the classifier learnt from "
                f"({self.encoder.fingerprint[:12]}, {self.encoder.path}); use that model, or fit the classifier again."
            )

    def _predict(self, vectors: NDArray[np.floating[Any]], thresholds: Thresholds) -> Predictions:
        probabilities = self.probabilities(vectors)
        top = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP]
        nodes, likelihood = self.tree.best(probabilities)
        level = np.where(vectors.any(axis=1), answered(likelihood, thresholds), -1)
        place = level.clip(0)[:, None]
        return Predictions(
            top=top,
            top_likelihood=np.take_along_axis(probabilities, top, axis=1),
            level=level,
            node=np.where(level < 0, -1, np.take_along_axis(nodes, place, axis=1)[:, 0]),
            likelihood=np.where(level < 0, 0.0, np.take_along_axis(likelihood, place, axis=1)[:, 0]),
        )

    def save(self, folder: Path) -> None:
        """Write it into a folder that is there.

        Numbers and leaves are kept whole; a model inside the folder is named relative to it.
        """
        inside = self.encoder.path.is_relative_to(folder)
        told = {
            "schema_version": SCHEMA_VERSION,
            "leaves": list(self.leaves),
            "temperature": self.temperature,
            "precision": self.precision,
            "model": {
                "path": str(self.encoder.path.relative_to(folder) if inside else self.encoder.path.resolve()),
                "fingerprint": self.encoder.fingerprint,
                "modalities": self.encoder.modalities,
            },
            "fit": dict(self.told),
        }
        numbers = {
            "mean": self.linear.mean,
            "scale": np.array([self.linear.scale]),
            "weights": self.linear.weights,
            "bias": self.linear.bias,
            "held_out.likelihood": self.held.likelihood,
            "held_out.right": self.held.right,
            "held_out.group": self.held.group,
        }
        save_file({name: np.ascontiguousarray(value) for name, value in numbers.items()}, folder / NUMBERS_FILE)
        text = json.dumps(told, ensure_ascii=False, indent=2)
        (folder / TOLD_FILE).write_text(f"{text}\n", encoding="utf8")

    @classmethod
    def load(cls, folder: Path) -> "CategoryClassifier":
        """Read one that `item classify fit` wrote.

        Raises:
            ModelError: when the folder holds none, one of another version, or a damaged one.
        """
        if not (folder / TOLD_FILE).is_file():
            raise ModelError(f"{folder} holds no classifier; make one with `item classify fit`.")
        try:
            told = json.loads((folder / TOLD_FILE).read_text(encoding="utf8"))
            if told["schema_version"] != SCHEMA_VERSION:
                raise ModelError(
                    f"the classifier {folder} is of version {told['schema_version']}, and this is item-embed for "
                    f"version {SCHEMA_VERSION}; fit it again with `item classify fit`."
                )
            return cls._of(folder, told, load_file(folder / NUMBERS_FILE))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError):
            raise ModelError(f"the classifier {folder} is damaged; copy the whole folder, or fit it again.") from None

    @classmethod
    def _of(cls, folder: Path, told: dict[str, Any], numbers: dict[str, NDArray[Any]]) -> "CategoryClassifier":
        leaves, model = tuple(map(str, told["leaves"])), told["model"]
        linear = Linear(numbers["mean"], float(numbers["scale"][0]), numbers["weights"], numbers["bias"])
        held = HeldOut(*(numbers[f"held_out.{name}"] for name in ("likelihood", "right", "group")))
        if model["modalities"] not in get_args(Modalities):
            raise ValueError("unknown modalities")
        levels = Tree(leaves).levels
        shapes = {
            linear.weights.shape: (len(leaves), len(linear.mean)),
            linear.bias.shape: (len(leaves),),
            held.likelihood.shape: (len(held), levels),
            held.right.shape: (len(held), levels),
        }
        if any(found != meant for found, meant in shapes.items()):
            raise ValueError("numbers and leaves do not belong together")
        temperature, precision = float(told["temperature"]), float(told["precision"])
        if not (0 < temperature < np.inf and 0 < precision < 1):
            raise ValueError("temperature or precision is out of range")
        encoder = Encoder(folder / model["path"], model["fingerprint"], cast("Modalities", model["modalities"]))
        return cls(leaves, linear, temperature, encoder, held, precision, dict(told["fit"]))
