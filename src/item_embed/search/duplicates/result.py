"""The clusters as files, and their numbers, which stay while their listings do.

OUT/clusters.parquet   a row for each listing: id, cluster, size, master, is_master, why, cosine, confidence
OUT/clusters.csv       the clusters of several listings, one below the other, with titles, for a person
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from item_embed.errors import VectorError
from item_embed.spreadsheet import cell

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("cluster", pa.int64(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("master", pa.string(), nullable=False),
        pa.field("is_master", pa.bool_(), nullable=False),
        pa.field("why", pa.string()),  # of a master of several
        pa.field("cosine", pa.float32()),  # to the master; null for a listing that is its own
        pa.field("confidence", pa.float32()),  # null where nothing was judged
    ]
)
_NEXT = b"item_embed.next_cluster"


@dataclass(frozen=True)
class Clusters:
    """The clusters of N listings.

    Attributes:
        ids: the id of each listing.
        labels: (N,) its cluster, from 0 to C - 1.
        numbers: (C,) the number of each cluster that users know, and that stays from run to run.
        next_number: the lowest number that no cluster ever had.
        masters: (C,) the row of each cluster's suggested master.
        why: what speaks for the master of each cluster of several, by cluster.
        cosine: (N,) of each listing to its master; 1 for masters.
        confidence: (N,) the probability that a listing is its master's product; that of its least certain listing for
            a master of several; NaN for a listing alone. None where nothing was judged.
    """

    ids: list[str]
    labels: NDArray[np.int64]
    numbers: NDArray[np.int64]
    next_number: int
    masters: NDArray[np.int64]
    why: dict[int, str]
    cosine: NDArray[np.float32]
    confidence: NDArray[np.float64] | None

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(C,) how many listings each cluster has."""
        return np.bincount(self.labels, minlength=len(self.numbers)).astype(np.int64)

    def lowest(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """(C,) the lowest of the listings' values, (N,), in each cluster."""
        found = np.full(len(self.numbers), np.inf)
        np.fmin.at(found, self.labels, values.astype(np.float64))
        return found

    def write(self, folder: Path, titles: list[str | None]) -> None:
        """Write both files into a folder; `titles` are those of the listings."""
        table = self._table()
        settings = {_NEXT: str(self.next_number)}
        pq.write_table(table.replace_schema_metadata(settings), folder / "clusters.parquet", compression="zstd")
        several = np.flatnonzero(self.sizes[self.labels] > 1)
        order = several[np.lexsort((several, ~self._is_master[several], self.numbers[self.labels[several]]))]
        columns = [name for name in SCHEMA.names if name != "master"]
        with (folder / "clusters.csv").open("w", encoding="utf8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*columns, "title"])
            for start in range(0, len(order), 1 << 16):
                rows = order[start : start + (1 << 16)]
                for row, values in zip(rows, table.select(columns).take(rows).to_pylist(), strict=True):
                    writer.writerow(cell(value) for value in (*(values[name] for name in columns), titles[row]))

    @property
    def _is_master(self) -> NDArray[np.bool_]:
        return np.asarray(self.masters[self.labels] == np.arange(len(self.labels)))

    def _table(self) -> pa.Table:
        own = self._is_master
        alone = self.sizes[self.labels] == 1
        why: list[str | None] = [None] * len(self.ids)
        for label, text in self.why.items():
            why[self.masters[label]] = text
        unknown = np.ones(len(own), np.bool_) if self.confidence is None else alone
        confidence = np.zeros(len(own)) if self.confidence is None else self.confidence
        ids = pa.array(self.ids, pa.string())
        columns = [
            ids,
            self.numbers[self.labels],
            self.sizes[self.labels],
            ids.take(pa.array(self.masters[self.labels])),
            own,
            pa.array(why, pa.string()),
            pa.array(self.cosine, pa.float32(), mask=own),
            pa.array(confidence.astype(np.float32), pa.float32(), mask=unknown),
        ]
        return pa.table(columns, schema=SCHEMA)


@dataclass(frozen=True)
class Earlier:
    """The clusters of an earlier run: the number of each listing's, by id, and the lowest one never used."""

    numbers: dict[str, int]
    next_number: int

    @classmethod
    def read(cls, file: Path) -> "Earlier":
        """Read `clusters.parquet`.

        Raises:
            VectorError: when it is damaged.
        """
        try:
            table = pq.ParquetFile(file).read(columns=["id", "cluster"])
            numbers = dict(zip(table["id"].to_pylist(), table["cluster"].to_pylist(), strict=True))
            return cls(numbers, int(table.schema.metadata[_NEXT]))
        except (pa.ArrowInvalid, OSError, KeyError, TypeError):
            raise VectorError(f"{file} is damaged; remove {file.parent} and run again.") from None


def number_clusters(
    ids: list[str], labels: NDArray[np.int64], earlier: Earlier | None = None
) -> tuple[NDArray[np.int64], int]:
    """The numbers of clusters, (C,), and the lowest one that was never used.

    A cluster keeps the number of the earlier one that it shares most listings with; where two want one number, the one
    that shares more has it, of equals the one whose earlier number is lower. Others get numbers that no cluster had.

    Args:
        ids: the id of each of N listings.
        labels: (N,) its cluster, from 0.
        earlier: the clusters of an earlier run.

    Examples:
        >>> number_clusters(["a", "b", "c"], np.array([0, 1, 1]), Earlier({"b": 7, "c": 7}, next_number=9))
        (array([9, 7]), 10)
    """
    count = int(labels.max(initial=-1)) + 1
    numbers = np.full(count, -1, np.int64)
    start = 0 if earlier is None else earlier.next_number
    if earlier is not None:
        before = np.array([earlier.numbers.get(key, -1) for key in ids], np.int64)
        known = before >= 0
        pairs, shared = np.unique(np.stack([labels[known], before[known]], axis=1), axis=0, return_counts=True)
        taken: set[int] = set()
        for place in np.lexsort((pairs[:, 0], pairs[:, 1], -shared)):
            label, number = int(pairs[place, 0]), int(pairs[place, 1])
            if numbers[label] < 0 and number not in taken:
                numbers[label] = number
                taken.add(number)
    new = numbers < 0
    numbers[new] = start + np.arange(int(new.sum()))
    return numbers, start + int(new.sum())
