"""What is clustered: vectors, or, where listings of different values are kept apart, vectors with a value.

Letters in shapes: N listings, M nodes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from item_embed.search.duplicates.clusters import Cosines, Linkage, cluster
from item_embed.search.duplicates.neighbours import Pairs
from item_embed.search.duplicates.snapshot import Snapshot


def cluster_listings(
    snapshot: Snapshot,
    pairs: Pairs,
    cosines: Cosines,
    threshold: float,
    *,
    method: Linkage = "complete",
    values: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], int]:
    """The cluster of each listing: equal vectors are one node, whatever their number.

    Args:
        snapshot: the N listings.
        pairs: near pairs of vectors.
        cosines: gives those of some vectors to each other, (n, n), for their numbers, (n,).
        threshold: the lowest cosine of a pair that is joined.
        method: `complete` or `average`; in an average, too, equal vectors count once.
        values: (N,) listings of different values are never joined; -1 differs from none.

    Returns:
        Clusters (N,), numbered from 0 by their first listing, and how many components were too large to be done whole.
    """
    nodes = _Nodes.of(snapshot.vector, values)
    count = len(nodes.vector)
    clustering = cluster(
        nodes.pairs(pairs),
        count,
        threshold,
        lambda chosen: cosines(nodes.vector[chosen]),
        method=method,
        values=nodes.values,
    )
    labels = np.full(len(snapshot), -1, np.int64)
    seen = nodes.node >= 0
    labels[seen] = clustering.labels[nodes.node[seen]]
    labels[~seen] = count + np.arange(int((~seen).sum()))  # the model saw nothing of them
    _, first, codes = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first, kind="stable"), kind="stable")[codes], clustering.cut


@dataclass(frozen=True)
class _Nodes:
    node: NDArray[np.int64]  # (N,) of each listing; -1 for none
    vector: NDArray[np.int64]  # (M,) of each node, ascending
    values: NDArray[np.int64] | None  # (M,)

    @classmethod
    def of(cls, vector: NDArray[np.int64], values: NDArray[np.int64] | None) -> "_Nodes":
        if values is None:
            return cls(vector, np.arange(vector.max(initial=-1) + 1), None)
        seen = vector >= 0
        both, codes = np.unique(np.stack([vector[seen], values[seen]], axis=1), axis=0, return_inverse=True)
        node = np.full(len(vector), -1, np.int64)
        node[seen] = codes.reshape(-1)
        return cls(node, both[:, 0], both[:, 1])

    def pairs(self, pairs: Pairs) -> Pairs:
        """Pairs of nodes that connect what pairs of vectors connect."""
        if self.values is None:
            return pairs
        head = np.unique(self.vector, return_index=True)[1]
        copies = np.flatnonzero(self.vector[1:] == self.vector[:-1])  # each to the next one of the same vector
        first = np.concatenate([head[pairs.first], copies])
        second = np.concatenate([head[pairs.second], copies + 1])
        return Pairs(first, second, np.concatenate([pairs.cosine, np.ones(len(copies), np.float32)]))
