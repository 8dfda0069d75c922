"""The pairs of vectors that are near each other: of every vector its k nearest, as far as they lie above a floor.

Few vectors are searched exactly, many through faiss's inverted lists (IVF-Flat: Sivic and Zisserman, "Video Google",
2003; Douze et al., 2024, arXiv 2401.08281), shard by shard, so that no more than one shard is in memory. What the
lists find is scored anew as `search.exact` does it. Each block that is done is kept in a file: a run that was killed
goes on after it.

Letters in shapes: U distinct vectors, d dimensions, k neighbours, m pairs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from item_embed.files import whole_file
from item_embed.hashing import hash64
from item_embed.progress import OnProgress, silent
from item_embed.search import exact
from item_embed.search.duplicates.snapshot import cosines

_EXACT_PRODUCTS = 1 << 30  # cosines that are all computed rather than looked for: 32,768 vectors among themselves
_BLOCK = 4096  # vectors searched at once, and lost when a run is killed
_ROWS = 1 << 15  # vectors that exact search compares at once: those of a file are read once, not for each few queries
_SHARD_BYTES = 1 << 30  # of vectors that inverted lists hold at once
_PROBES = 8  # lists looked into
_TRAINING = 64  # vectors for each list that its centre is learned from
_CHECKED = 500  # vectors that the recall is measured on
_CHECK = 0x7EC  # stream of that draw
#: Gives the k nearest of some vectors by number and their cosines, best first, -1 and `-inf` where there are fewer.
_Search = Callable[[NDArray[np.int64]], tuple[NDArray[np.int64], NDArray[np.float32]]]
_PAIR = np.dtype([("first", "<i4"), ("second", "<i4"), ("cosine", "<f4")])


@dataclass(frozen=True)
class Pairs:
    """m pairs of vectors by number: `first` < `second`, ascending, and their `cosine`; each (m,)."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    cosine: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.first)

    def subset(self, chosen: NDArray[np.bool_]) -> "Pairs":
        """Some of the pairs; `chosen` is (m,)."""
        return Pairs(self.first[chosen], self.second[chosen], self.cosine[chosen])


@dataclass(frozen=True)
class Recall:
    """What share of the neighbours that exact search finds for some vectors was found.

    Attributes:
        cosine: of each neighbour that exact search finds.
        found: whether the pair is known.
        vectors: how many vectors were asked for.
    """

    cosine: NDArray[np.float32]
    found: NDArray[np.bool_]
    vectors: int

    def above(self, threshold: float) -> tuple[int, int]:
        """How many pairs at or above a cosine were found, and how many there are."""
        there = self.cosine >= np.float32(threshold)
        return int(self.found[there].sum()), int(there.sum())

    def as_json(self, **thresholds: float) -> dict[str, Any]:
        """Both numbers above each of some cosines, by the names given to these."""
        counts = {name: dict(zip(("found", "of"), self.above(at), strict=True)) for name, at in thresholds.items()}
        return {"vectors": self.vectors} | counts


def find_pairs(
    vectors: NDArray[np.float32],
    asked: NDArray[np.int64],
    *,
    k: int,
    floor: float,
    ties: NDArray[np.uint64],
    work: Path,
    on_progress: OnProgress = silent,
) -> tuple[Pairs, NDArray[np.bool_]]:
    """The pairs of some vectors with their nearest among all.

    Args:
        vectors: (U, d) of length 1, in memory or memory-mapped.
        asked: the numbers of the vectors whose neighbours are wanted.
        k: how many neighbours of each.
        floor: the lowest cosine of a pair.
        ties: (U,) keys that order equal cosines, from `search.exact.tie_keys`.
        work: the folder of the blocks that are done; the caller gives the same one for the same arguments only.
        on_progress: told of the vectors asked for, times the shards.

    Returns:
        The pairs, and whether each of the U vectors has k neighbours, so that there may be more, (U,).

    Examples:
        >>> vectors = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
        >>> pairs, _ = find_pairs(vectors, np.arange(3), k=2, floor=0.7, ties=ties, work=work)  # doctest: +SKIP
        >>> pairs.first, pairs.second, pairs.cosine                                            # doctest: +SKIP
        (array([0]), array([1]), array([0.8], dtype=float32))
    """
    work.mkdir(parents=True, exist_ok=True)
    exactly = len(asked) * len(vectors) <= _EXACT_PRODUCTS
    shards = [slice(0, len(vectors))] if exactly else list(_shards(*vectors.shape))
    for number, shard in enumerate(shards):
        search: _Search | None = None
        for start in range(0, len(asked), _BLOCK):
            file = work / f"{number:04}-{start:010}.npy"
            if not file.exists():
                search = search or (_exact(vectors, k, ties) if exactly else _inverted_lists(vectors, shard, k))
                block = asked[start : start + _BLOCK]
                with whole_file(file) as aside, aside.open("wb") as opened:
                    np.save(opened, _above(block, *search(block), floor))
            on_progress(number * len(asked) + min(start + _BLOCK, len(asked)), len(shards) * len(asked))
    return _gathered(sorted(work.glob("*.npy")), len(vectors), k)


