"""What was measured of a method, in a form that can be kept, averaged over seeds and subtracted from another's.

Every figure is a sum over products, or groups, divided by another: kept as one pair of numbers for each of them, the
intervals and paired differences of `intervals` can be drawn again, whenever and against whatever.

Letters in shapes: C clusters (products of the queries, or groups of labelled rows).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from item_embed.embedding.seen import Modalities
from item_embed.errors import ConfigError
from item_embed.evaluation.classification import Judged
from item_embed.evaluation.dominance import Movement
from item_embed.evaluation.intervals import RESAMPLES, Figure, draws, ratios
from item_embed.evaluation.metrics import QueryMetrics
from item_embed.files import whole_file

#: Every figure that may be there, in the order of a table, with its heading.
FIGURES = {
    "hit_at_1": "hit@1",
    "macro_recall_at_10": "macro recall@10",
    "map_at_10": "MAP@10",
    "macro_recall_at_10_image": "recall@10, photo alone",
    "macro_recall_at_10_title": "recall@10, title alone",
    "accuracy": "leaf accuracy",
    "dominance_index": "dominance index",
}
_SIGNED = ("dominance_index",)


@dataclass(frozen=True)
class Sums:
    """A figure as a sum over clusters divided by another.

    Attributes:
        numerators: (C,) float64.
        denominators: (C,) float64, not negative.

    Example:
        >>> Sums(np.array([1.0, 0.0]), np.array([1.0, 1.0])).value
        0.5
    """

    numerators: NDArray[np.float64]
    denominators: NDArray[np.float64]

    @property
    def value(self) -> float:
        """The figure; 0 where nothing moves the denominators, which only the dominance index can show."""
        total = float(self.denominators.sum())
        return float(self.numerators.sum()) / total if total else 0.0

    def figure(self, seed: int = 0) -> Figure:
        """The figure with its 95 % interval."""
        if not self.denominators.any():
            return Figure(0.0, None, None, "nothing to divide by: 0 by definition")
        [found] = ratios(self.numerators[:, None], self.denominators[:, None], seed=seed)
        return found

    def minus(self, other: "Sums", seed: int = 0) -> Figure:
        """How far it lies above another method's figure of the same clusters, paired: both are resampled together.

        Clusters may weigh something else in the other, as they do in the index of dominance; then both figures are
        computed anew of every resample.

        Raises:
            ValueError: when the two are not figures of equally many clusters.
        """
        if self.weighs_as(other):
            return self.less(other).figure(seed)
        clusters = len(self.numerators)
        if clusters != len(other.numerators):
            raise ValueError("only figures over the same clusters can be subtracted")
        value = self.value - other.value
        if clusters < 2:
            return Figure(value, None, None, "too few to resample for an interval")
        columns = np.stack([self.numerators, other.numerators, self.denominators, other.denominators], axis=1)
        totals = np.concatenate([counts @ columns for counts in draws(clusters, RESAMPLES, seed)])
        above, below = totals[:, :2], totals[:, 2:]
        drawn = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
        low, high = np.quantile(drawn[:, 0] - drawn[:, 1], [0.025, 0.975])
        return Figure(value, float(low), float(high))

    def weighs_as(self, other: "Sums") -> bool:
        """Whether each cluster weighs the same in both, so that their difference is one of sums."""
        return np.array_equal(self.denominators, other.denominators)

    def less(self, other: "Sums") -> "Sums":
        """The difference of two in which each cluster weighs the same."""
        return Sums(self.numerators - other.numerators, self.denominators)


def mean(parts: Sequence[Sums]) -> Sums:
    """The mean of one figure over several runs: over seeds, say. Clusters are the same in all.

    Example:
        >>> one, two = (Sums(np.array([n, 1.0]), np.ones(2)) for n in (0.0, 1.0))
        >>> mean([one, two]).value
        0.75
    """
    return Sums(
        np.mean([part.numerators for part in parts], axis=0), np.mean([part.denominators for part in parts], axis=0)
    )


#: The figures of a method by name, of those in `FIGURES`.
Measured = Mapping[str, Sums]


def retrieval_sums(metrics: QueryMetrics, products: NDArray[np.int64]) -> dict[str, Sums]:
    """hit@1, macro recall@10 and MAP@10 of queries, (Q,) each, by product; see `intervals.figures`.

    Example:
        >>> sums = retrieval_sums(result.metrics, result.queries.products)  # doctest: +SKIP
    """
    _, code = np.unique(products, return_inverse=True)
    queries = np.bincount(code).astype(np.float64)

    def sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(code, values).astype(np.float64)

    return {
        "hit_at_1": Sums(sums(metrics.hit_at_1), queries),
        "macro_recall_at_10": Sums(sums(metrics.recall_at_10) / queries, np.ones_like(queries)),
        "map_at_10": Sums(sums(metrics.ap_at_10), queries),
    }


def alone(side: Modalities) -> str:
    """The name of recall@10 by one side of the listings alone."""
    return f"macro_recall_at_10_{side}"


def accuracy_sums(judged: Judged) -> Sums:
    """The accuracy of a classifier, by group."""
    _, group = np.unique(judged.groups, return_inverse=True)
    right = np.bincount(group, judged.right).astype(np.float64)
    return Sums(right, np.bincount(group).astype(np.float64))


def dominance_sums(movement: Movement) -> Sums:
    """The index of dominance, by product."""
    _, product = np.unique(movement.products, return_inverse=True)
    photo, title = (np.bincount(product, moved).astype(np.float64) for moved in (movement.photo, movement.title))
    return Sums(photo - title, photo + title)


def write_measured(path: Path, measured: Measured) -> None:
    """Keep figures: Parquet with a row for each figure and cluster; the file is whole or not there.

    Raises:
        OutputError: when it cannot be written.
    """
    columns: dict[str, list[Any]] = {"figure": [], "numerator": [], "denominator": []}
    for name, sums in measured.items():
        columns["figure"] += [name] * len(sums.numerators)
        columns["numerator"] += sums.numerators.tolist()
        columns["denominator"] += sums.denominators.tolist()
    with whole_file(path) as aside:
        pq.write_table(pa.table(columns), aside)


def read_measured(path: Path) -> dict[str, Sums]:
    """The figures of a file, in their order.

    Raises:
        ConfigError: when it is damaged.
    """
    try:
        table = pq.ParquetFile(path).read(columns=["figure", "numerator", "denominator"])
    except (OSError, pa.ArrowInvalid) as error:
        raise ConfigError(f"{path} cannot be read ({error}); remove it, and it is measured again.") from None
    names = np.array(table["figure"].to_pylist())
    numerators, denominators = (table[name].to_numpy() for name in ("numerator", "denominator"))
    return {
        str(name): Sums(numerators[names == name], denominators[names == name])
        for name in dict.fromkeys(names.tolist())
    }


def form(name: str) -> str:
    """How a figure of this name is written: one that may be negative with its sign."""
    return "+.3f" if name in _SIGNED else ".3f"


def known(names: Iterable[str]) -> list[str]:
    """Those of the names that are in `FIGURES`, in its order."""
    given = set(names)
    return [name for name in FIGURES if name in given]
