import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from item_embed.training.changed_photos import (
    border_colour,
    change_photo,
    frame,
    joined_to_border,
    put_before,
    relight,
)

Photo = NDArray[np.uint8]
SIZE = (40, 32)  # height and width


def noise(size: tuple[int, int] = SIZE, seed: int = 0) -> Photo:
    return np.random.default_rng(seed).integers(0, 256, (3, *size), dtype=np.uint8)


def product(size: tuple[int, int] = SIZE) -> Photo:
    """A dark square on white."""
    photo = np.full((3, *size), 255, np.uint8)
    photo[:, 12:28, 8:24] = np.array([20, 60, 140])[:, None, None]
    return photo


@given(st.integers(2, 48), st.integers(2, 48), st.integers(0, 2**63), st.floats(0, 2), st.booleans())
@settings(deadline=None, max_examples=60)
def test_any_photo_changes_as_its_key_says_and_stays_as_large(
    height: int, width: int, key: int, strength: float, plain: bool
) -> None:
    photo = np.full((3, height, width), 240, np.uint8) if plain else noise((height, width))
    before = photo.copy()
    changed = change_photo(photo, key, strength)
    assert changed.shape == photo.shape
    assert changed.dtype == np.uint8
    assert (photo == before).all()
    assert (change_photo(photo, key, strength) == changed).all()


@pytest.mark.parametrize("photo", [noise(), product()])
def test_without_strength_nothing_changes(photo: Photo) -> None:
    for key in range(20):
        assert (change_photo(photo, key, 0) == photo).all()


def test_other_keys_change_otherwise_and_more_strength_changes_more() -> None:
    photo = product()
    full = [change_photo(photo, key) for key in range(60)]
    assert len({changed.tobytes() for changed in full}) == 60
    distance = [
        np.mean([np.abs(change_photo(photo, key, s).astype(float) - photo).mean() for key in range(60)])
        for s in (0.2, 0.5, 1.0)
    ]
    assert distance[0] < distance[1] < distance[2]


def test_a_plain_border_is_known_by_its_colour_and_another_is_none() -> None:
    found = border_colour(product())
    assert found is not None
    assert found.tolist() == [255, 255, 255]
    assert border_colour(noise()) is None


def test_before_another_background_the_product_stays_and_shadows_stay() -> None:
    photo = product()
    photo[:, 30, 2:30] = 200  # a shadow: no part of the product by its colour, but darker than the ground
    white, new = np.full(3, 255, np.float32), np.array([200, 100, 50], np.float32)
    staged = put_before(photo, white, new, horizon=0.5, darker=0.2)
    assert (staged[:, 15:25, 11:21] == photo[:, 15:25, 11:21]).all()
    assert np.abs(staged[:, :5].astype(int) - new[:, None, None]).max() <= 1
    below = staged[:, -1, 0].astype(int)
    assert np.abs(below - 0.8 * new).max() <= 1


def test_a_frame_as_it_is_shows_the_photo() -> None:
    same = frame((32, 40), zoom=1, aspect=1, turn=0, shift=(0, 0), lean=(0, 0), mirrored=False)
    np.testing.assert_allclose(same, [1, 0, 0, 0, 1, 0, 0, 0], atol=1e-12)
    mirrored = frame((32, 40), zoom=1, aspect=1, turn=0, shift=(0, 0), lean=(0, 0), mirrored=True)
    np.testing.assert_allclose(mirrored, [-1, 0, 32, 0, 1, 0, 0, 0], atol=1e-12)


@given(
    st.floats(0.6, 1.3), st.floats(0.7, 1.4), st.floats(-0.4, 0.4), st.floats(-0.2, 0.2), st.floats(-0.2, 0.2),
    st.floats(-0.2, 0.2), st.floats(-0.2, 0.2), st.booleans(),
)  # fmt: skip
def test_corners_of_a_frame_lie_where_a_camera_would_have_them(
    zoom: float, aspect: float, turn: float, right: float, below: float, across: float, down: float, mirrored: bool
) -> None:
    """Each corner of the new photo: scaled, tilted by its depth, mirrored, turned, moved; one after the other."""
    width, height = 32, 40
    a, b, c, d, e, f, g, h = frame(
        (width, height),
        zoom=zoom,
        aspect=aspect,
        turn=turn,
        shift=(right, below),
        lean=(across, down),
        mirrored=mirrored,
    )
    for u in (-1, 1):
        for v in (-1, 1):
            x, y = (u + 1) * width / 2, (v + 1) * height / 2
            depth = 1 + across * u + down * v
            wide = zoom * math.sqrt(aspect) * width / 2 * u / depth * (-1 if mirrored else 1)
            tall = zoom / math.sqrt(aspect) * height / 2 * v / depth
            expected = (
                width / 2 * (1 + right) + math.cos(turn) * wide - math.sin(turn) * tall,
                height / 2 * (1 + below) + math.sin(turn) * wide + math.cos(turn) * tall,
            )
            below_line = g * x + h * y + 1
            found = ((a * x + b * y + c) / below_line, (d * x + e * y + f) / below_line)
            assert found == pytest.approx(expected, abs=1e-6)


