import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from item_embed.categories.tree import SEPARATOR, Tree

_PATH = st.lists(st.sampled_from("ABC"), min_size=1, max_size=4).map(SEPARATOR.join)
_LEAVES = st.lists(_PATH, min_size=1, max_size=12, unique=True)


def under(path: str, node: str) -> bool:
    return path == node or path.startswith(node + SEPARATOR)


@given(_LEAVES, st.data())
def test_a_prefix_is_as_likely_as_all_under_it(leaves: list[str], data: st.DataObject) -> None:
    weights = data.draw(arrays(np.float64, (3, len(leaves)), elements=st.floats(0.01, 1)))
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    tree = Tree(leaves)
    likelihood: dict[str, np.ndarray] = {}
    for level in range(1, tree.levels):
        of_level = tree.likelihoods(probabilities, level)
        assert of_level.shape == (3, len(tree.names(level)))
        for node, values in zip(tree.names(level), of_level.T, strict=True):
            plain = sum(probabilities[:, n] for n, leaf in enumerate(leaves) if under(leaf, node))
            assert values == pytest.approx(plain)
            likelihood[node] = values
    for node, values in likelihood.items():  # down the tree: a node is its children and, where it is one, its own leaf
        children = {
            SEPARATOR.join(leaf.split(SEPARATOR)[: len(node.split(SEPARATOR)) + 1])
            for leaf in leaves
            if under(leaf, node) and leaf != node
        }
        parts = [
            likelihood[child] if child in likelihood else probabilities[:, leaves.index(child)] for child in children
        ]
        own = probabilities[:, leaves.index(node)] if node in leaves else np.zeros(3)
        assert values == pytest.approx(sum(parts) + own)


@given(_LEAVES, st.lists(_PATH, max_size=6))
def test_rows_lie_where_their_path_says(leaves: list[str], paths: list[str]) -> None:
    tree = Tree(leaves)
    assert tree.names(0) == tuple(leaves)
    for level in range(1, tree.levels):
        names = tree.names(level)
        assert list(names) == sorted(set(names))
        assert all(any(leaf != node and under(leaf, node) for leaf in leaves) for node in names)
        for path, place in zip(paths, tree.places(paths, level), strict=True):
            expected = [number for number, node in enumerate(names) if under(path, node)]
            assert ([place] if place >= 0 else []) == expected
    lengths = [len(tree.names(level)[0].split(SEPARATOR)) for level in range(1, tree.levels)]
    assert lengths == sorted(lengths, reverse=True)  # the longest first


def test_the_likeliest_of_each_level() -> None:
    tree = Tree(["A > X", "A > Y", "B > Z"])
    nodes, likelihood = tree.best(np.array([[0.3, 0.3, 0.4]]))
    assert [tree.names(level)[node] for level, node in enumerate(nodes[0])] == ["B > Z", "A"]
    assert likelihood[0] == pytest.approx([0.4, 0.6])


def test_a_flat_tree_has_leaves_alone_and_nothing_lies_under_none() -> None:
    tree = Tree(["A", "B"])
    assert tree.levels == 1
    assert tree.places([None, "B", "C"], 0).tolist() == [-1, 1, -1]
