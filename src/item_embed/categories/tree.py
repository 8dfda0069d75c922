"""The tree that leaves hang on: "A > B > C" lies under "A > B", and that under "A".

A prefix is as likely as all leaves under it together, so that what is said of a leaf and of what lies above it never
contradicts itself.

Letters in shapes: n rows, L leaves, K levels, P prefixes of one level.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

SEPARATOR = " > "


class Tree:
    """Leaves by level: the leaves themselves first, then the prefixes above them, the longest first.

    A prefix of a level has as many names as the level says, and some longer leaf begins with it. A leaf that others
    begin with, "A > B" beside "A > B > C", counts in the prefix of its own name too.

    Args:
        leaves: whole paths, each once.

    Examples:
        >>> tree = Tree(["Shoes > Flats", "Shoes > Heels", "Watches"])
        >>> tree.names(1), tree.likelihoods(np.array([[0.5, 0.25, 0.25]]), 1)
        (('Shoes',), array([[0.75]]))
    """

    def __init__(self, leaves: Sequence[str]) -> None:
        self.leaves = tuple(leaves)
        deepest = max(len(leaf.split(SEPARATOR)) for leaf in self.leaves)
        self._lengths = (None, *range(deepest - 1, 0, -1))

    @property
    def levels(self) -> int:
        """K: the leaves, and one for each number of names that a prefix can have."""
        return len(self._lengths)

    def names(self, level: int) -> tuple[str, ...]:
        """The nodes of a level, (P,): of level 0 the leaves."""
        return self._names[level]

    def places(self, paths: Sequence[str | None], level: int) -> NDArray[np.int64]:
        """The node of a level that each path lies under, (n,); -1 for one that lies under none."""
        place = {name: number for number, name in enumerate(self.names(level))}
        length = self._lengths[level]
        return np.array([-1 if path is None else place.get(_cut(path, length), -1) for path in paths], np.int64)

    def likelihoods(self, probabilities: NDArray[np.floating[Any]], level: int) -> NDArray[np.float64]:
        """The probability of each node of a level, (n, P): the sum over its leaves.

        Args:
            probabilities: (n, L) of the leaves.
            level: 0 for the leaves themselves.
        """
        if level == 0:
            return np.asarray(probabilities, np.float64)
        return np.asarray(np.minimum(probabilities @ self._members[level], 1.0))  # a sum may round to more

    def best(self, probabilities: NDArray[np.floating[Any]]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The likeliest node of each level, (n, K), and its probability, (n, K)."""
        nodes = np.zeros((len(probabilities), self.levels), np.int64)
        likelihood = np.zeros((len(probabilities), self.levels))
        for level in range(self.levels):
            of_level = self.likelihoods(probabilities, level)
            nodes[:, level] = of_level.argmax(axis=1)
            likelihood[:, level] = np.take_along_axis(of_level, nodes[:, level, None], axis=1)[:, 0]
        return nodes, likelihood

    @cached_property
    def _names(self) -> list[tuple[str, ...]]:
        longer = [leaf.split(SEPARATOR) for leaf in self.leaves]
        prefixes = (
            sorted({SEPARATOR.join(path[:length]) for path in longer if len(path) > length})
            for length in self._lengths[1:]
        )
        return [self.leaves, *(tuple(found) for found in prefixes)]

    @cached_property
    def _members(self) -> list[csr_array]:
        """For each level (L, P): 1 where the leaf lies under the node."""
        found = []
        for level in range(self.levels):
            places = self.places(self.leaves, level)
            under = np.flatnonzero(places >= 0)
            shape = len(self.leaves), len(self.names(level))
            found.append(csr_array((np.ones(len(under)), (under, places[under])), shape))
        return found


def _cut(path: str, length: int | None) -> str:
    return path if length is None else SEPARATOR.join(path.split(SEPARATOR)[:length])
