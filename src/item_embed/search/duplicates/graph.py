"""The graph of neighbours, kept with the result, so that the next run searches only what is new or changed.

GRAPH/listings.parquet   id, vector (its number, -1 for none)
GRAPH/vectors.parquet    digest, first (the first listing with it), full (it has k neighbours: there may be more)
GRAPH/pairs.parquet      first, second (numbers of vectors), cosine

Vectors are known again by the hash of their values, so a listing whose vector stayed costs nothing, whatever else of
it changed.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from item_embed.errors import VectorError
from item_embed.progress import OnProgress, silent
from item_embed.search.duplicates.neighbours import Pairs, find_pairs, united
from item_embed.search.duplicates.snapshot import DIGEST_BYTES, Snapshot
from item_embed.search.exact import tie_keys

_K, _FLOOR, _DIMENSION = b"item_embed.neighbours", b"item_embed.floor", b"item_embed.dimension"


@dataclass(frozen=True)
class Graph:
    """The pairs of an index's distinct vectors that lie above a floor.

    Attributes:
        snapshot: the listings, and which vector each has.
        pairs: of vectors, by number.
        full: (U,) whether a vector has as many neighbours as were asked for.
        neighbours: how many that is.
        floor: the lowest cosine of a pair.
    """

    snapshot: Snapshot
    pairs: Pairs
    full: NDArray[np.bool_]
    neighbours: int
    floor: float

    @property
    def ties(self) -> NDArray[np.uint64]:
        """(U,) keys that order equal cosines: those of the first listing with each vector."""
        return ties_of(self.snapshot)

    def write(self, folder: Path) -> None:
        """Write the files into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        snapshot, pairs = self.snapshot, self.pairs
        settings = {_K: str(self.neighbours), _FLOOR: repr(self.floor), _DIMENSION: str(snapshot.dimension)}
        listings = pa.table({"id": pa.array(snapshot.ids, pa.string()), "vector": snapshot.vector})
        digests = pa.array(snapshot.digests, pa.binary(DIGEST_BYTES))
        vectors = pa.table({"digest": digests, "first": snapshot.first, "full": self.full})
        pq.write_table(listings.replace_schema_metadata(settings), folder / "listings.parquet")
        pq.write_table(vectors, folder / "vectors.parquet")
        pq.write_table(
            pa.table({"first": pairs.first, "second": pairs.second, "cosine": pairs.cosine}), folder / "pairs.parquet"
        )

    @classmethod
    def read(cls, folder: Path) -> "Graph":
        """Read what `write` has written.

        Raises:
            VectorError: when a file is missing or damaged.
        """
        try:
            listings, vectors, pairs = (
                pq.ParquetFile(folder / f"{name}.parquet").read() for name in ("listings", "vectors", "pairs")
            )
            settings = listings.schema.metadata
            snapshot = Snapshot(
                listings["id"].to_pylist(),
                listings["vector"].to_numpy(),
                vectors["first"].to_numpy(),
                vectors["digest"].to_pylist(),
                int(settings[_DIMENSION]),
            )
            found = Pairs(*(pairs[name].to_numpy() for name in ("first", "second", "cosine")))
            return cls(snapshot, found, vectors["full"].to_numpy(), int(settings[_K]), float(settings[_FLOOR]))
        except (pa.ArrowInvalid, OSError, KeyError, TypeError):
            raise VectorError(f"{folder} is damaged or incomplete; remove {folder.parent} and run again.") from None


@dataclass(frozen=True)
class Plan:
    """What of an earlier graph still holds, and the numbers of the vectors whose neighbours are to be searched."""

    kept: Pairs
    full: NDArray[np.bool_]
    asked: NDArray[np.int64]


def plan(snapshot: Snapshot, old: Graph | None, neighbours: int, floor: float) -> Plan:
    """What is to be searched: new vectors, and those that had all neighbours they might have and lost one.

    Args:
        snapshot: the index as it is.
        old: an earlier graph, of use only if made with the same two settings.
        neighbours: how many neighbours each vector gets.
        floor: the lowest cosine of a pair.
    """
    count = len(snapshot.first)
    if old is None or (old.neighbours, old.floor) != (neighbours, floor):
        nothing = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
        return Plan(nothing, np.zeros(count, np.bool_), np.arange(count))
    number = {digest: place for place, digest in enumerate(snapshot.digests)}
    now = np.array([number.get(digest, -1) for digest in old.snapshot.digests], np.int64)  # (old U,)
    first, second = now[old.pairs.first], now[old.pairs.second]
    both = (first >= 0) & (second >= 0)
    full = np.zeros(count, np.bool_)
    full[now[(now >= 0) & old.full]] = True
    bereft = np.maximum(first, second)[~both]
    bereft = bereft[bereft >= 0]
    asked = np.ones(count, np.bool_)
    asked[now[now >= 0]] = False
    asked[bereft[full[bereft]]] = True
    return Plan(
        united([Pairs(first[both], second[both], old.pairs.cosine[both])], count), full & ~asked, np.flatnonzero(asked)
    )


def build_graph(
    snapshot: Snapshot,
    vectors: NDArray[np.float32],
    work: Path,
    *,
    neighbours: int,
    floor: float,
    old: Graph | None = None,
    on_progress: OnProgress = silent,
) -> tuple[Graph, int]:
    """The graph of an index, of which only what an earlier one does not know is searched.

    Equal to a graph made from nothing where no vector has as many neighbours as are asked for. Where one has, pairs
    that were among the nearest stay, although nearer ones have come.

    Args:
        snapshot: the index as it is.
        vectors: (U, d) its distinct vectors.
        work: the folder of blocks that are done, of `neighbours.find_pairs`.
        neighbours: how many neighbours each vector gets.
        floor: the lowest cosine of a pair.
        old: an earlier graph.
        on_progress: told of the vectors searched for.

    Returns:
        The graph, and how many vectors were searched for.

    Examples:
        >>> graph, _ = build_graph(snapshot, vectors, work, neighbours=20, floor=0.7)  # doctest: +SKIP
        >>> len(graph.pairs)                                                        # doctest: +SKIP
        211402
    """
    planned = plan(snapshot, old, neighbours, floor)
    found, full = find_pairs(
        vectors,
        planned.asked,
        k=neighbours,
        floor=floor,
        ties=ties_of(snapshot),
        work=work,
        on_progress=on_progress,
    )
    pairs = united([planned.kept, found], len(snapshot.first))
    return Graph(snapshot, pairs, planned.full | full, neighbours, floor), len(planned.asked)


def ties_of(snapshot: Snapshot) -> NDArray[np.uint64]:
    """(U,) keys that order equal cosines: those of the first listing with each vector."""
    return tie_keys([snapshot.ids[row] for row in snapshot.first])
