from pathlib import Path

import numpy as np
import pytest

from item_embed.catalog.store import Catalog
from item_embed.categories.leaves import leaf_task
from item_embed.evaluation.dominance import evaluate_dominance
from item_embed.evaluation.finders import vector_finder
from item_embed.evaluation.swapped_categories import classify_swapped
from tests.catalogs import Row, write_catalog
from tests.evaluation.fakes import COLOURS, Codes, Fake, jpeg, mean_colour, thing

LEAVES = 4


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Four leaves, each with a word and a colour of its own."""
    rows = [
        Row(
            f"{leaf}/{number}",
            f"{('mug', 'lamp', 'chair', 'shoe')[leaf]} number {leaf} {number}",
            jpeg(thing(COLOURS[3 * leaf], (48, 64 + number))),
            category=f"Things > {leaf}",
            product_id=f"{leaf}/{number}",
            split=("train", "train", "validation", "test", "test")[number % 5],
        )
        for leaf in range(LEAVES)
        for number in range(20)
    ]
    return write_catalog(tmp_path / "catalog", rows)


def colour(photo: bytes | None) -> tuple[int, ...] | None:
    return None if photo is None else tuple((mean_colour(photo) / 40).round().astype(int).tolist())


def by(photo: float, title: float) -> Fake:
    photos, titles = Codes(16), Codes(16)
    return Fake(32, lambda p, t: np.concatenate([photo * photos(colour(p)), title * titles(t and t.split()[0])]) + 1e-3)


def accuracies(catalog: Catalog, model: Fake) -> dict[str, float]:
    found = classify_swapped(vector_finder(model, catalog), catalog, leaf_task(catalog))
    assert {len(judged) for judged in found.values()} == {8 * LEAVES}
    return {name: float(judged.right.mean()) for name, judged in found.items()}


def test_a_model_of_photos_follows_the_photo(catalog: Catalog) -> None:
    found = accuracies(catalog, by(1, 0))
    assert list(found) == ["image", "title", "both", "photo_swapped", "title_swapped"]
    assert found["image"] == found["both"] == found["title_swapped"] == 1
    assert found["photo_swapped"] < 0.5
    assert found["title"] <= 0.5


def test_a_model_of_titles_follows_the_title(catalog: Catalog) -> None:
    found = accuracies(catalog, by(0, 1))
    assert found["title"] == found["both"] == found["photo_swapped"] == 1
    assert found["title_swapped"] < 0.5


def test_a_balanced_model_classifies_by_either_alone(catalog: Catalog) -> None:
    found = accuracies(catalog, by(1, 1))
    assert found["image"] == found["title"] == found["both"] == 1


def test_without_a_second_product_nothing_is_swapped(tmp_path: Path) -> None:
    rows = [
        Row(f"{n}", "mug", jpeg(thing(COLOURS[0])), category=f"Things > {n % 2}", split=("train", "test")[n % 4 // 2])
        for n in range(40)
    ]
    catalog = write_catalog(tmp_path / "catalog", rows)
    assert classify_swapped(vector_finder(by(1, 1), catalog), catalog, leaf_task(catalog)) == {}


def test_dominance_tells_categories_where_it_is_given_leaves(catalog: Catalog) -> None:
    found = evaluate_dominance(by(0, 1), catalog, None, split="test", leaves=leaf_task(catalog), most=10)
    assert found.retrieval == {}
    told = found.as_json()["leaf_category"]
    assert told["both"] == {"rows": 10, "accuracy": {"value": 1.0, "low": 1.0, "high": 1.0}}
    assert evaluate_dominance(by(0, 1), catalog, None, split="test").as_json()["leaf_category"] == {}
