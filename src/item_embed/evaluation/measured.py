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

    Examples:
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
        """How far it lies above another method's figure of the same clusters; see `Combination.minus`."""
        return mean([self]).minus(mean([other]), seed)


@dataclass(frozen=True)
class Combination:
    """Figures over the same clusters, added up: the mean over several runs, or the difference of two means.

    Every figure is divided before it is added, also in each resample: where clusters weigh something else in one run
    than in another, as they do in the index of dominance, sums that are added first would give runs other weights.

    Attributes:
        terms: those in which each cluster weighs the same are one.

    Examples:
        >>> photo, title = (Sums(np.array([sign * moved]), np.array([moved])) for sign, moved in ((1, 0.1), (-1, 9.9)))
        >>> mean([photo, title]).value
        0.0
    """

    terms: tuple[Sums, ...]

    @property
    def value(self) -> float:
        """The figure."""
        return sum(term.value for term in self.terms)

    @property
    def clusters(self) -> int:
        """How many are resampled."""
        return len(self.terms[0].numerators)

    def figure(self, seed: int = 0) -> Figure:
        """The figure with its 95 % interval; all terms are resampled together."""
        if len(self.terms) == 1:
            return self.terms[0].figure(seed)
        if self.clusters < 2:
            return Figure(self.value, None, None, "too few to resample for an interval")
        columns = np.stack([*(term.numerators for term in self.terms), *(term.denominators for term in self.terms)], 1)
        totals = np.concatenate([counts @ columns for counts in draws(self.clusters, RESAMPLES, seed)])
        above, below = np.split(totals, 2, axis=1)
        drawn = np.divide(above, below, out=np.zeros_like(above), where=below > 0).sum(axis=1)
        low, high = np.quantile(drawn, [0.025, 0.975])
        return Figure(self.value, float(low), float(high))

    def less(self, other: "Combination") -> "Combination":
        """How far it lies above another, paired: both are resampled together.

        Raises:
            ValueError: when the two are not figures of equally many clusters.
        """
        if self.clusters != other.clusters:
            raise ValueError("only figures over the same clusters can be subtracted")
        return _added([*self.terms, *(Sums(-term.numerators, term.denominators) for term in other.terms)])

    def minus(self, other: "Combination", seed: int = 0) -> Figure:
        """`less`, with its 95 % interval."""
        return self.less(other).figure(seed)


def mean(parts: Sequence[Sums]) -> Combination:
    """The mean of one figure over several runs: over seeds, say. Clusters are the same in all.

    Examples:
        >>> one, two = (Sums(np.array([n, 1.0]), np.ones(2)) for n in (0.0, 1.0))
        >>> mean([one, two]).value
        0.75
    """
    return Combination(tuple(Sums(term.numerators / len(parts), term.denominators) for term in _added(parts).terms))


def _added(figures: Sequence[Sums]) -> Combination:
    """Their sum; the numerators of those with equal denominators are added, which changes nothing but the rounding."""
    alike: dict[bytes, list[Sums]] = {}
    for one in figures:
        alike.setdefault(one.denominators.tobytes(), []).append(one)
    return Combination(
        tuple(Sums(np.sum([one.numerators for one in of], axis=0), of[0].denominators) for of in alike.values())
    )


#: The figures of a method by name, of those in `FIGURES`.
Measured = Mapping[str, Sums]


def retrieval_sums(metrics: QueryMetrics, products: NDArray[np.int64]) -> dict[str, Sums]:
    """hit@1, macro recall@10 and MAP@10 of queries, (Q,) each, by product; see `intervals.figures`.

    Examples:
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