def test_light_is_its_formula_pixel_by_pixel() -> None:
    photo, gains, fall = noise((6, 5)), [0.9, 1.05, 1.2], (0.3, -0.2)
    lit = relight(photo, gamma=1.3, gains=gains, saturation=0.7, fall=fall, noise=0, key=0)
    for row in range(6):
        for column in range(5):
            curved = [255 * (int(x) / 255) ** 1.3 for x in photo[:, row, column]]
            grey = 0.299 * curved[0] + 0.587 * curved[1] + 0.114 * curved[2]
            side = (1 + 0.3 * (column / 4 - 0.5)) * (1 - 0.2 * (row / 5 - 0.5))
            for channel in range(3):
                level = side * gains[channel] * (grey + 0.7 * (curved[channel] - grey))
                assert abs(int(lit[channel, row, column]) - min(255, level)) <= 0.51


def test_noise_has_the_deviation_asked_for() -> None:
    grey = np.full((3, 64, 64), 128, np.uint8)
    noisy = relight(grey, gamma=1, gains=[1, 1, 1], saturation=1, fall=(0, 0), noise=8, key=5)
    assert 7.6 < noisy.astype(float).std() < 8.4
    assert abs(noisy.astype(float).mean() - 128) < 0.5


def test_what_is_beyond_the_frame_is_of_the_borders_colour() -> None:
    """A photo of one colour that is moved and shrunk is of one colour still, as far as light is one."""
    red = np.zeros((3, *SIZE), np.uint8)
    red[0] = 200
    for key in range(40):
        changed = change_photo(red, key, 0.3).astype(int)  # the least at which frames reach far beyond the photo
        green_or_blue = changed[1:].max(axis=0) > changed[0]
        assert green_or_blue.mean() < 0.25, key  # a box in front may be


def test_white_within_an_outline_is_product_and_stays_white() -> None:
    shirt = np.full((3, *SIZE), 255, np.uint8)
    shirt[:, 8:32, 6:26] = 60
    shirt[:, 10:30, 8:24] = 250  # within ten levels of the ground, but joined to it nowhere
    white, new = np.full(3, 255, np.float32), np.array([200, 100, 50], np.float32)
    staged = put_before(shirt, white, new, horizon=0.5, darker=0)
    assert (staged[:, 12:28, 10:22] == 250).all()
    assert np.abs(staged[:, :4].astype(int) - new[:, None, None]).max() <= 1


def test_a_photo_of_hardly_anything_stays_as_it_is() -> None:
    dot = np.full((3, *SIZE), 255, np.uint8)
    dot[:, 20:23, 20:23] = 0
    white = np.full(3, 255, np.float32)
    assert (put_before(dot, white, np.zeros(3, np.float32), horizon=0.5, darker=0.3) == dot).all()


def test_around_a_photo_of_hardly_anything_its_own_background_goes_on() -> None:
    """The new colour, which such a photo does not get, must not show beyond its frame either."""
    blank = np.full((3, *SIZE), 250, np.uint8)
    for key in range(100):
        changed = change_photo(blank, key).astype(float) + 1
        hues = changed / changed.sum(axis=0)  # light has one hue, whatever falls where
        off = np.abs(hues - np.median(hues, axis=(1, 2), keepdims=True)).max(axis=0) > 0.08
        assert off.mean() < 0.15, key  # a box in front may be


@given(arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_joined_to_the_border_is_what_walking_from_it_reaches(marked: NDArray[np.bool_]) -> None:
    height, width = marked.shape
    reached = np.zeros_like(marked)
    todo = [(y, x) for y in range(height) for x in range(width) if y in {0, height - 1} or x in {0, width - 1}]
    while todo:
        y, x = todo.pop()
        if 0 <= y < height and 0 <= x < width and marked[y, x] and not reached[y, x]:
            reached[y, x] = True
            todo += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
    assert (joined_to_border(marked) == reached).all()
