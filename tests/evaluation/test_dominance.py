import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.errors import CatalogError, ConfigError
from item_embed.evaluation.dominance import Dominance, Movement, evaluate_dominance, movement
from item_embed.evaluation.queries import catalog_queries, given_queries
from item_embed.evaluation.swapping import swap_partners
from tests.catalogs import Row, write_catalog
from tests.evaluation.fakes import COLOURS, Codes, Fake, jpeg, mean_colour, shop, thing
from tests.evaluation.relistings import query, write_queries


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return shop(tmp_path / "catalog")


def first_word(title: str | None) -> str | None:
    return title and title.split()[0]


def colour(photo: bytes | None) -> tuple[int, ...] | None:
    return None if photo is None else tuple((mean_colour(photo) / 40).round().astype(int).tolist())


def by(photo: float, title: float) -> Fake:
    """Of two listings the cosine is the weights' share of what is the same: squared weights add up to 1."""
    photos, titles = Codes(16), Codes(16)
    return Fake(32, lambda p, t: np.concatenate([photo**0.5 * photos(colour(p)), title**0.5 * titles(first_word(t))]))


def index(found: Dominance) -> float:
    return found.movement.figures()["index"].value


def hits(found: Dominance) -> dict[str, float]:
    return {name: result.figures()["hit_at_1"].value for name, result in found.retrieval.items()}


def test_a_model_that_sees_photos_alone_has_index_one(catalog: Catalog) -> None:
    found = evaluate_dominance(by(1, 0), catalog, catalog_queries(catalog))
    figures = found.movement.figures()
    assert (figures["index"].value, figures["index"].low, figures["index"].high) == (1, 1, 1)
    assert figures["photo"].value == pytest.approx(1)
    assert figures["title"].value == 0
    right = hits(found)
    assert right["image"] == right["both"] == right["title_swapped"] == 1
    assert right["photo_swapped"] == 0
    assert right["title"] < 0.3  # by ties


def test_a_model_that_sees_titles_alone_has_index_minus_one(catalog: Catalog) -> None:
    found = evaluate_dominance(by(0, 1), catalog, catalog_queries(catalog))
    figures = found.movement.figures()
    assert (figures["index"].value, figures["index"].low, figures["index"].high) == (-1, -1, -1)
    right = hits(found)
    assert right["title"] == right["both"] == right["photo_swapped"] == 1
    assert right["title_swapped"] == 0


def test_a_balanced_model_has_index_zero(catalog: Catalog) -> None:
    found = evaluate_dominance(by(0.5, 0.5), catalog, catalog_queries(catalog))
    figures = found.movement.figures()
    assert figures["index"].value == pytest.approx(0, abs=1e-6)
    assert figures["photo"].value == pytest.approx(0.5)
    assert figures["title"].value == pytest.approx(0.5)
    assert hits(found)["both"] == 1


def test_the_index_is_the_share_that_the_photo_has_more_than_the_title(catalog: Catalog) -> None:
    found = evaluate_dominance(by(0.8, 0.2), catalog, catalog_queries(catalog))
    assert index(found) == pytest.approx(0.6)
    assert hits(found)["title_swapped"] == 1  # the photo decides
    assert hits(found)["photo_swapped"] == 0


def test_a_model_that_nothing_moves_has_index_zero_by_definition(catalog: Catalog) -> None:
    found = evaluate_dominance(Fake(4, lambda p, t: np.ones(4)), catalog, catalog_queries(catalog))
    figure = found.movement.figures()["index"]
    assert (figure.value, figure.low, figure.high) == (0, None, None)
    assert figure.reason is not None
    assert "by definition" in figure.reason


distances = arrays(np.float64, 6, elements=st.sampled_from((0.0, 0.25, 1.0, 2.0)))


@settings(max_examples=20)
@given(distances, distances)
def test_figures_of_movement_are_those_of_plain_sums(photo: NDArray[np.float64], title: NDArray[np.float64]) -> None:
    figures = Movement(photo, title, np.array([0, 0, 1, 1, 1, 5])).figures()
    assert figures["photo"].value == pytest.approx(sum(photo) / 6)
    both = sum(photo) + sum(title)
    assert figures["index"].value == pytest.approx((sum(photo) - sum(title)) / both if both else 0)
    assert -1 <= figures["index"].value <= 1
    if figures["index"].low is not None and figures["index"].high is not None:
        assert -1 <= figures["index"].low <= figures["index"].value + 1e-9
        assert figures["index"].high <= 1
    assert json.dumps([figure.as_json() for figure in figures.values()], allow_nan=False)


