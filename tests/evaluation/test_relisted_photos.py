import io
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from item_embed.evaluation.relisted_photos import (
    add_noise,
    as_jpeg,
    product_mask,
    put_label,
    reframe,
    relight,
    replace_background,
    reshot_photo,
    restaged_photo,
)
from tests.evaluation.fakes import thing

Take = Callable[[Image.Image, int], Image.Image]

BOTH = pytest.mark.parametrize("take", [reshot_photo, restaged_photo])
keys = st.integers(0, 2**64 - 1)
sizes = st.one_of(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.sampled_from([(1, 1), (1, 300), (300, 1), (8, 900), (900, 8), (2, 2)]),
)
some = settings(max_examples=25)


def noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def array(image: Image.Image) -> NDArray[np.int64]:
    return np.asarray(image).astype(np.int64)


def ramps(size: tuple[int, int]) -> Image.Image:
    """Red grows to the right and green downwards, so that every pixel says where it is."""
    across, down = np.meshgrid(np.linspace(0, 250, size[0]), np.linspace(0, 250, size[1]))
    return Image.fromarray(np.stack([across, down, across * 0], axis=-1).round().astype(np.uint8))


@BOTH
@some
@given(sizes, keys)
def test_any_photo_is_taken_again_as_a_function_of_it_and_the_key(take: Take, size: tuple[int, int], key: int) -> None:
    for image in (noise(size), Image.new("RGB", size, "white"), Image.new("RGB", size)):
        before = image.tobytes()
        found = take(image, key)
        assert found.mode == "RGB"
        assert min(found.size) >= 8
        assert all(side <= max(8, whole) for side, whole in zip(found.size, size, strict=True))
        assert found.tobytes() == take(image, key).tobytes()
        assert image.tobytes() == before
        assert Image.open(io.BytesIO(as_jpeg(found, key))).size == found.size


@BOTH
def test_keys_draw_differently(take: Take) -> None:
    image = thing((200, 30, 40))
    assert len({take(image, key).tobytes() for key in range(20)}) == 20
    assert len({take(image, key).size for key in range(20)}) > 5


@BOTH
def test_no_photo_is_mirrored_and_all_show_most_of_it(take: Take) -> None:
    image = ramps((120, 160))
    for key in range(20):
        seen = array(take(image, key))
        height, width = seen.shape[:2]
        middle = seen[height // 4 : -(height // 4), width // 4 : -(width // 4)]
        right, left, bottom, top = middle[:, -1, 0], middle[:, 0, 0], middle[-1, :, 1], middle[0, :, 1]
        assert right.mean() > left.mean() + 30
        assert bottom.mean() > top.mean() + 30


def test_the_same_frame_shows_the_same_photo() -> None:
    for image in (noise((30, 40)), thing((200, 30, 40)), Image.new("RGB", (60, 20), (1, 2, 3))):
        assert reframe(image).tobytes() == image.tobytes()


@pytest.mark.parametrize(
    ("zoom", "aspect", "shift", "degrees"),
    [(0.5, 1, (0, 0), 0), (0.7, 1.3, (0.1, -0.05), 0), (0.6, 0.8, (0, 0.1), 10)],
)
def test_a_frame_shows_the_places_that_it_encloses(
    zoom: float, aspect: float, shift: tuple[float, float], degrees: float
) -> None:
    width, height = 120, 160
    seen = array(reframe(ramps((width, height)), zoom=zoom, aspect=aspect, degrees=degrees, shift=shift))
    angle = math.radians(degrees) * 120 / 160
    for row in range(5, seen.shape[0] - 5, 9):
        for column in range(5, seen.shape[1] - 5, 9):
            x = ((column + 0.5) / seen.shape[1] - 0.5) * width * zoom * math.sqrt(aspect)
            y = ((row + 0.5) / seen.shape[0] - 0.5) * height * zoom / math.sqrt(aspect)
            turned = (x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle))
            at = (width * (0.5 + shift[0]) + turned[0], height * (0.5 + shift[1]) + turned[1])
            expected = ((at[0] - 0.5) * 250 / (width - 1), (at[1] - 0.5) * 250 / (height - 1))
            assert np.abs(seen[row, column, :2] - expected).max() < 2.5


