import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from item_embed.catalog.drawing.kinds import KINDS
from item_embed.catalog.drawing.photos import PhotoManner, as_jpeg, take_photo
from item_embed.catalog.drawing.products import make_product, rng
from item_embed.catalog.drawing.scenes import Scene, spot
from item_embed.catalog.drawing.sketches import sketch

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
        {"shadow": "contact"},
        {"lean": 0.3},
        {"keystone": 0.3},
        {"fall": 0.4},
        {"vignette": 0.5},
        {"cropped": 1.0},
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


def test_what_has_writing_is_not_mirrored_and_the_rest_is() -> None:
    plain, mirrored = (replace(PLAIN, mirrors=share, shadow="none") for share in (0.0, 1.0))
    written = 0
    for number in range(2 * len(KINDS)):
        product = make_product(0, number)
        writing = any(part.stencil is not None for part in sketch(product).parts)
        one, two = (take_photo(product, manner, rng(0, 9, number), 64) for manner in (plain, mirrored))
        assert (one.tobytes() == two.tobytes()) == writing
        written += writing
    assert 0 < written < len(KINDS)


@pytest.mark.parametrize(
    ("aspect", "size"), [((1, 1), (80, 80)), ((4, 5), (64, 80)), ((3, 4), (60, 80)), ((4, 3), (80, 60))]
)
@pytest.mark.parametrize("change", [{}, {"border": 0.05}, {"bars": 0.1}, {"bars": -0.1}])
def test_the_longer_side_of_a_photo_is_the_side_asked_for(
    aspect: tuple[int, int], size: tuple[int, int], change: dict[str, float]
) -> None:
    manner = replace(PLAIN, aspect=aspect, frame=(10, 200, 10), **change)  # type: ignore[arg-type]
    photo = take_photo(make_product(0, 0), manner, rng(0, 9, 1), 80)
    assert photo.size == size
    framed = [photo.getpixel(at) == (10, 200, 10) for at in ((size[0] // 2, 0), (0, size[1] // 2))]
    bars = change.get("bars", 0.0)
    assert framed == ["border" in change or bars > 0, "border" in change or bars < 0]


@pytest.mark.parametrize("side", [16, 33, 512])
@pytest.mark.parametrize("backdrop", ["plain", "table"])
def test_photos_of_any_size_show_the_product(side: int, backdrop: str) -> None:
    manner = replace(
        PLAIN, scene=replace(PLAIN.scene, backdrop=backdrop), aspect=(3, 4), grain=3, softness=4, fall=0.3,
        vignette=0.2, border=0.05, badges=1, covered=1, watermark="Shop", keystone=0.2, lean=0.2, tilt=10,
    )  # fmt: skip
    product = replace(make_product(0, 4), tag=("BR-1234", "EU 42"))
    photo = take_photo(product, manner, rng(0, 9, side), side)
    assert photo.size == (round(side * 0.75), side)
    assert np.asarray(photo).std() > 12


def test_a_whole_product_lies_inside_the_photo() -> None:
    manner = replace(PLAIN, zoom=0.95, tilt=12, lean=0.2, keystone=0.2, shadow="none", aspect=(4, 5))
    for number in range(12):
        photo = np.asarray(take_photo(make_product(0, number), manner, rng(0, 9, number), 100), int)
        border = np.concatenate([photo[0], photo[-1], photo[:, 0], photo[:, -1]])
        assert (np.abs(border - photo[0, 0]).max(1) > 60).sum() < 4
        ink = (photo != photo[0, 0]).any(2)
        assert max(np.ptp(np.flatnonzero(ink.any(0))) / 80, np.ptp(np.flatnonzero(ink.any(1))) / 100) > 0.8


def test_a_cropped_product_is_cut_at_one_edge_only() -> None:
    manner = replace(PLAIN, cropped=1, zoom=0.8, shadow="none")
    cut = set()
    for number in range(12):
        photo = np.asarray(take_photo(make_product(0, 4 + number % 3), manner, rng(0, 9, number), 100), int)
        paper = np.array(manner.scene.wall) - np.abs(photo.max((0, 1)) - manner.scene.wall)
        ink = np.abs(photo - paper).max(2) > 30
        edges = [
            name for name, line in zip("tblr", (ink[0], ink[-1], ink[:, 0], ink[:, -1]), strict=True) if line.any()
        ]
        assert len(edges) == 1
        cut.update(edges)
    assert len(cut) > 2


def test_a_scene_with_a_table_is_met_at_the_same_height_in_every_photo() -> None:
    scene = Scene("table", "concrete", (210, 220, 230), (60, 50, 40), 5)
    rows = {
        int(np.abs(np.diff(np.asarray(spot(scene, (60, 80), across, 0.1), int).sum((1, 2)))).argmax())
        for across in (0, 0.5, 1)
    }
    assert len(rows) == 1


@pytest.mark.parametrize("backdrop", ["plain", "graded", "sweep", "surface", "table"])
@pytest.mark.parametrize("surface", ["wood", "linen", "marble", "concrete"])
def test_scenes_fill_the_photo(backdrop: str, surface: str) -> None:
    scene = Scene(backdrop, surface, (210, 220, 230), (150, 110, 80), 5)
    for size in ((32, 32), (75, 60)):
        image = spot(scene, size, 0.3, 0.9)
        assert image.size == size
        assert image.mode == "RGB"
        assert np.asarray(image).min() > 10


def test_jpeg_quality_is_the_sellers() -> None:
    photo = take_photo(make_product(0, 1), PLAIN, rng(0, 9, 1), 96)
    good, poor = as_jpeg(photo, 95), as_jpeg(photo, 60)
    assert len(poor) < len(good)
    assert Image.open(io.BytesIO(poor)).size == (96, 96)
