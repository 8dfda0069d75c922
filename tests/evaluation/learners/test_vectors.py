import numpy as np
import pytest
import torch

from item_embed.errors import ModelError
from item_embed.evaluation.learners.vectors import Joined, OneModality
from tests.tiny import pattern

LENGTHS = OneModality(
    "title", 2, lambda titles: torch.tensor([[3.0 * len(title), 4.0 * len(title)] for title in titles])
)
SIZES = OneModality("image", 1, lambda sizes: torch.tensor([[float(size)] for size in sizes]), len)


def test_titles_are_cleaned_and_vectors_have_length_one() -> None:
    found = LENGTHS.embed(titles=["mug", None, "  ", "shoes"], batch_size=3)
    np.testing.assert_allclose(found, np.array([[0.6, 0.8], [0, 0], [0, 0], [0.6, 0.8]]), atol=1e-6)


def test_nothing_to_see_is_zero() -> None:
    np.testing.assert_array_equal(LENGTHS.embed(images=[pattern(1)]), np.zeros((1, 2)))
    np.testing.assert_array_equal(SIZES.embed([None, b""], ["mug", "mug"]), np.zeros((2, 1)))
    assert LENGTHS.embed([], []).shape == (0, 2)


def test_joined_vectors_have_equal_shares() -> None:
    joined = Joined([SIZES, LENGTHS])
    assert joined.dimension == 3
    told: list[int] = []
    found = joined.embed([b"12", b"1", None], ["mug", None, "mug"], 2, lambda done, _: told.append(done))
    half = 2**-0.5
    expected = np.array([[half, 0.6 * half, 0.8 * half], [1, 0, 0], [0, 0.6, 0.8]])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert told == [2, 3]


def test_a_photo_that_cannot_be_read_is_named() -> None:
    from item_embed.evaluation.learners.hashes import perceptual_hash

    hashes = OneModality("image", 64, lambda found: torch.from_numpy(np.stack(found)), perceptual_hash)
    with pytest.raises(ModelError, match=r"the photo of product 1 cannot be used: not a readable image\."):
        hashes.embed([pattern(1), b"no photo"])
