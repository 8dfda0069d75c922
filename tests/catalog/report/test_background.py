import numpy as np
import pytest
from PIL import Image

from item_embed.catalog.report.background import FLAT, PATCH, PATCHES, SIDE, empty_patches


def plain_count(pixels: np.ndarray) -> int:
    """The definition, patch by patch."""
    corners = [(y, x) for y in range(0, SIDE, PATCH) for x in range(0, SIDE, PATCH)]
    patches = [pixels[y : y + PATCH, x : x + PATCH].astype(float) for y, x in corners]
    return sum(all(patch[..., channel].std() < FLAT for channel in range(3)) for patch in patches)


@pytest.mark.parametrize("seed", range(3))
def test_patches_are_counted_as_the_definition_says(seed: int) -> None:
    random = np.random.default_rng(seed)
    contrast = random.choice([0, 1, 4, 8, 60], (SIDE // PATCH, SIDE // PATCH)).repeat(PATCH, 0).repeat(PATCH, 1)
    pixels = (128 + contrast[..., None] * random.normal(size=(SIDE, SIDE, 3))).clip(0, 255).astype(np.uint8)

    assert 0 < plain_count(pixels) < PATCHES
    assert empty_patches(Image.fromarray(pixels)) == plain_count(pixels)


def test_a_photo_of_one_colour_is_empty_and_noise_is_not() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (224, 224, 3), dtype=np.uint8)

    assert empty_patches(Image.new("RGB", (50, 50), "red")) == PATCHES
    assert empty_patches(Image.fromarray(noise)) == 0


def test_the_white_beside_a_narrow_photo_is_empty() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (224, 112, 3), dtype=np.uint8)

    assert empty_patches(Image.fromarray(noise)) == 84  # 56 pixels at each side: 3 whole columns of 14 patches


def test_a_strip_is_measured_too() -> None:
    assert empty_patches(Image.new("RGB", (8000, 8), "red")) >= PATCHES - SIDE // PATCH
