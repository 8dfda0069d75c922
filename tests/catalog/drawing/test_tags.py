from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from item_embed.catalog.drawing.photos import PhotoManner, take_photo
from item_embed.catalog.drawing.products import make_product, rng
from item_embed.catalog.drawing.scenes import Scene
from item_embed.catalog.drawing.tags import Tag

PLAIN = PhotoManner(
    scene=Scene("plain", "wood", (255, 255, 255), (120, 90, 60), 0), zoom=0.9, tilt=0, turned=0, mirrors=0, gain=1,
    gamma=1, cast=(1, 1, 1), softness=0, grain=0, quality=90, watermark="", badges=0, covered=0,
)  # fmt: skip
LINES = ("BR-1234", "EU 42")


def _photo(manner: PhotoManner, key: int, tag: tuple[str, ...] = LINES, side: int = 160) -> NDArray[np.int64]:
    product = replace(make_product(0, key), tag=tag)
    return np.asarray(take_photo(product, manner, rng(0, 9, key), side)).astype(np.int64)


def _print(key: int, lines: tuple[str, str], side: int = 160) -> tuple[int, int, int, int]:
    """The box of the print: what differs when the lines change places; left, top, right, bottom."""
    differs = np.abs(_photo(PLAIN, key, lines, side) - _photo(PLAIN, key, lines[::-1], side)).max(2) > 60
    rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@pytest.mark.parametrize("lines", [("EU 42",), ("30 h battery", "MZ-4821X"), ("ABCDEFGHIJ-123",) * 3])
@pytest.mark.parametrize("size", [(16, 12), (48, 48), (160, 120), (384, 512)])
def test_a_tag_lies_inside_the_photo(lines: tuple[str, ...], size: tuple[int, int]) -> None:
    for key in range(12):
        left, top, right, bottom = Tag(lines, size, rng(0, 9, key)).box
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]


def test_the_place_of_a_tag_varies() -> None:
    corners = set()
    for key in range(24):
        left, top, _, _ = Tag(LINES, (160, 160), rng(0, 9, key)).box
        corners.add((left > 50, top > 50))
    assert len(corners) == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [{"mirrors": 1.0}, {"covered": 1.0}, {"badges": 1.0}, {"watermark": "Shop"}, {"cropped": 1.0}, {"softness": 9.0}],
    ids=lambda change: next(iter(change)),
)
def test_nothing_mirrors_covers_crops_or_blurs_the_words(change: dict[str, object]) -> None:
    manner = replace(PLAIN, **change)  # type: ignore[arg-type]
    for key in range(8):
        left, top, right, bottom = _print(key, ("BR-1234", "MZ-5678"))
        usual, changed = (_photo(m, key, ("BR-1234", "MZ-5678"))[top:bottom, left:right] for m in (PLAIN, manner))
        np.testing.assert_array_equal(usual, changed)


def test_the_words_are_large_enough_to_read() -> None:
    for key in range(6):
        left, top, right, bottom = _print(key, ("HMHMHMHMHMHMHM", "MHMHMHMHMHMHMH"))
        assert bottom - top >= 2 * 6
        assert right - left >= 14 * 5


def test_other_words_are_other_pixels_and_no_words_no_tag() -> None:
    assert not np.array_equal(_photo(PLAIN, 1), _photo(PLAIN, 1, ("BR-1235", "EU 42")))
    left, top, right, bottom = Tag(LINES, (160, 160), rng(0, 9, 1)).box
    assert _photo(replace(PLAIN, zoom=0.3), 2, ()).std() < _photo(replace(PLAIN, zoom=0.3), 2).std() + 40
    assert (right - left) * (bottom - top) > 400
