import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.categories.leaves import LeafTask
from item_embed.categories.linear import Linear, linear_probe


@given(st.integers(0, 10**6), st.integers(2, 5))
@settings(max_examples=15)
def test_it_says_what_scikit_learn_does(seed: int, leaves: int) -> None:
    """The probe keeps scikit-learn's own model; the classifier that is kept is its numbers."""
    generator = np.random.default_rng(seed)
    labels = np.arange(60) % leaves
    vectors = (generator.normal(size=(leaves, 6))[labels] + 0.8 * generator.normal(size=(60, 6)) + 3).astype(np.float32)
    rows, none = np.arange(40), np.zeros(0, np.int64)
    task = LeafTask(tuple("abcde"[:leaves]), labels, np.arange(60), rows, none, np.arange(40, 60))
    expected = linear_probe(vectors)(task, rows)
    found = Linear.fit(vectors[rows], labels[rows], expected.settings["C"])(vectors[40:])
    assert found.shape == (20, leaves)
    assert found - found[:, :1] == pytest.approx(expected.test - expected.test[:, :1], abs=1e-3)


def test_one_leaf_alone_is_no_error() -> None:
    made = Linear.fit(np.eye(3, dtype=np.float32), np.zeros(3, np.int64), 1.0)
    assert made(np.eye(3)).tolist() == [[0.0]] * 3


def test_the_length_of_a_vector_says_nothing() -> None:
    vectors = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    made = Linear.fit(vectors, np.arange(30) % 3, 1.0)
    assert made(vectors * 7) == pytest.approx(made(vectors), abs=1e-4)