def measure_recall(
    vectors: NDArray[np.float32], pairs: Pairs, *, k: int, floor: float, ties: NDArray[np.uint64], seed: int = 0
) -> Recall:
    """Compare pairs with those that exact search finds for 500 vectors, drawn by a hash."""
    chosen = _drawn(len(vectors), seed)
    truth = _above(chosen, *_exact(vectors, k, ties)(chosen), floor)
    known = _keys(pairs.first, pairs.second, len(vectors))
    wanted = _keys(truth["first"].astype(np.int64), truth["second"].astype(np.int64), len(vectors))
    return Recall(truth["cosine"], np.isin(wanted, known), len(chosen))


def nearest_cosines(vectors: NDArray[np.float32], ties: NDArray[np.uint64], seed: int = 0) -> NDArray[np.float32]:
    """The cosines of the same 500 vectors to the nearest of all others, (n,), by exact search."""
    found = _exact(vectors, 1, ties)(_drawn(len(vectors), seed))[1].ravel()
    return found[np.isfinite(found)]


def _drawn(count: int, seed: int) -> NDArray[np.int64]:
    return np.sort(np.argsort(hash64(seed, _CHECK, np.arange(count)), kind="stable")[:_CHECKED])


def united(several: list[Pairs], count: int) -> Pairs:
    """Pairs from several sources, each once; `count` is U."""
    first, second = (np.concatenate([getattr(pairs, end) for pairs in several]) for end in ("first", "second"))
    _, once = np.unique(_keys(first, second, count), return_index=True)
    lower, upper = np.minimum(first[once], second[once]), np.maximum(first[once], second[once])
    return Pairs(lower, upper, np.concatenate([pairs.cosine for pairs in several])[once])


def _keys(first: NDArray[np.int64], second: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """One number for each pair, whichever end comes first."""
    return np.asarray(np.minimum(first, second) * count + np.maximum(first, second))


def _shards(count: int, dimension: int) -> Iterator[slice]:
    most = max(1, _SHARD_BYTES // (4 * dimension))
    shards = -(-count // most)
    for number in range(shards):
        yield slice(count * number // shards, count * (number + 1) // shards)


def _exact(vectors: NDArray[np.float32], k: int, ties: NDArray[np.uint64]) -> _Search:
    def search(asked: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        queries = vectors[asked]
        rows, scores = np.full((len(asked), k), -1), np.full((len(asked), k), -np.inf, np.float32)
        for start in range(0, len(vectors), _ROWS):
            part = slice(start, start + _ROWS)
            itself = np.where((asked >= start) & (asked < start + _ROWS), asked - start, -1)
            found, cosine = exact.search(queries, vectors[part], k, ties[part], itself)
            rows = np.concatenate([rows, np.where(found >= 0, found + start, -1)], axis=1)
            scores = np.concatenate([scores, cosine], axis=1)
            best = np.lexsort((ties[rows], -scores))[:, :k]  # stable: equal keys stay in row order
            rows, scores = np.take_along_axis(rows, best, 1), np.take_along_axis(scores, best, 1)
        return rows, np.minimum(scores, 1)

    return search


def _inverted_lists(vectors: NDArray[np.float32], shard: slice, k: int) -> _Search:
    """Search among the vectors of one shard, n of them in about 2 sqrt(n) lists."""
    count, dimension = shard.stop - shard.start, vectors.shape[1]
    lists = max(1, round(2 * count**0.5))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dimension), dimension, lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.spherical = True
    index.cp.min_points_per_centroid = 1  # faiss would print a warning
    learned = np.unique(np.linspace(shard.start, shard.stop - 1, min(count, _TRAINING * lists)).astype(np.int64))
    index.train(np.ascontiguousarray(vectors[learned]))
    for start in range(shard.start, shard.stop, _BLOCK):
        index.add(np.ascontiguousarray(vectors[start : min(start + _BLOCK, shard.stop)]))
    index.nprobe = _PROBES

    def search(asked: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        _, found = index.search(np.ascontiguousarray(vectors[asked]), k + 1)  # itself is among them, as a rule
        rows = np.where(found >= 0, found + shard.start, -1)
        rows[rows == asked[:, None]] = -1
        scores = np.full(rows.shape, -np.inf, np.float32)
        scores[rows >= 0] = cosines(vectors, np.broadcast_to(asked[:, None], rows.shape)[rows >= 0], rows[rows >= 0])
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)

    return search


def _above(
    asked: NDArray[np.int64], rows: NDArray[np.int64], scores: NDArray[np.float32], floor: float
) -> NDArray[np.void]:
    """What was found above the floor, each as asked for and found."""
    near = (rows >= 0) & (scores >= np.float32(floor))
    found = np.empty(int(near.sum()), _PAIR)
    found["first"] = np.broadcast_to(asked[:, None], rows.shape)[near]
    found["second"] = rows[near]
    found["cosine"] = scores[near]
    return found


def _gathered(files: list[Path], count: int, k: int) -> tuple[Pairs, NDArray[np.bool_]]:
    full = np.zeros(count, np.bool_)
    parts = []
    for file in files:
        found = np.load(file, allow_pickle=False)
        asked, often = np.unique(found["first"], return_counts=True)
        full[asked[often >= k]] = True
        parts.append(found)
    found = np.concatenate(parts) if parts else np.empty(0, _PAIR)
    first, second = found["first"].astype(np.int64), found["second"].astype(np.int64)
    return united([Pairs(first, second, found["cosine"])], count), full