def test_leaning_corners_are_where_they_were_moved_to() -> None:
    width, height = 200, 100
    lean = np.array([(0.1, 0.2), (-0.1, 0.05), (-0.05, -0.2), (0.2, -0.1)])
    seen = array(reframe(ramps((width, height)), lean=lean))
    for (row, column), corner, moved in zip(
        [(0, 0), (0, -1), (-1, -1), (-1, 0)], [(0, 0), (1, 0), (1, 1), (0, 1)], lean, strict=True
    ):
        assert np.abs(seen[row, column, :2] - 250 * (np.array(corner) + moved)).max() < 5


def test_straight_lines_stay_straight_in_perspective() -> None:
    image = Image.new("RGB", (200, 200), "white")
    ImageDraw.Draw(image).line((20, 20, 180, 180), fill=(0, 0, 0), width=5)
    lean = np.array([(0.09, 0.05), (-0.02, 0.09), (0.05, -0.09), (0, 0.05)])
    rows, columns = np.nonzero(array(reframe(image, lean=lean)).sum(axis=-1) < 200)
    slope, start = np.polyfit(columns, rows, 1)
    assert np.abs(rows - slope * columns - start).max() < 6


@pytest.mark.parametrize("aspect", [0.7, 1.4])
def test_another_shape_of_the_frame_leaves_the_product_its_proportions(aspect: float) -> None:
    image = Image.new("RGB", (120, 160), "white")
    ImageDraw.Draw(image).rectangle((40, 60, 79, 99), fill=(20, 30, 40))
    seen = reframe(image, zoom=0.9, aspect=aspect)
    rows, columns = np.nonzero(array(seen).sum(axis=-1) < 400)
    assert abs((np.ptp(rows) + 1) / (np.ptp(columns) + 1) - 1) < 0.06
    assert abs(seen.width / seen.height / (120 / 160) - aspect) < 0.03


def test_a_photo_without_a_flat_border_is_filled_with_itself() -> None:
    image = Image.new("RGB", (90, 120), (255, 0, 0))
    image.paste((0, 255, 0), (30, 0, 60, 120))
    image.paste((0, 0, 255), (60, 0, 90, 120))  # the median of its border is black
    for key in range(20):
        degrees = 10 if key % 2 else -10
        seen = array(reframe(image, zoom=1.1, degrees=degrees, shift=(0.05, -0.05)))
        assert seen.sum(axis=-1).min() > 150


def test_around_a_plain_photo_its_colour_goes_on() -> None:
    seen = array(reframe(Image.new("RGB", (40, 60), (10, 200, 30)), zoom=1.5, degrees=10))
    assert (seen == (10, 200, 30)).all()


def test_light_follows_its_formula() -> None:
    image = noise((5, 4))
    gains, gamma, fall, towards = (1.1, 0.9, 1.0), 1.3, 0.4, 0.7
    lit = array(relight(image, gamma=gamma, gains=gains, fall=fall, towards=towards))
    x, y = math.cos(towards), math.sin(towards)
    for row in range(4):
        for column in range(5):
            away = 0.5 + (x * (column / 4 - 0.5) + y * (row / 3 - 0.5)) / (abs(x) + abs(y))
            for channel in range(3):
                level = array(image)[row, column, channel]
                expected = 255 * gains[channel] * (level / 255) ** gamma * (1 - fall * away)
                assert abs(lit[row, column, channel] - min(255, max(0, expected))) <= 0.5 + 1e-9


def test_a_photo_is_darkest_on_the_side_away_from_the_light() -> None:
    grey = Image.new("RGB", (30, 20), (100, 100, 100))
    right = array(relight(grey, gamma=1, gains=(1, 1, 1), fall=0.5, towards=0))[..., 0]
    assert (right[:, 0] == 100).all()
    assert (right[:, -1] == 50).all()
    below = array(relight(grey, gamma=1, gains=(1, 1, 1), fall=0.5, towards=math.pi / 2))[..., 0]
    assert (below[-1] == 50).all()