def test_json_is_the_documented_object(catalog: Catalog) -> None:
    shown = evaluate_dominance(by(0.5, 0.5), catalog, catalog_queries(catalog), most=20, seed=3).as_json()
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    facts = ["task", "protocol", "split", "method", "listings", "index_size", "seed"]
    assert [shown[fact] for fact in facts] == ["dominance", "listings", "all", "model", 20, 24, 3]
    assert shown["remarks"] == ["20 of 24 listings are measured on, drawn by a hash of their ids."]
    assert set(shown["movement"]) == {"photo", "title"}
    assert list(shown["retrieval"]) == ["image", "title", "both", "photo_swapped", "title_swapped"]
    for name, part in shown["retrieval"].items():
        assert part["queries"] == 20
        assert set(part) - {"minus_both"} == {"queries", "hit_at_1", "macro_recall_at_10", "map_at_10"}
        assert ("minus_both" in part) == (name != "both")
    swapped = shown["retrieval"]["photo_swapped"]
    difference = swapped["hit_at_1"]["value"] - shown["retrieval"]["both"]["hit_at_1"]["value"]
    assert swapped["minus_both"]["hit_at_1"]["value"] == pytest.approx(difference)


def test_the_catalogue_is_embedded_once_for_each_modality_unless_its_vectors_are_given(catalog: Catalog) -> None:
    model = by(0.5, 0.5)
    evaluate_dominance(model, catalog, catalog_queries(catalog), most=10)
    assert model.embedded == 3 * 24 + 3 * 10 + 2 * 10  # alone, the queries are embedded with the other left out
    model.embedded = 0
    vectors = np.ones((24, 32), np.float32)
    evaluate_dominance(
        model, catalog, catalog_queries(catalog), most=10, vectors={"both": vectors, "title": vectors, "image": vectors}
    )
    assert model.embedded == 5 * 10


def test_movement_alone_needs_no_vectors_of_the_catalogue(catalog: Catalog) -> None:
    model, queries = by(0.8, 0.2), catalog_queries(catalog)
    found = movement(model, catalog, queries, most=10, seed=3)
    assert model.embedded == 3 * 10
    assert found.figures() == evaluate_dominance(model, catalog, queries, most=10, seed=3).movement.figures()


def test_without_labels_movement_alone_is_measured(tmp_path: Path) -> None:
    catalog = shop(tmp_path / "c", labels=False)
    found = evaluate_dominance(by(0.8, 0.2), catalog, None, split="test")
    assert index(found) == pytest.approx(0.6)
    assert found.retrieval == {}
    assert found.remarks[0] == "There are no queries of the same product, so only the movement of vectors is measured."
    assert (found.as_json()["split"], found.as_json()["listings"]) == ("test", 8)
    assert found.remarks[1:] == ("Only 8 queries: the figures say little.",)


@pytest.mark.parametrize("missing", ["photos", "titles"])
def test_a_catalogue_of_one_modality_is_refused_in_a_sentence(tmp_path: Path, missing: str) -> None:
    catalog = shop(tmp_path / "c", photos=missing != "photos", titles=missing != "titles")
    with pytest.raises(CatalogError, match="has both a photo and a title"):
        evaluate_dominance(by(0.5, 0.5), catalog, catalog_queries(catalog))


def test_a_single_product_is_refused_in_a_sentence(tmp_path: Path) -> None:
    rows = [Row(f"{i}", f"mug {i}", jpeg(thing(COLOURS[i])), product_id="mug") for i in range(3)]
    catalog = write_catalog(tmp_path / "c", rows)
    with pytest.raises(CatalogError, match="has no second product"):
        evaluate_dominance(by(0.5, 0.5), catalog, catalog_queries(catalog))
    with pytest.raises(ConfigError, match="at least one listing, not 0"):
        evaluate_dominance(by(0.5, 0.5), catalog, catalog_queries(catalog), most=0)


def test_listings_that_lack_something_are_left_out_with_a_remark(tmp_path: Path, catalog: Catalog) -> None:
    asked = [query("mug 0", title="Mug", image=catalog.photo(0)), query("bag 0", title="Bag"), query("bag 1")]
    queries = given_queries(write_queries(tmp_path / "q.parquet", asked), catalog)
    found = evaluate_dominance(by(0.5, 0.5), catalog, queries)
    assert found.queries.ids == ["again mug 0"]
    assert found.remarks == (
        "Only 3 queries: the figures say little.",
        "2 of 3 listings without a photo or a title are left out.",
    )
    assert found.as_json()["index"]["low"] is None
    assert np.isfinite(index(found))


def test_a_listing_without_a_partner_is_left_out_with_a_remark(tmp_path: Path) -> None:
    """The bag is in the group of one mug, so that mug can be given nothing."""
    red, blue, grey = (jpeg(thing(colour)) for colour in (COLOURS[0], COLOURS[5], COLOURS[9]))
    rows = [Row("a0", "mug", red, product_id="a", group=0), Row("a1", "a mug", blue, product_id="a", group=1)]
    catalog = write_catalog(tmp_path / "c", [*rows, Row("b", "bag", grey, product_id="b", group=0)])
    queries = catalog_queries(catalog)
    assert swap_partners(catalog, queries).tolist() == [-1, 2]
    found = evaluate_dominance(by(0.5, 0.5), catalog, queries)
    assert found.queries.ids == ["a1"]
    assert found.remarks[-1] == "1 of 2 listings without another product to exchange with is left out."
