import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from item_embed.embedding.narrow import Numbers, narrowed, widened


def unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)


@given(arrays(np.float32, (4, 9), elements=st.floats(-1, 1, width=32).map(lambda one: one if abs(one) > 1e-3 else 0)))
@settings(max_examples=30)
def test_a_vector_of_fewer_bits_points_almost_where_it_did(drawn: np.ndarray) -> None:
    vectors = unit(drawn)
    for numbers, dtype, least in (("half", np.float16, 0.999999), ("int8", np.int8, 0.9995)):
        small = narrowed(vectors, numbers)  # type: ignore[arg-type]
        assert small.dtype == dtype
        again = widened(small)
        assert again.dtype == np.float32
        there = vectors.any(axis=1)
        assert not again[~there].any()
        lengths = np.linalg.norm(again[there], axis=1)
        np.testing.assert_allclose(lengths, 1, rtol=1e-3)
        assert ((vectors * again).sum(axis=1)[there] / lengths > least).all()


def test_int8_uses_its_whole_range() -> None:
    small = narrowed(unit(np.array([[1, 0, 0], [1, 1, -1], [3, -4, 0], [0, 0, 0]])), "int8")
    assert small.tolist() == [[127, 0, 0], [127, 127, -127], [95, -127, 0], [0, 0, 0]]


@pytest.mark.parametrize("numbers", ["fp32", "half", "int8"])
def test_no_vectors_stay_none(numbers: Numbers) -> None:
    assert widened(narrowed(np.zeros((0, 5), np.float32), numbers)).shape == (0, 5)


def test_float32_stays_as_it_is() -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(3, 4)))
    assert widened(narrowed(vectors, "fp32")) is vectors