def test_a_plain_background_is_exchanged_and_the_product_stays() -> None:
    image = thing((200, 30, 40), (96, 128))
    for key in range(20):
        staged = array(replace_background(image, key))
        assert (staged[40:90, 30:66] == (200, 30, 40)).all()
        corner = staged[:4, :4].reshape(-1, 3)
        assert (corner == corner[0]).all()  # a wall
        assert corner[0].max() <= 0.95 * 255 + 1
        assert np.abs(staged - (200, 30, 40)).sum(axis=-1)[0].min() > 10


@pytest.mark.parametrize("width", [60, 240])
def test_outlines_have_no_rim_of_the_old_background(width: int) -> None:
    image = thing((0, 0, 0), (4 * width, 5 * width)).resize((width, 5 * width // 4), Image.Resampling.BICUBIC)
    for key in range(10):
        staged = array(replace_background(image, key))
        assert (staged <= staged[0, 0] + 16).all()  # black and a wall: hardly any mixture is lighter than the wall


def test_the_product_throws_a_shadow() -> None:
    image = thing((200, 30, 40), (96, 128))
    darker = []
    for key in range(10):
        staged = array(replace_background(image, key)).sum(axis=-1)
        darker.append(staged[64, 10:14].mean() < staged[4, 4] or staged[64, 82:86].mean() < staged[4, 4])
    assert all(darker)


def test_what_has_no_plain_background_keeps_its_own() -> None:
    empty = Image.new("RGB", (40, 60), "white")
    speck = empty.copy()
    speck.paste((0, 0, 0), (20, 20, 22, 22))
    for image in (noise((40, 60)), empty, speck):
        assert replace_background(image, 3).tobytes() == image.tobytes()


def ring(gap: int) -> Image.Image:
    """A white area of 60 by 60 pixels within a black outline that is open over `gap` pixels."""
    image = Image.new("RGB", (100, 100), "white")
    pen = ImageDraw.Draw(image)
    pen.rectangle((20, 20, 79, 79), outline=(0, 0, 0), width=4)
    if gap:
        pen.rectangle((48, 20, 48 + gap - 1, 23), fill="white")
    return image


def test_pale_things_with_a_gap_in_their_outline_are_whole() -> None:
    inside = (slice(30, 70), slice(30, 70))
    assert product_mask(ring(0))[inside].all()
    assert product_mask(ring(3))[inside].all()
    assert not product_mask(ring(12))[inside].any()


def test_a_mask_is_exactly_the_product() -> None:
    image = Image.new("RGB", (100, 100), "white")
    notched = [(20, 30), (40, 30), (50, 40), (60, 30), (80, 30), (80, 70), (20, 70)]  # closing alone fills its tip
    ImageDraw.Draw(image).polygon(notched, fill=(10, 20, 30))
    assert (product_mask(image) == (array(image)[..., 0] < 128)).all()


def test_a_label_hides_a_small_part_near_a_corner() -> None:
    image = Image.new("RGB", (200, 300), (120, 121, 122))
    corners = set()
    for key in range(40):
        hidden = (array(put_label(image, key)) != (120, 121, 122)).any(axis=-1)
        rows, columns = np.flatnonzero(hidden.any(axis=1)), np.flatnonzero(hidden.any(axis=0))
        assert hidden[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert 0.01 < hidden.mean() < 0.08
        corners.add((rows.mean() < 150, columns.mean() < 100))
    assert len(corners) == 4


def test_noise_has_its_deviation_and_no_mean() -> None:
    grey = Image.new("RGB", (200, 200), (128, 128, 128))
    off = array(add_noise(grey, 8, key=5)) - 128
    assert abs(off.std() - 8) < 0.2
    assert abs(off.mean()) < 0.2
    assert abs(np.corrcoef(off[..., 0].ravel(), off[..., 1].ravel())[0, 1]) < 0.02
    assert (array(add_noise(grey, 0, key=5)) == 128).all()


def test_files_are_compressed_by_different_amounts() -> None:
    image = noise((64, 64))
    sizes = [len(as_jpeg(image, key)) for key in range(30)]
    known = []
    for quality in (40, 85):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        known.append(len(file.getvalue()))
    assert known[0] <= min(sizes) < max(sizes) <= known[1]
    assert max(sizes) > 1.3 * min(sizes)
