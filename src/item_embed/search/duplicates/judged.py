"""Pairs of listings of which somebody said whether they are the same product.

Three sources: a file of pairs, the answers to a sample that was written for review, and a column of the catalogue that
names the product.

Letters in shapes: n judged pairs, N listings.
"""

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, nan
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from item_embed.catalog.titles import clean_key
from item_embed.errors import ConfigError
from item_embed.search.duplicates.graph import Graph
from item_embed.search.duplicates.listings import Listings
from item_embed.search.duplicates.snapshot import Snapshot, cosines
from item_embed.search.probability import Answers

COLUMNS = ("id", "other_id", "same")
STRATUM = ("stratum", "stratum_pairs")

Answer = Literal["yes", "no", "unsure"]
#: What `same` may say, as `said` reads it; None where nobody has answered.
ANSWERS: dict[str, Answer | None] = {
    **dict.fromkeys(("yes", "y", "true", "1"), "yes"),
    **dict.fromkeys(("no", "n", "false", "0"), "no"),
    **dict.fromkeys(("unsure", "skip"), "unsure"),
    **dict.fromkeys(("", "none", "null", "nan"), None),
}


@dataclass(frozen=True)
class RowPairs:
    """Pairs of listings by row, with their cosine; each (n,)."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    cosine: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.first)

    def subset(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "RowPairs":
        """Some of the pairs, by a mask or by their numbers."""
        return RowPairs(self.first[chosen], self.second[chosen], self.cosine[chosen])

    def unlike(self, values: NDArray[np.int64] | None) -> NDArray[np.bool_]:
        """Which pairs have different values, (N,) with -1 for none: those that are never joined."""
        if values is None:
            return np.zeros(len(self), np.bool_)
        one, other = values[self.first], values[self.second]
        return np.asarray((one != other) & (one >= 0) & (other >= 0))


@dataclass(frozen=True)
class Judged:
    """Pairs of which it is known whether they are the same product.

    Attributes:
        pairs: n of them.
        same: (n,) the answer.
        weight: (n,) how many pairs of the catalogue each stands for.
        unit: (n,) pairs of one unit are about one product, and are no independent answers (`units_of`).
        told: where they come from, for a person.
    """

    pairs: RowPairs
    same: NDArray[np.bool_]
    weight: NDArray[np.float64]
    unit: NDArray[np.int64]
    told: str

    @property
    def answers(self) -> Answers:
        """The same as a probability is learned from."""
        return Answers(self.pairs.cosine, self.same, self.weight, self.unit)

    def subset(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "Judged":
        """Some of the pairs, by a mask or by their numbers."""
        pairs, same, weight, unit = self.pairs.subset(chosen), self.same[chosen], self.weight[chosen], self.unit[chosen]
        return Judged(pairs, same, weight, unit, self.told)


def pairs_of_listings(graph: Graph, preferred: NDArray[np.bool_] | None = None) -> RowPairs:
    """The near pairs of a graph as pairs of listings: of each pair of vectors one, and each copy of a vector with one.

    Ten listings with one vector are nine pairs, not forty-five: else a placeholder of ten thousand listings would be
    all that a precision is about.

    Args:
        graph: pairs of vectors.
        preferred: (N,) listings that stand for their vector before others; by default its first does.
    """
    vector = graph.snapshot.vector
    rows = np.flatnonzero(vector >= 0)
    rank = np.zeros(len(vector), np.bool_) if preferred is None else ~preferred
    rows = rows[np.lexsort((rows, rank[rows], vector[rows]))]
    starts = np.flatnonzero(np.diff(vector[rows], prepend=-1))
    head = rows[starts]  # (U,)
    copies = np.delete(rows, starts)
    first = np.concatenate([head[graph.pairs.first], head[vector[copies]]])
    second = np.concatenate([head[graph.pairs.second], copies])
    return RowPairs(first, second, np.concatenate([graph.pairs.cosine, np.ones(len(copies), np.float32)]))


def check_labels(listings: Listings, column: str) -> None:
    """Refuse labels that say of no two listings that they are the same, before anything is searched.

    Raises:
        ConfigError: when no two listings share one.
    """
    label = listings.codes(column)
    if not (np.bincount(label[label >= 0], minlength=1) > 1).any():
        raise ConfigError(
            f"--labels {column}: no two listings share one, or the feed has no such column (`item prepare` takes "
            "--product-column); give --pairs FILE, or --sample N and then --answers FILE."
        )


def units_of(pairs: RowPairs, product: NDArray[np.int64]) -> NDArray[np.int64]:
    """The product that each pair counts with, (n,): of two, the one that more pairs are about.

    So a listing that many others were wrongly taken for, a placeholder say, is one unit, not many.

    Args:
        pairs: n of them.
        product: (N,) the product of each listing; of those in pairs not -1.

    Examples:
        >>> units_of(RowPairs(np.array([0, 1]), np.array([1, 2]), np.ones(2, np.float32)), np.array([7, 7, 9]))
        array([7, 7])
    """
    one, other = product[pairs.first], product[pairs.second]
    about = np.bincount(np.concatenate([one, other[one != other]]))
    lower, upper = np.minimum(one, other), np.maximum(one, other)
    return np.asarray(np.where(about[upper] > about[lower], upper, lower))


def labelled(graph: Graph, listings: Listings, column: str, values: NDArray[np.int64] | None = None) -> Judged:
    """All near pairs of listings that have a label: the same where their labels are equal.

    Args:
        graph: near pairs.
        listings: which have the column.
        column: the name of the labels.
        values: (N,) pairs of different values are left out; see `clusters.cluster`.
    """
    label = listings.codes(column)
    pairs = pairs_of_listings(graph, label >= 0)
    pairs = pairs.subset((label[pairs.first] >= 0) & (label[pairs.second] >= 0) & ~pairs.unlike(values))
    same = label[pairs.first] == label[pairs.second]
    told = f"{len(pairs):,} near pairs whose {column} is known"
    return Judged(pairs, same, np.ones(len(pairs)), units_of(pairs, label), told)


def said(value: object) -> str:
    """A value of `same` as `ANSWERS` has it.

    Examples:
        >>> ANSWERS[said(" Y ")], ANSWERS[said(None)]
        ('yes', None)
    """
    return str(value if value is not None else "").strip().casefold()


def read_judged(
    path: Path,
    option: str,
    snapshot: Snapshot,
    vectors: NDArray[np.float32],
    values: NDArray[np.int64] | None = None,
) -> Judged:
    """The pairs of a file with the columns `id`, `other_id` and `same` (yes, no, or nothing where nobody knows).

    Where it has the columns of a sample too (`stratum`, and `stratum_pairs`, how many pairs that has), each answer
    stands for its share of the stratum, so that what is estimated from them holds for the catalogue.

    Args:
        path: CSV or Parquet.
        option: how the user named it.
        snapshot: whose listings it names.
        vectors: (U, d) their distinct vectors.
        values: (N,) pairs of different values are left out; see `clusters.cluster`.

    Raises:
        ConfigError: naming the row that cannot be read, or that names a listing which the index does not have.
    """
    shown = f"{option} {path}"
    place = {key: row for row, key in enumerate(snapshot.ids)}
    first, second, same, strata = [], [], [], []
    for number, row in enumerate(_rows(path, shown), 2 if path.suffix.lower() == ".csv" else 1):
        word = said(row["same"])
        one, other = (_place(row[end], place, f"{shown}, row {number}") for end in ("id", "other_id"))
        if one == other:
            raise ConfigError(f"{shown}, row {number}: {row['id']!r} is paired with itself; remove the row.")
        if word not in ANSWERS:
            raise ConfigError(f"{shown}, row {number}: same is {word!r}; write yes, no, or nothing if nobody knows.")
        if ANSWERS[word] not in {"yes", "no"}:
            continue
        first.append(one)
        second.append(other)
        same.append(ANSWERS[word] == "yes")
        strata.append(_stratum(row, f"{shown}, row {number}"))
    if not same:
        raise ConfigError(f"{shown} has no answer, neither yes nor no; answer some pairs first.")
    one_end, other_end = np.array(first, np.int64), np.array(second, np.int64)
    pairs = RowPairs(one_end, other_end, _cosines(one_end, other_end, snapshot, vectors))
    kept = ~pairs.unlike(values)
    pairs, answers = pairs.subset(kept), np.array(same, np.bool_)[kept]
    unit = units_of(pairs, _products(pairs.subset(answers), len(snapshot)))
    return Judged(pairs, answers, _weights(strata)[kept], unit, f"{len(pairs):,} answers of {path.name}")


def _rows(path: Path, shown: str) -> Iterator[dict[str, object]]:
    if not path.is_file():
        raise ConfigError(f"{shown} does not exist or is no file; give a CSV or Parquet file.")
    try:
        if path.suffix.lower() == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file, restval="")
                _check_columns(reader.fieldnames or (), shown)
                yield from reader
        else:
            table = pq.ParquetFile(path).read()
            _check_columns(table.column_names, shown)
            yield from table.to_pylist()
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError, csv.Error):
        raise ConfigError(f"{shown} is damaged, or is neither CSV in UTF-8 nor Parquet; give such a file.") from None


def _check_columns(names: object, shown: str) -> None:
    lacking = [name for name in COLUMNS if name not in list(names)]  # type: ignore[call-overload]
    if lacking:
        raise ConfigError(f"{shown} has no column {lacking[0]!r}; it needs {', '.join(COLUMNS)}.")


def _place(value: object, place: dict[str, int], shown: str) -> int:
    key = clean_key(value)
    if key not in place:
        raise ConfigError(f"{shown}: the index has no listing {key or ''!r}; give the file that belongs to this index.")
    return place[key]


def _stratum(row: dict[str, object], shown: str) -> tuple[str, float] | None:
    name, pairs = (row.get(column) for column in STRATUM)
    if name in {None, ""}:
        return None
    try:
        count = float(str(pairs))
    except ValueError:
        count = nan
    if not 0 < count < inf:
        raise ConfigError(f"{shown}: stratum_pairs is {str(pairs)!r}; leave the columns as the sample has them.")
    return str(name), count


def _weights(strata: list[tuple[str, float] | None]) -> NDArray[np.float64]:
    """How many pairs each answer stands for: its share of its stratum; 1 without strata."""
    answers = Counter(strata)
    return np.array([1.0 if one is None else one[1] / answers[one] for one in strata])


def _products(same: RowPairs, count: int) -> NDArray[np.int64]:
    """The product of each of N listings, (N,): those that hang together by pairs of which it was said."""
    graph = coo_array((np.ones(len(same)), (same.first, same.second)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _cosines(
    first: NDArray[np.int64], second: NDArray[np.int64], snapshot: Snapshot, vectors: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Of pairs of listings; 0 where the model saw nothing of one."""
    one, other = snapshot.vector[first], snapshot.vector[second]
    seen = (one >= 0) & (other >= 0)
    found = np.zeros(len(first), np.float32)
    found[seen] = np.where(one[seen] == other[seen], np.float32(1), cosines(vectors, one[seen], other[seen]))
    return found
