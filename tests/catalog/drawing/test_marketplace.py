import csv
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer

from item_embed.catalog.drawing.kinds import KINDS
from item_embed.catalog.drawing.labels import LABEL_COLUMNS
from item_embed.catalog.drawing.listings import COLUMNS
from item_embed.catalog.drawing.marketplace import draw_marketplace
from item_embed.catalog.drawing.showing import Showing, choose
from item_embed.catalog.feeds.finding import find_files
from item_embed.errors import ConfigError
from item_embed.files import OutputError
from tests.catalog.drawing.pairs import NOTHING


def _rows(out: Path, name: str = "feed.csv") -> list[dict[str, str]]:
    with (out / name).open(newline="", encoding="utf8") as file:
        return list(csv.DictReader(file))


def test_the_feed_and_its_photos(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    drawn = draw_marketplace(tmp_path / "market", 60, image_size=32, on_progress=lambda n, of: seen.append((n, of)))
    rows = _rows(tmp_path / "market")
    assert (drawn.products, drawn.listings, drawn.kinds) == (60, len(rows), len(KINDS))
    assert tuple(rows[0]) == COLUMNS
    assert len({row["item_id"] for row in rows}) == len(rows)
    assert all(row["title"] and row["seller"] and float(row["price"]) > 0 for row in rows)
    images = [row["image"] for row in rows if row["image"]]
    assert drawn.photos == len(images)
    assert set(images) == {
        path.relative_to(tmp_path / "market").as_posix() for path in (tmp_path / "market/images").glob("*/*.jpg")
    }
    for row in rows:
        if row["image"]:
            assert row["image"] == f"images/{row['item_id'][:2]}/{row['item_id']}.jpg"
            with Image.open(tmp_path / "market" / row["image"]) as photo:
                photo.load()
                assert max(photo.size) == 32
                assert photo.format == "JPEG"
    assert seen == [(54, 60), (60, 60)]


def test_labels_and_near_negatives_lie_beside_the_feed(tmp_path: Path) -> None:
    drawn = draw_marketplace(tmp_path / "market", 60, image_size=32)
    feed, labels = _rows(tmp_path / "market"), _rows(tmp_path / "market", "truth/labels.csv")
    near = _rows(tmp_path / "market", "truth/near_negatives.csv")
    found = find_files(str(tmp_path / "market"))  # the folder itself can be prepared
    assert [file.url for file in found] == [str(tmp_path / "market/feed.csv")]
    assert [(row["item_id"], row["product_id"]) for row in feed] == [
        (row["item_id"], row["product_id"]) for row in labels
    ]
    assert all(
        row["category"] == " > ".join(label[f"category_{i}"] for i in (1, 2, 3))
        for row, label in zip(feed, labels, strict=True)
    )
    assert drawn.near_negatives == len(near) > 10
    truth = {row["product_id"]: row for row in labels}
    parts = {"pattern": {"pattern", "scale", "second_colour"}, "material": {"material", "finish"}}
    for row in near:
        one, two = truth[row["product_id"]], truth[row["other_product_id"]]
        names = set(LABEL_COLUMNS) - {"item_id", "product_id", "title_names"}
        changed = {name for name in names if one[name] != two[name]}
        assert changed
        assert changed <= parts.get(row["attribute"], {row["attribute"]})


def test_the_settings_the_counts_and_the_ceilings_are_kept(tmp_path: Path) -> None:
    showing = choose("title", ["size=both"], mention=0.5)
    drawn = draw_marketplace(tmp_path / "market", 5, seed=3, image_size=32, showing=showing)
    kept = json.loads((tmp_path / "market/market.json").read_text())
    assert (kept["seed"], kept["image_size"], kept["products"], kept["listings"]) == (3, 32, 5, drawn.listings)
    assert Showing(**kept["showing"]) == showing
    assert kept["ceilings"]["photo"]["hit_at_1"] == drawn.ceilings["photo"].hit_at_1
    assert list(kept["ceilings"]) == ["photo", "title", "both"]


def test_the_same_seed_draws_the_same_and_a_product_does_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    for name, products, seed in (("few", 4, 1), ("again", 4, 1), ("more", 7, 1), ("other", 4, 2)):
        draw_marketplace(tmp_path / name, products, seed, image_size=32)
    few, again, more, other = (
        [
            (row, label, (tmp_path / name / row["image"]).read_bytes() if row["image"] else b"")
            for row, label in zip(_rows(tmp_path / name), _rows(tmp_path / name, "truth/labels.csv"), strict=True)
        ]
        for name in ("few", "again", "more", "other")
    )
    assert few == again
    kept = {row["product_id"] for row, _, _ in few}
    assert few == [one for one in more if one[0]["product_id"] in kept]
    assert len(more) > len(few)
    assert few != other


@pytest.mark.slow
def test_a_products_listings_do_not_stand_side_by_side(tmp_path: Path) -> None:
    draw_marketplace(tmp_path / "market", 108, image_size=32)
    products = [row["product_id"] for row in _rows(tmp_path / "market")]
    assert sum(one == other for one, other in pairwise(products)) < 0.1 * len(products)


def test_the_number_of_workers_changes_no_byte(tmp_path: Path) -> None:
    for workers in (1, 2):
        draw_marketplace(tmp_path / str(workers), 130, image_size=32, workers=workers)
    one, two = (
        {path.relative_to(tmp_path / name).as_posix(): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("1", "2")
    )
    assert len(one) > 300
    assert one == two


@pytest.mark.slow
def test_no_photo_of_a_hidden_world_tells_products_apart(tmp_path: Path) -> None:
    hidden = NOTHING
    drawn = draw_marketplace(tmp_path / "market", 180, image_size=32, showing=hidden)
    assert drawn.near_negatives == 0
    for ceiling in drawn.ceilings.values():
        assert ceiling.hit_at_1 < 0.14  # four listings of thirty: ten products of each kind
        assert ceiling.macro_recall_at_10 < 0.56


def test_simple_readers_of_titles_and_of_colours_find_some_products_and_stay_below_the_ceilings(
    tmp_path: Path,
) -> None:
    drawn = draw_marketplace(tmp_path / "market", 60, image_size=64)
    rows = _rows(tmp_path / "market")
    products = np.array([row["product_id"] for row in rows])
    words = TfidfVectorizer(token_pattern=r"\w+").fit_transform(row["title"] for row in rows)
    colours = np.stack([_colours(tmp_path / "market", row["image"]) for row in rows])
    title, photo = (_hit_at_1(scores, products) for scores in ((words @ words.T).toarray(), colours @ colours.T))
    assert 0.2 < title < drawn.ceilings["title"].hit_at_1
    assert 0.1 < photo < drawn.ceilings["photo"].hit_at_1  # chance finds one in a hundred


def _colours(folder: Path, name: str) -> NDArray[np.float64]:
    """Which colours there are in the middle of a photo."""
    if not name:
        return np.zeros(512)
    with Image.open(folder / name) as photo:
        middle = photo.crop((photo.width // 4, photo.height // 4, 3 * photo.width // 4, 3 * photo.height // 4))
        levels = np.asarray(middle, int).reshape(-1, 3) // 32
    return np.sqrt(np.bincount(levels @ [64, 8, 1], minlength=512) / len(levels))


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
        if done == 54:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_marketplace(tmp_path / "market", 60, image_size=32, on_progress=interrupt)
    assert list(tmp_path.iterdir()) == []
    draw_marketplace(tmp_path / "market", 1, image_size=32)


@pytest.mark.parametrize(
    ("products", "image_size", "workers", "option"),
    [(0, 64, 1, "--products"), (3, 8, 1, "--image-size"), (3, 64, 0, "--workers")],
)
def test_numbers_out_of_range_are_refused(
    tmp_path: Path, products: int, image_size: int, workers: int, option: str
) -> None:
    with pytest.raises(ConfigError, match=option):
        draw_marketplace(tmp_path / "market", products, image_size=image_size, workers=workers)
    assert not (tmp_path / "market").exists()
