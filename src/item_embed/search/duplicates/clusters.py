"""Clusters whose listings all support each other: linkage inside the components of near pairs.

Components alone would chain: A like B, B like C, and A and C end together though nobody would take one for the other.
Complete linkage joins two clusters only if all their pairs lie above the threshold, average linkage if their pairs do
on average (Everitt et al., "Cluster Analysis", 4.2).

Letters in shapes: M nodes, m pairs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import DisjointSet, fcluster, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from item_embed.search.duplicates.neighbours import Pairs

Linkage = Literal["complete", "average"]
#: Gives the cosines of some nodes to each other, (n, n), for their numbers, (n,).
Cosines = Callable[[NDArray[np.int64]], NDArray[np.float32]]

MOST = 4096  # nodes clustered at once: their distances take 67 MB


@dataclass(frozen=True)
class Clustering:
    """The cluster of each node, (M,), numbered from 0; `cut`: how many components were too large to be done whole."""

    labels: NDArray[np.int64]
    cut: int


def cluster(
    pairs: Pairs,
    count: int,
    threshold: float,
    cosines: Cosines,
    *,
    method: Linkage = "complete",
    values: NDArray[np.int64] | None = None,
    most: int = MOST,
) -> Clustering:
    """Cluster nodes by their cosines.

    A component of more than `most` nodes is cut first: its nodes are joined pair by pair, the nearest first (as
    Kruskal's algorithm does it), and no join makes a piece larger than that. So memory is bounded whatever comes; two
    listings that would be joined may stay apart, and none is joined that would not be.

    Args:
        pairs: of nodes, by number, whatever their cosines.
        count: M.
        threshold: the lowest cosine of a pair that is joined.
        cosines: gives those of the nodes of a component, of pairs that are not among `pairs` too.
        method: `complete` or `average`.
        values: (M,) nodes of different values are never joined; -1 differs from none.
        most: the largest number of nodes whose pairs are all compared.

    Examples:
        >>> near = Pairs(np.array([0, 1]), np.array([1, 2]), np.array([0.9, 0.8], np.float32))
        >>> table = np.array([[1, 0.9, 0.1], [0.9, 1, 0.8], [0.1, 0.8, 1]], np.float32)
        >>> cluster(near, 3, 0.75, lambda nodes: table[np.ix_(nodes, nodes)]).labels  # 0 and 2 are far apart
        array([0, 0, 1])
    """
    near = pairs.subset(pairs.cosine >= np.float32(threshold))
    pieces, cut = _pieces(near, count, most)
    labels, used = pieces.copy(), count
    for nodes in _undecided(near, pieces, all_=values is not None):
        apart = None if values is None else values[nodes]
        linked = _linked(cosines(nodes), threshold, method, apart)
        labels[nodes] = used + linked
        used += int(linked.max()) + 1
    return Clustering(_in_order(labels), cut)


def _pieces(near: Pairs, count: int, most: int) -> tuple[NDArray[np.int64], int]:
    """The component of each node, those that are too large in pieces, and how many are."""
    graph = coo_array((2 - near.cosine.astype(np.float64), (near.first, near.second)), shape=(count, count))
    _, components = connected_components(graph, directed=False)
    components = components.astype(np.int64)
    large = np.flatnonzero(np.bincount(components, minlength=1) > most)
    if len(large):
        inside = near.subset(np.isin(components[near.first], large))
        components[:] = _cut(inside, components, most)
    return components, len(large)


def _cut(inside: Pairs, components: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """The components anew, where those that these pairs lie in are in pieces of at most so many nodes."""
    count = len(components)
    weights = 2 - inside.cosine.astype(np.float64)  # from 1 to 3: a weight of 0 would be no edge
    tree = minimum_spanning_tree(coo_array((weights, (inside.first, inside.second)), shape=(count, count)).tocsr())
    edges = tree.tocoo()
    nodes = np.unique(np.concatenate([inside.first, inside.second]))
    joined = DisjointSet(nodes.tolist())
    for edge in np.lexsort((edges.col, edges.row, edges.data)):
        one, other = int(edges.row[edge]), int(edges.col[edge])
        if joined.subset_size(one) + joined.subset_size(other) <= most:
            joined.merge(one, other)
    pieces = components.copy()
    pieces[nodes] = count + np.array([joined[node] for node in nodes.tolist()], np.int64)
    return np.unique(pieces, return_inverse=True)[1].astype(np.int64)


def _undecided(near: Pairs, pieces: NDArray[np.int64], *, all_: bool) -> Iterator[NDArray[np.int64]]:
    """The nodes of each piece that has to be looked into.

    A node alone is a cluster, and so is, by either linkage, a piece of which all pairs are near, unless `all_` of
    several nodes are asked for.
    """
    number = int(pieces.max(initial=-1)) + 1
    sizes = np.bincount(pieces, minlength=number)
    inside = pieces[near.first[pieces[near.first] == pieces[near.second]]]
    whole = np.bincount(inside, minlength=number) == sizes * (sizes - 1) // 2
    looked = (sizes > 1) if all_ else ~whole
    nodes = np.flatnonzero(looked[pieces])
    nodes = nodes[np.argsort(pieces[nodes], kind="stable")]
    yield from np.split(nodes, np.flatnonzero(np.diff(pieces[nodes])) + 1) if len(nodes) else ()


def _linked(
    cosines: NDArray[np.float32], threshold: float, method: Linkage, values: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    one, other = np.triu_indices(len(cosines), 1)
    distances = 1 - cosines[one, other].astype(np.float64)
    if values is not None:
        never = (values[one] != values[other]) & (values[one] >= 0) & (values[other] >= 0)
        # Two clusters among n nodes have at most n^2 / 4 pairs: with one of these, their mean is 4 or more, and other
        # distances are 2 at most.
        distances[never] = len(cosines) ** 2
    merges = linkage(distances, method)
    # As float32, like the cosines: a pair that lies at the threshold is joined.
    return np.asarray(fcluster(merges, 1 - float(np.float32(threshold)), "distance"), np.int64) - 1


def _in_order(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbered anew by the first node of each cluster."""
    _, first, codes = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return rank[codes]
