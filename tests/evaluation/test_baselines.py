import colorsys
import io
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps
from sklearn.feature_extraction.text import TfidfVectorizer

from item_embed.catalog.store import Catalog
from item_embed.evaluation.baselines import (
    METHODS,
    Descriptors,
    describe,
    grid_for,
    histograms,
    simple_methods,
    tfidf,
    thumbnails,
)
from item_embed.evaluation.queries import catalog_queries, given_queries
from tests.catalogs import Row, write_catalog
from tests.evaluation.relistings import query, write_queries

GRID = (10, 8)
ALL = slice(None)


def picture(seed: int, size: tuple[int, int] = (60, 80)) -> Image.Image:
    """Large patches of colour, so that thumbnails differ."""
    pixels = np.random.default_rng(seed).integers(0, 235, (5, 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST)


def webp(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "WEBP", lossless=True)
    return file.getvalue()


def described(*photos: bytes | None) -> Descriptors:
    return describe(photos, len(photos), GRID)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    rows = [
        Row("a", "red canvas shoe", webp(picture(1)), product_id="x"),
        Row("b", "red canvas shoe left", webp(ImageOps.mirror(picture(1))), product_id="x"),
        Row("c", "steel kettle", webp(picture(2)), product_id="y"),
        Row("d", "kettle, steel", None, product_id="y"),
        Row("e", None, webp(picture(3)), product_id="z"),
    ]
    return write_catalog(tmp_path / "catalog", rows)


def test_tfidf_is_the_cosine_of_plain_loops() -> None:
    titles = ["red shoe", "red red mug", "blue mug", None]
    asked: list[str | None] = ["red mug unknown", None]
    words = sorted({word for title in titles if title for word in title.split()})

    def vector(title: str | None) -> list[float]:
        counts = [(title or "").split().count(word) for word in words]
        rows_with = [sum(word in (other or "").split() for other in titles) for word in words]
        weights = [c * (math.log((1 + len(titles)) / (1 + n)) + 1) for c, n in zip(counts, rows_with, strict=True)]
        length = math.sqrt(sum(w * w for w in weights)) or 1.0
        return [w / length for w in weights]

    expected = [[sum(a * b for a, b in zip(vector(q), vector(t), strict=True)) for t in titles] for q in asked]
    assert tfidf(titles, asked, TfidfVectorizer(dtype=np.float32))(ALL) == pytest.approx(np.array(expected), abs=1e-6)


def test_tfidf_without_any_title_scores_nothing() -> None:
    scores = tfidf([None, None], ["mug", None, "cup"], TfidfVectorizer())(slice(0, 3))
    assert scores.shape == (3, 2)
    assert not scores.any()


def test_thumbnails_are_means_of_cells_centred_and_of_length_one() -> None:
    image = picture(4)
    pixels = np.asarray(image, np.float64)
    cells = [[pixels[8 * r : 8 * r + 8, int(7.5 * c + 0.5) : int(7.5 * c + 8)] for c in range(8)] for r in range(10)]
    means = np.array([[cell.mean(axis=(0, 1)) for cell in row] for row in cells])
    means -= means.mean()
    correlation = (described(webp(image)).pixels[0] * means).sum() / np.linalg.norm(means)
    assert correlation > 0.98  # cells of 7½ pixels: the loop takes whole ones
    assert np.linalg.norm(described(webp(image)).pixels[0]) == pytest.approx(1)


def test_a_mirrored_photo_is_the_same_to_thumbnails() -> None:
    rows = described(webp(picture(1)), webp(picture(2)), None)
    asked = described(webp(ImageOps.mirror(picture(1))), webp(picture(2)), None)
    scores = thumbnails(rows, asked)(ALL)
    assert scores[0, 0] == pytest.approx(1, abs=1e-5)
    assert scores[1, 1] == pytest.approx(1, abs=1e-5)
    assert max(scores[0, 1], scores[1, 0]) < 0.9
    assert not scores[2].any()
    assert not scores[:, 2].any()


def test_histograms_count_the_colours_that_are_not_background() -> None:
    image = Image.new("RGB", (20, 10), (250, 245, 255))  # all background but what follows
    for box, colour in (((0, 0, 6, 5), (200, 30, 40)), ((6, 0, 8, 5), (20, 90, 220))):
        image.paste(colour, box)
    expected: dict[int, float] = {}
    for colour, share in (((200, 30, 40), 30 / 40), ((20, 90, 220), 10 / 40)):
        hue, saturation, value = (round(x * 255) for x in colorsys.rgb_to_hsv(*(c / 255 for c in colour)))
        expected[(hue * 16 // 256 * 8 + saturation * 8 // 256) * 8 + value * 8 // 256] = math.sqrt(share)
    colours = described(webp(image)).colours[0]
    assert {int(bin_): float(colours[bin_]) for bin_ in np.flatnonzero(colours)} == pytest.approx(expected)


def test_equal_colours_elsewhere_are_the_same_to_histograms() -> None:
    rows = described(webp(picture(1)), webp(picture(2)), None)
    asked = described(webp(picture(1).rotate(180)))
    scores = histograms(rows, asked)(ALL)
    assert scores[0, 0] == pytest.approx(1, abs=1e-5)
    assert scores[0, 1] < 0.9
    assert scores[0, 2] == 0


def test_blank_photos_have_no_descriptor_and_no_nan() -> None:
    blank = described(webp(Image.new("RGB", (60, 80), "white")))
    assert not blank.pixels.any()
    assert not blank.colours.any()


def test_large_photos_are_described_as_small_ones() -> None:
    large, small = described(webp(picture(5, (360, 480))), webp(picture(5))).pixels
    assert (large * small).sum() > 0.999


@pytest.mark.parametrize(
    ("size", "grid"),
    [((60, 80), (10, 8)), ((80, 60), (8, 10)), ((224, 278), (8, 8)), ((64, 64), (8, 8))],
)
def test_the_grid_follows_the_shape_of_photos(tmp_path: Path, size: tuple[int, int], grid: tuple[int, int]) -> None:
    rows = [Row("n", "no photo"), *(Row(f"{i}", None, webp(picture(i, size))) for i in range(3))]
    rows.append(Row("odd", None, webp(picture(9, (90, 30)))))
    assert grid_for(write_catalog(tmp_path / "catalog", rows)) == grid


def test_the_grid_without_photos_is_square(tmp_path: Path) -> None:
    assert grid_for(write_catalog(tmp_path / "catalog", [Row("a", "mug")])) == (8, 8)


def test_methods_are_weighted_sums_of_their_parts(catalog: Catalog) -> None:
    queries = catalog_queries(catalog)
    scores = {name: scorer(ALL) for name, scorer in simple_methods(catalog, queries).items()}
    assert scores.keys() == METHODS.keys()
    expected = scores["tfidf"] + 0.6 * scores["pixels"] + 0.8 * scores["colours"]
    assert scores["simple"] == pytest.approx(expected, abs=3e-5)
    assert scores["pixels+colours"] == pytest.approx(scores["pixels"] + scores["colours"], abs=3e-5)
    assert all(s.dtype == np.float32 and s.shape == (len(queries), len(catalog)) for s in scores.values())
    part = simple_methods(catalog, queries, ["simple"])["simple"](slice(1, 3))
    assert part == pytest.approx(scores["simple"][1:3], abs=3e-5)


def test_what_is_missing_scores_zero(catalog: Catalog) -> None:
    queries = catalog_queries(catalog)
    assert queries.ids == ["a", "b", "c", "d"]
    scorers = simple_methods(catalog, queries, ["tfidf", "characters", "pixels", "colours"])
    for name, lacking in (("tfidf", 4), ("characters", 4), ("pixels", 3), ("colours", 3)):
        assert not scorers[name](ALL)[:, lacking].any()
    assert not scorers["pixels"](ALL)[3].any()


def test_characters_forgive_a_misspelling(tmp_path: Path, catalog: Catalog) -> None:
    given = [query("c", title="steel ketle", image=webp(picture(2)))]
    queries = given_queries(write_queries(tmp_path / "q.parquet", given), catalog)
    scorers = simple_methods(catalog, queries, ["tfidf", "characters", "pixels"])
    asked: NDArray[np.float32] = scorers["characters"](ALL)[0]
    assert asked[2] > 0.6
    assert asked[2] > scorers["tfidf"](ALL)[0, 2]
    assert scorers["pixels"](ALL)[0].argmax() == 2


def test_only_what_is_asked_for_is_prepared(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Catalog, "photo", lambda self, row: pytest.fail("a photo was read"))
    assert list(simple_methods(catalog, catalog_queries(catalog), ["tfidf"])) == ["tfidf"]
