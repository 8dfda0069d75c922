import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from item_embed.catalog.drawing import shapes
from item_embed.catalog.drawing.kinds import KINDS
from item_embed.catalog.drawing.pen import Paint, Pen
from item_embed.catalog.drawing.photos import PhotoManner, as_jpeg, take_photo
from item_embed.catalog.drawing.products import make_product, rng
from item_embed.catalog.drawing.scenes import Scene, spot
from item_embed.catalog.drawing.sketches import SKETCHES

RED, BLUE = (200, 30, 30), (30, 30, 200)
PLAIN = PhotoManner(
    scene=Scene("plain", "wood", (255, 255, 255), (120, 90, 60), 0),
    zoom=0.8,
    tilt=0,
    turned=0,
    mirrors=0,
    gain=1,
    gamma=1,
    cast=(1, 1, 1),
    softness=0,
    grain=0,
    quality=90,
    watermark="",
    badges=0,
    covered=0,
)


def _pen(side: int = 64) -> Pen:
    return Pen(side, np.array([[side, 0, 0], [0, side, 0]], float))


def test_a_pen_fills_inside_an_outline_only() -> None:
    pen = _pen()
    pen.fill(shapes.box(0.25, 0.25, 0.75, 0.75), RED, edge=False)
    assert pen.layer.getpixel((32, 32)) == (*RED, 255)
    assert pen.layer.getpixel((8, 32)) == (0, 0, 0, 0)


def test_shading_darkens_the_right_side_of_a_cylinder_and_keeps_the_outline() -> None:
    flat, round_ = _pen(), _pen()
    outline = shapes.box(0.2, 0.2, 0.8, 0.8)
    flat.fill(outline, RED)
    round_.fill(outline, RED, "cylinder")
    left, right = (np.asarray(round_.layer)[32, x, 0] for x in (30, 48))
    assert right < left
    np.testing.assert_array_equal(np.asarray(flat.layer)[..., 3], np.asarray(round_.layer)[..., 3])


def test_a_pattern_turns_and_mirrors_with_the_product() -> None:
    upright, turned = _pen(), Pen(64, np.array([[0, 64.0, 0], [64.0, 0, 0]]))  # x and y change places
    for pen in (upright, turned):
        pen.fill(shapes.box(0.1, 0.1, 0.9, 0.9), Paint(RED, BLUE, "stripes", 5), edge=False)
    a, b = (np.asarray(pen.layer)[8:56, 8:56] for pen in (upright, turned))
    assert {tuple(pixel) for pixel in a[:, 0].tolist()} == {(*RED, 255), (*BLUE, 255)}
    np.testing.assert_array_equal(a, b.transpose(1, 0, 2))


def test_text_is_read_from_left_to_right() -> None:
    pen = _pen(200)
    pen.text("I....", (0.5, 0.5), 0.3, RED)
    ink = np.asarray(pen.layer)[..., 3] > 128
    columns = np.flatnonzero(ink.any(0))
    assert ink[:, columns[0] : columns[0] + 8].sum() > ink[:, columns[-1] - 8 :].sum()


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_every_sketch_fills_a_good_part_of_its_square(kind: str) -> None:
    numbers = [number for number in range(6 * len(KINDS)) if make_product(0, number).kind.name == kind]
    for number in numbers:
        pen = _pen(96)
        SKETCHES[kind](pen, make_product(0, number))
        alpha = np.asarray(pen.layer)[..., 3]
        assert 0.05 < (alpha > 0).mean() < 0.8
        left, top, right, bottom = pen.layer.getbbox() or (0, 0, 0, 0)
        assert max(right - left, bottom - top) > 0.55 * 96


def test_a_photo_is_a_function_of_its_generator() -> None:
    product = make_product(0, 3)
    manner = replace(PLAIN, tilt=8, turned=0.2, mirrors=0.5, grain=4, badges=0.5, covered=0.5, watermark="Shop")
    photos = [take_photo(product, manner, rng(0, 9, stream), 64).tobytes() for stream in (1, 1, 2)]
    assert photos[0] == photos[1] != photos[2]


@pytest.mark.parametrize(
    "change",
    [
        {"tilt": 20.0},
        {"mirrors": 1.0},
        {"zoom": 0.5},
        {"gain": 0.8},
        {"gamma": 1.3},
        {"cast": (1.1, 1, 0.9)},
        {"softness": 8.0},
        {"grain": 5.0},
        {"watermark": "Shop"},
        {"badges": 1.0},
        {"covered": 1.0},
        {"scene": Scene("table", "wood", (200, 210, 220), (120, 90, 60), 1)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_part_of_a_manner_shows(change: dict[str, object]) -> None:
    product = make_product(0, 0)
    usual, changed = (
        np.asarray(take_photo(product, manner, rng(0, 9, 1), 96), int)
        for manner in (PLAIN, replace(PLAIN, **change))  # type: ignore[arg-type]
    )
    assert np.abs(usual - changed).max() > 8


@pytest.mark.parametrize("backdrop", ["plain", "graded", "surface", "table"])
@pytest.mark.parametrize("surface", ["wood", "linen", "marble", "concrete"])
def test_scenes_fill_the_photo(backdrop: str, surface: str) -> None:
    scene = Scene(backdrop, surface, (210, 220, 230), (150, 110, 80), 5)
    for side in (32, 75):
        image = spot(scene, side, 0.3, 0.9)
        assert image.size == (side, side)
        assert image.mode == "RGB"
        assert np.asarray(image).min() > 10


def test_jpeg_quality_is_the_sellers() -> None:
    photo = take_photo(make_product(0, 1), PLAIN, rng(0, 9, 1), 96)
    good, poor = as_jpeg(photo, 95), as_jpeg(photo, 60)
    assert len(poor) < len(good)
    assert Image.open(io.BytesIO(poor)).size == (96, 96)
