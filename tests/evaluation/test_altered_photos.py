import io
from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from item_embed.evaluation.alterations import photo_alterations
from item_embed.evaluation.altered_photos import (
    background,
    blur,
    border_colour,
    compress,
    cover,
    crop,
    has_flat_border,
    hide_patches,
    recolour_background,
    rotate,
)
from tests.evaluation.fakes import thing

ALTERATIONS = photo_alterations((80, 64), 16)
sizes = st.tuples(st.integers(8, 90), st.integers(8, 90))
keys = st.integers(0, 2**64 - 1)
some = settings(max_examples=25)


def noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Random pixels, none of them white or of the covering grey."""
    pixels = np.random.default_rng(seed).integers(0, 120, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def array(image: Image.Image) -> NDArray[np.int64]:
    return np.asarray(image).astype(np.int64)


@pytest.mark.parametrize("name", ALTERATIONS)
@settings(max_examples=8)
@given(sizes, keys)
def test_an_alteration_is_a_function_and_gives_what_a_processor_takes(
    name: str, size: tuple[int, int], key: int
) -> None:
    one = ALTERATIONS[name]
    for image in (noise(size), thing((200, 30, 40), size), Image.new("RGB", size, (128, 128, 128))):
        before = image.tobytes()
        for strength in one.strengths:
            found, again = one.alter(image, strength, key), one.alter(image, strength, key)
            assert found is not None
            assert again is not None
            assert found.mode == "RGB"
            assert found.tobytes() == again.tobytes()
            assert found.size == size or (name == "rotated" and min(found.size) >= 8)
        assert image.tobytes() == before


@pytest.mark.parametrize("name", ALTERATIONS)
def test_strength_zero_changes_nothing_and_the_strongest_something(name: str) -> None:
    image, one = thing((200, 30, 40)), ALTERATIONS[name]
    image.paste(noise((20, 30)), (14, 16))
    unaltered, strongest = one.alter(image, 0, 5), one.alter(image, one.strengths[-1], 5)
    assert unaltered is not None
    assert strongest is not None
    assert unaltered.tobytes() == image.tobytes()
    assert strongest.size != image.size or (array(strongest) != array(image)).any()


@pytest.mark.parametrize("name", ["cropped", "rotated", "covered", "background", "patches_left_out"])
def test_keys_draw_differently(name: str) -> None:
    image, one = thing((200, 30, 40)), ALTERATIONS[name]
    altered = [one.alter(image, one.strengths[1], key) for key in range(20)]
    assert len({found.tobytes() for found in altered if found}) >= 2


@some
@given(sizes, st.sampled_from((0.1, 0.25, 0.5, 0.9)), keys)
def test_the_share_of_the_area_is_covered(size: tuple[int, int], share: float, key: int) -> None:
    hidden = (array(cover(noise(size), share, key)) == 128).all(axis=-1)
    rows, columns = np.flatnonzero(hidden.any(axis=1)), np.flatnonzero(hidden.any(axis=0))
    assert hidden[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()  # one box
    sides = np.array([len(columns), len(rows)])
    assert (np.abs(sides - np.array(size) * share**0.5) <= 0.5).all()


@some
@given(sizes, st.sampled_from((0.1, 0.25, 0.5, 0.75)), keys)
def test_the_share_of_the_area_is_cut_away(size: tuple[int, int], share: float, key: int) -> None:
    width, height = size
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    places = np.stack([across, down, across * 0], axis=-1).astype(np.uint8)  # each pixel says where it is
    seen = array(crop(Image.fromarray(places), share, key))
    for side, channel in ((width, 0), (height, 1)):
        span = int(seen[..., channel].max()) - int(seen[..., channel].min()) + 1
        assert abs(span - side * (1 - share) ** 0.5) <= 1.5 + side * 0.03  # half a pixel, and bicubic overshoot


def test_quarter_turns_are_exact_and_whole() -> None:
    image = noise((20, 30))
    assert rotate(image, 180, 3).tobytes() == image.transpose(Image.Transpose.ROTATE_180).tobytes()
    turned = {rotate(image, 90, key).tobytes() for key in range(20)}
    both = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270)
    assert turned == {image.transpose(way).tobytes() for way in both}


def test_corners_of_a_turned_photo_have_the_colour_of_its_border() -> None:
    image = Image.new("RGB", (40, 60), (10, 200, 30))
    assert (array(rotate(image, 30, 1)) == (10, 200, 30)).all()


def test_blurring_is_relative_to_the_photo() -> None:
    small = thing((200, 30, 40), (48, 64))
    large = small.resize((192, 256), Image.Resampling.NEAREST)
    reduced = blur(large, 0.05).resize((48, 64), Image.Resampling.BOX)
    assert np.abs(array(reduced) - array(blur(small, 0.05))).mean() < 2


def test_compression_loses_more_and_more() -> None:
    image = noise((48, 64))
    lost = [np.abs(array(compress(image, loss)) - array(image)).mean() for loss in (0, 50, 80, 95)]
    assert lost[0] == 0
    assert lost == sorted(lost)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=20)
    assert (array(compress(image, 80)) == array(Image.open(file))).all()


def reachable(near: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What a flood from the border reaches, pixel by pixel."""
    height, width = near.shape
    edge = [(y, x) for y in range(height) for x in range(width) if y in (0, height - 1) or x in (0, width - 1)]
    queue = deque((y, x) for y, x in edge if near[y, x])
    seen = np.zeros_like(near)
    while queue:
        y, x = queue.popleft()
        if 0 <= y < height and 0 <= x < width and near[y, x] and not seen[y, x]:
            seen[y, x] = True
            queue.extend([(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)])
    return seen


