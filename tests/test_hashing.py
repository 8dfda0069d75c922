import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.hashing import hash64, text_hash, uniform

_ALL = (1 << 64) - 1


def _plain_hash(*keys: int) -> int:
    """SplitMix64's finaliser over the keys, in Python's own integers."""
    state = 0
    for key in keys:
        x = ((state ^ (key & _ALL)) + 0x9E3779B97F4A7C15) & _ALL
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _ALL
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _ALL
        state = x ^ (x >> 31)
    return state


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1), min_size=1, max_size=4))
def test_hash_equals_the_plain_formula(keys: list[int]) -> None:
    assert int(hash64(*keys)) == _plain_hash(*keys)


def test_the_first_step_is_splitmix64() -> None:
    assert int(hash64(0)) == 0xE220A8397B1DCDAF  # the published first output for seed 0


def test_keys_broadcast_and_each_cell_depends_on_its_own_keys_only() -> None:
    grid = hash64(5, np.arange(4)[:, None], np.arange(3))
    assert grid.shape == (4, 3)
    assert grid[2, 1] == hash64(5, 2, 1)


def test_the_order_of_keys_matters() -> None:
    assert hash64(1, 2) != hash64(2, 1)


def test_uniform_numbers_are_uniform() -> None:
    numbers = uniform(3, np.arange(100_000))
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts, _ = np.histogram(numbers, bins=10, range=(0, 1))
    assert np.abs(counts - 10_000).max() < 400  # four standard deviations


def test_keys_that_are_not_integers_are_refused() -> None:
    with pytest.raises(TypeError, match="hash keys are integers"):
        hash64(np.array([0.5]))


def test_text_hash_never_changes() -> None:
    assert text_hash("item") == 7817242348581406018
    assert text_hash("item") == text_hash(b"item")
    assert 0 <= text_hash("\ud800") < 1 << 63  # half a character, as JSON can hold
