import csv
import io
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer

from item_embed.catalog.drawing.kinds import KINDS
from item_embed.catalog.drawing.marketplace import COLUMNS, Listing, draw_marketplace, make_listings
from item_embed.catalog.drawing.products import make_product
from item_embed.errors import ConfigError
from item_embed.files import OutputError


@pytest.fixture(scope="module")
def listings() -> list[Listing]:
    return [listing for number in range(60) for listing in make_listings(make_product(0, number), 0, 64)]


def _rows(out: Path) -> list[dict[str, str]]:
    with (out / "feed.csv").open(newline="", encoding="utf8") as file:
        return list(csv.DictReader(file))


def test_the_feed_and_its_photos(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    counts = draw_marketplace(tmp_path / "market", 20, image_size=48, on_progress=lambda n, of: seen.append((n, of)))
    rows = _rows(tmp_path / "market")
    assert (counts.products, counts.listings, counts.kinds) == (20, len(rows), len(KINDS))
    assert tuple(rows[0]) == COLUMNS
    assert len({row["item_id"] for row in rows}) == len(rows)
    assert all(row["title"] and row["seller"] and float(row["price"]) > 0 for row in rows)
    assert {path.name for path in (tmp_path / "market/images").iterdir()} == {
        f"{row['item_id']}.jpg" for row in rows if row["image"]
    }
    for row in rows:
        if row["image"]:
            with Image.open(tmp_path / "market" / row["image"]) as photo:
                photo.load()
                assert photo.size == (48, 48)
                assert photo.format == "JPEG"
    assert seen[-1] == (20, 20)


def test_the_same_seed_draws_the_same_and_a_product_does_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    for name, products, seed in (("few", 4, 1), ("again", 4, 1), ("more", 7, 1), ("other", 4, 2)):
        draw_marketplace(tmp_path / name, products, seed, image_size=32)
    few, again, more, other = (
        [
            (row, (tmp_path / name / row["image"]).read_bytes() if row["image"] else b"")
            for row in _rows(tmp_path / name)
        ]
        for name in ("few", "again", "more", "other")
    )
    assert few == again
    assert few == more[: len(few)]
    assert few != other


def test_a_product_has_two_to_four_listings_by_different_sellers_in_different_words(listings: list[Listing]) -> None:
    products = defaultdict(list)
    for listing in listings:
        products[listing.row["product_id"]].append(listing.row)
    assert len(products) == 60
    assert {len(rows) for rows in products.values()} == {2, 3, 4}
    for rows in products.values():
        assert len({row["seller"] for row in rows}) == len(rows)
        assert len({row["category"] for row in rows}) == 1
        assert len(rows[0]["category"].split(" > ")) == 3
    equal = sum(len({row["title"].lower() for row in rows}) < len(rows) for rows in products.values())
    assert equal <= 2


def test_a_few_rows_are_dirty() -> None:
    rows = [listing for number in range(200) for listing in make_listings(make_product(7, number), 7, 32)]
    bare = np.mean([listing.photo is None for listing in rows])
    entities = np.mean(["&amp;" in listing.row["title"] or "&nbsp;" in listing.row["title"] for listing in rows])
    assert 0 < bare < 0.03
    assert 0 < entities < 0.03
    assert all((listing.photo is None) == (listing.row["image"] == "") for listing in rows)


def test_titles_alone_and_photos_alone_find_some_products_and_both_find_more(listings: list[Listing]) -> None:
    products = np.array([listing.row["product_id"] for listing in listings])
    words = TfidfVectorizer(token_pattern=r"\w+").fit_transform(listing.row["title"] for listing in listings)
    by_title = (words @ words.T).toarray()
    photos, mirrored = (_pixels(listings, mirror) for mirror in (False, True))
    by_photo = np.maximum(photos @ photos.T, photos @ mirrored.T)
    title, photo, both = (_hit_at_1(scores, products) for scores in (by_title, by_photo, by_title + 0.3 * by_photo))
    assert 0.3 < title < 0.98
    assert 0.1 < photo < 0.9
    assert both > max(title, photo)


def _pixels(listings: list[Listing], mirror: bool) -> NDArray[np.float64]:
    rows = np.zeros((len(listings), 10 * 10 * 3))
    for row, listing in zip(rows, listings, strict=True):
        if listing.photo is not None:
            with Image.open(io.BytesIO(listing.photo)) as photo:
                small = np.asarray(photo.resize((10, 10), Image.Resampling.BOX), float)
            pixels = (small[:, ::-1] if mirror else small).ravel()
            row[:] = (pixels - pixels.mean()) / np.linalg.norm(pixels - pixels.mean())
    return rows


def _hit_at_1(scores: NDArray[np.float64], products: NDArray[np.str_]) -> float:
    scores = scores.copy()
    np.fill_diagonal(scores, -np.inf)
    return float(np.mean(products[scores.argmax(1)] == products))


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(OutputError, match=r"--out .* exists already"):
        draw_marketplace(tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(OutputError, match="exists already"):
        draw_marketplace(tmp_path / "mine.txt", 2)


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    assert draw_marketplace(tmp_path, 1, image_size=32).products == 1
    assert (tmp_path / "feed.csv").is_file()


def test_a_marketplace_that_was_interrupted_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(done: int, total: int | None) -> None:
        assert not (tmp_path / "market").exists()
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_marketplace(tmp_path / "market", 3, image_size=32, on_progress=interrupt)
    assert list(tmp_path.iterdir()) == []
    draw_marketplace(tmp_path / "market", 1, image_size=32)


@pytest.mark.parametrize(("products", "image_size", "option"), [(0, 64, "--products"), (3, 8, "--image-size")])
def test_numbers_out_of_range_are_refused(tmp_path: Path, products: int, image_size: int, option: str) -> None:
    with pytest.raises(ConfigError, match=option):
        draw_marketplace(tmp_path / "market", products, image_size=image_size)
    assert not (tmp_path / "market").exists()
