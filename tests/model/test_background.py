import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from item_embed.catalog.report.background import empty_patches
from item_embed.model.background import background_patches
from item_embed.model.processor import ItemProcessor
from item_embed.model.tokenizer import train_tokenizer


def deviations(photo: NDArray[np.uint8], size: int) -> list[float]:
    """The largest standard deviation of a channel, patch by patch."""
    _, height, width = photo.shape
    found = []
    for top in range(0, height, size):
        for left in range(0, width, size):
            cut = photo[:, top : top + size, left : left + size].astype(np.float64)
            found.append(max(cut[channel].std() for channel in range(3)))
    return found


@given(st.integers(1, 4), st.integers(1, 3), st.sampled_from([2, 8, 16]), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_a_patch_is_background_where_every_channels_deviation_is_under_three(
    rows: int, columns: int, size: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    base = random.integers(0, 256, (2, 3, rows, 1, columns, 1))
    swing = random.choice([0, 1, 4, 6, 12, 200], (2, 1, rows, 1, columns, 1))  # deviations on both sides of three
    noise = random.integers(-swing, swing + 1, (2, 3, rows, size, columns, size))
    photos = np.clip(base + noise, 0, 255).astype(np.uint8).reshape(2, 3, rows * size, columns * size)
    for photo, empty in zip(photos, background_patches(photos, size), strict=True):
        expected = [deviation < 3 for deviation in deviations(photo, size)]
        if all(expected):
            assert empty.sum() == len(empty) - 1
            assert deviations(photo, size)[int(empty.argmin())] == pytest.approx(max(deviations(photo, size)))
        else:
            assert empty.tolist() == expected


def test_a_deviation_of_exactly_three_is_no_background() -> None:
    photo = np.full((1, 3, 4, 8), 100, np.uint8)
    photo[0, 1, ::2, :4] = 106  # half of the first patch's green: a deviation of 3
    photo[0, 1, ::2, 4:] = 105
    assert background_patches(photo, 4).tolist() == [[False, True]]


def test_a_uniform_colour_is_background_and_a_step_in_one_channel_is_none() -> None:
    photo = np.zeros((1, 3, 8, 24), np.uint8)
    photo[0, 0] = 200  # red everywhere
    photo[0, 2, :, 8:12] = 30  # a line of another blue in the second patch
    assert background_patches(photo, 8).tolist() == [[True, False, True]]


def test_a_white_photo_keeps_one_patch() -> None:
    photos = np.full((3, 3, 32, 16), 255, np.uint8)
    photos[1, :, 24:, 8:] = 254  # uniform patches all the same, but for the sixth
    photos[1, 0, 20, 3] = 250
    empty = background_patches(photos, 8)
    assert empty.sum(axis=1).tolist() == [7, 7, 7]
    assert empty.argmin(axis=1).tolist() == [0, 4, 0]


def test_no_photo_is_no_row() -> None:
    assert len(background_patches(np.zeros((0, 3, 16, 16), np.uint8), 8)) == 0


@pytest.mark.parametrize("size", [(40, 60), (224, 224), (300, 120)])
def test_what_the_report_counts_is_what_is_left_out(size: tuple[int, int]) -> None:
    width, height = size
    y, x, c = np.ogrid[:height, :width, :3]
    shape = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(size) / 3) ** 2
    image = Image.fromarray(np.where(shape, 90 + 40 * np.sin(x / 3 + c), 255).astype(np.uint8))
    processor = ItemProcessor(train_tokenizer([], 64), (224, 224), 6, background_patch_size=16)
    background = processor.background(processor.pixels(image)[None])
    assert background is not None
    assert 0 < background.sum() == empty_patches(image)
