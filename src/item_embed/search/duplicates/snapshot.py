"""What an index holds, in the form that the search for duplicates needs: equal vectors once, and on disk.

Listings with equal vectors (a placeholder photo without a title, a listing copied whole) are one vector here: however
many they are, they cost neither pairs nor time. Vectors are equal if they are so after rounding, since the same photo
and title, embedded beside others, differ in the last digits; such a pair has a cosine of at least .99995. A listing of
which the model saw nothing has the vector zero, and is a duplicate of none.

Letters in shapes: N listings, U distinct vectors, d dimensions.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from item_embed.errors import VectorError
from item_embed.files import whole_file
from item_embed.progress import OnProgress, silent
from item_embed.search.index import ProductIndex

DIGEST_BYTES = 16
_BLOCK = 8192  # listings in memory at once
_APART = 0.01  # the largest distance of vectors that count as equal: a cosine of 1 - 0.01**2 / 2


@dataclass(frozen=True)
class Snapshot:
    """The listings of an index at one time, without their vectors.

    Attributes:
        ids: the id of each of the N listings.
        vector: (N,) the number of its vector among the U distinct ones; -1 for the vector zero.
        first: (U,) the first listing with each vector, ascending.
        digests: a hash of each of the U vectors, rounded, `DIGEST_BYTES` long.
        dimension: d.
    """

    ids: list[str]
    vector: NDArray[np.int64]
    first: NDArray[np.int64]
    digests: list[bytes]
    dimension: int

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def content(self) -> str:
        """A hash of all ids and vectors: equal snapshots have equal ones."""
        hashed = hashlib.blake2b(digest_size=16)
        for key, number in zip(self.ids, self.vector.tolist(), strict=True):
            hashed.update(f"{len(key)} {key} ".encode("utf8", "surrogatepass"))
            hashed.update(self.digests[number] if number >= 0 else b"")
        return hashed.hexdigest()


def take_snapshot(index: ProductIndex, on_progress: OnProgress = silent) -> Snapshot:
    """Read an index once, from end to end.

    Args:
        index: what is searched.
        on_progress: told of the listings read and of their total.

    Raises:
        VectorError: when a vector is not finite.

    Examples:
        >>> len(take_snapshot(ProductIndex.open("index")))  # doctest: +SKIP
        44072
    """
    ids: list[str] = []
    vector: list[int] = []
    first: list[int] = []
    numbers: dict[bytes, int] = {}
    dimension = 0
    for keys, part in index.scan(_BLOCK):
        dimension = part.shape[1]
        for key, row in zip(keys, _rounded(_unit(part, keys, index.path)), strict=True):
            number = -1
            if row.any():
                number = numbers.setdefault(hashlib.blake2b(row, digest_size=DIGEST_BYTES).digest(), len(first))
                if number == len(first):
                    first.append(len(ids))
            ids.append(key)
            vector.append(number)
        on_progress(len(ids), len(index))
    return Snapshot(ids, np.array(vector, np.int64), np.array(first, np.int64), list(numbers), dimension)


def open_vectors(index: ProductIndex, snapshot: Snapshot, path: Path) -> NDArray[np.float32]:
    """The distinct vectors of a snapshot, (U, d), of length 1, memory-mapped; written if they are not there yet.

    Args:
        index: what the snapshot was taken of.
        snapshot: whose vectors are wanted.
        path: the file, of the format of `numpy.save`.

    Raises:
        VectorError: when the index has changed since.
    """
    shape = (len(snapshot.first), snapshot.dimension)
    if not path.exists():
        # Written as a file, not through a memory map: on a full disk that would end the process without a word.
        with whole_file(path) as aside, aside.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
            place = written = 0
            for keys, part in index.scan(_BLOCK):
                here = snapshot.first[written : np.searchsorted(snapshot.first, place + len(keys))] - place
                if keys != snapshot.ids[place : place + len(keys)]:
                    break
                file.write(_unit(part, keys, index.path)[here].astype("<f4").tobytes())
                place, written = place + len(keys), written + len(here)
            if place != len(snapshot) or written != shape[0]:
                raise VectorError(f"{index.path} changed while it was read; run the command again.")
    if not shape[0]:  # nothing can be mapped
        return np.zeros(shape, np.float32)
    vectors: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    return vectors


def cosines(vectors: NDArray[np.float32], first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float32]:
    """The cosines of pairs of vectors, (n,), by the sums of `search.exact`: the same whatever is computed beside them.

    Args:
        vectors: (U, d) of length 1.
        first: (n,) numbers of vectors.
        second: (n,) likewise.

    Examples:
        >>> cosines(np.eye(2, dtype=np.float32), np.array([0, 0]), np.array([0, 1]))
        array([1., 0.], dtype=float32)
    """
    found = np.empty(len(first), np.float32)
    for start in range(0, len(first), _BLOCK):
        part = slice(start, start + _BLOCK)
        products = vectors[first[part]] * vectors[second[part]].astype(np.float64)
        found[part] = products.sum(axis=1)
    return np.clip(found, -1, 1)


def _unit(part: NDArray[np.float32], keys: list[str], path: str | Path) -> NDArray[np.float32]:
    """Vectors of length 1, (b, d); zeros stay zeros."""
    endless = np.flatnonzero(~np.isfinite(part).all(axis=1))
    if len(endless):
        raise VectorError(
            f"{path} holds a vector with numbers that are not finite, of {keys[endless[0]]!r}; "
            "make the vectors again with `item embed`, and the index with `item index`."
        )
    lengths = np.sqrt((part.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    return np.ascontiguousarray(part / np.where(lengths > 0, lengths, 1), np.float32)


def _rounded(vectors: NDArray[np.float32]) -> NDArray[np.int16]:
    """Vectors in steps so small that those in one cell lie less than a hundredth apart, (b, d)."""
    return np.asarray(np.rint(vectors * (vectors.shape[1] ** 0.5 / _APART)), np.dtype("<i2"))