@some
@given(st.integers(0, 10**6), st.tuples(st.integers(1, 14), st.integers(1, 14)))
def test_background_is_what_a_flood_from_the_border_reaches(seed: int, size: tuple[int, int]) -> None:
    white = np.random.default_rng(seed).random(size[::-1]) < 0.65
    image = Image.fromarray(np.where(white[..., None], 255, 0).astype(np.uint8).repeat(3, axis=2))
    near = np.asarray((np.abs(array(image) - border_colour(image)) <= 24).all(axis=-1))
    assert (background(image) == reachable(near)).all()


@some
@given(st.sampled_from((0.25, 0.5, 1.0)), keys)
def test_only_the_background_takes_another_colour(share: float, key: int) -> None:
    image = thing((200, 30, 40))
    image.paste((255, 255, 255), (20, 28, 28, 36))  # white within the thing is no background
    is_background = background(image)
    before, after = array(image), array(recolour_background(image, share, key))
    assert (after[~is_background] == before[~is_background]).all()
    moved = np.unique(np.abs(after - before)[is_background], axis=0)
    assert len(moved) == 1
    assert (moved >= round(64 * share) - 1).all()
    assert not is_background[30, 24]


def test_a_photo_without_a_flat_border_keeps_its_background() -> None:
    image = noise((40, 50)).resize((40, 50))
    image = Image.fromarray((np.asarray(image) * 2).astype(np.uint8))
    assert not has_flat_border(image)
    assert recolour_background(image, 1, 0) is image
    assert has_flat_border(thing((1, 2, 3)))


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize(
    ("size", "left", "shown"),
    [((64, 80), 0, 20), ((128, 160), 0, 20), ((60, 80), 2, 20), ((32, 80), 16, 10), ((40, 80), 12, 20)],
)
def test_the_share_of_the_model_s_patches_is_left_out(
    size: tuple[int, int], left: int, shown: int, share: float
) -> None:
    """In the frame, 64 wide and 80 high, where the model sees the photo in the middle of white."""
    hidden = hide_patches(noise(size), share, 7, (80, 64), 16)
    fitted = hidden.resize((64 - 2 * left, 80), Image.Resampling.NEAREST)
    frame = np.full((80, 64, 3), 255)
    frame[:, left : 64 - left] = array(fitted)
    white = (frame == 255).all(axis=-1).reshape(5, 16, 4, 16).mean(axis=(1, 3))
    of_photo = (np.arange(64) >= left) & (np.arange(64) < 64 - left)
    shows = np.tile(of_photo.reshape(4, 16).any(axis=1), (5, 1))
    margin = np.tile(1 - of_photo.reshape(4, 16).mean(axis=1), (5, 1))  # white that is no photo
    assert int(shows.sum()) == shown
    assert int((white[shows] == 1).sum()) == int(share * shown + 0.5)
    assert (white[white < 1] == margin[white < 1]).all()  # the others are seen whole


def test_more_patches_left_out_hold_the_fewer() -> None:
    white = [(array(hide_patches(noise((64, 80)), s, 3, (80, 64), 16)) == 255).all(axis=-1) for s in (0.1, 0.5, 0.9)]
    assert (white[0] <= white[1]).all()
    assert (white[1] <= white[2]).all()
