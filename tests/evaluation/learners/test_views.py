import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from item_embed.config import AugmentationSettings
from item_embed.evaluation.learners import views
from item_embed.evaluation.learners.views import view

ROWS = np.arange(64)


def photos(count: int, height: int = 40, width: int = 32) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Red grows downwards, green to the right."""
    pixels = np.zeros((count, 3, height, width), np.uint8)
    pixels[:, 0] = np.linspace(0, 255, height).astype(np.uint8)[:, None]
    pixels[:, 1] = np.linspace(0, 255, width).astype(np.uint8)
    return pixels


@given(st.integers(0, 1000), st.integers(0, 5), st.integers(0, 3))
def test_a_view_is_a_function_of_seed_epoch_row_and_number(seed: int, epoch: int, number: int) -> None:
    pixels, epochs = photos(4), np.full(4, epoch)
    whole = view(pixels, seed, epochs, ROWS[:4], number)
    alone = view(pixels[2:3], seed, epochs[2:3], ROWS[2:3], number)
    np.testing.assert_array_equal(whole[2], alone[0])
    np.testing.assert_array_equal(pixels, photos(4))


def test_views_differ_with_each_of_them() -> None:
    def seen(seed: int = 0, epoch: int = 0, first: int = 0, number: int = 0) -> bytes:
        return view(photos(1), seed, np.array([epoch]), np.array([first]), number).tobytes()

    assert len({seen(), seen(seed=1), seen(epoch=1), seen(first=1), seen(number=1)}) == 5


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Views whose colours are those of the photo."""
    monkeypatch.setattr(views, "COLOURS", AugmentationSettings(mirror=0.5))
    monkeypatch.setattr(views, "GREY", 0.0)


@pytest.mark.usefixtures("plain")
def test_a_crop_holds_a_fifth_to_all_of_the_photo() -> None:
    """Of a ramp over the photo, a crop shows as much as it holds."""
    count = 1024
    seen = view(photos(count, 80, 64), 3, np.zeros(count, np.int64), np.arange(count)).astype(np.float64)
    tall, wide = np.ptp(seen[:, 0, :, 32], axis=1) / 255, np.ptp(seen[:, 1, 40, :], axis=1) / 255
    area, aspect = tall * wide, wide / tall
    assert 0.17 < area.min() < 0.21
    assert 0.57 < np.median(area) < 0.63
    assert 0.98 < area.max() <= 1
    assert 0.71 < aspect.min() < 0.77
    assert 1.3 < aspect.max() < 1.4
    assert 0.97 < np.median(aspect) < 1.03


@pytest.mark.usefixtures("plain")
def test_crops_lie_everywhere() -> None:
    count = 512
    seen = view(photos(count), 3, np.zeros(count, np.int64), np.arange(count)).astype(np.int64)
    top, bottom = seen[:, 0, 0, 16], seen[:, 0, -1, 16]
    assert (top == 0).any()
    assert (bottom == 255).any()
    assert abs(np.mean(top - (255 - bottom))) < 8


def test_one_view_in_five_is_grey(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 512
    draw = (photos(count), 3, np.zeros(count, np.int64), np.arange(count))
    seen = view(*draw)
    grey = (seen[:, 0] == seen[:, 1]).all(axis=(1, 2)) & (seen[:, 0] == seen[:, 2]).all(axis=(1, 2))
    assert 0.15 < grey.mean() < 0.25
    monkeypatch.setattr(views, "GREY", 0.0)
    coloured = view(*draw)
    np.testing.assert_array_equal(seen[~grey], coloured[~grey])
    expected = 0.299 * coloured[grey][:, 0] + 0.587 * coloured[grey][:, 1] + 0.114 * coloured[grey][:, 2]
    np.testing.assert_allclose(seen[grey][:, 1], expected, atol=0.51)


@pytest.mark.usefixtures("plain")
def test_half_of_the_views_are_mirrored() -> None:
    count = 512
    seen = view(photos(count), 3, np.zeros(count, np.int64), np.arange(count)).astype(np.int64)
    mirrored = seen[:, 1, 20, 0] > seen[:, 1, 20, -1]
    assert 0.4 < mirrored.mean() < 0.6
    assert (seen[:, 0, 0, 16] < seen[:, 0, -1, 16]).all()  # none is upside down
