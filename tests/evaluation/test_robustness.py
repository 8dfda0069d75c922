import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from item_embed.catalog.store import Catalog
from item_embed.errors import CatalogError, ConfigError
from item_embed.evaluation.alterations import TITLE_ALTERATIONS, Alteration, photo_alterations
from item_embed.evaluation.altered_titles import drop_words
from item_embed.evaluation.drawn import query_keys
from item_embed.evaluation.finders import vector_finder
from item_embed.evaluation.queries import catalog_queries, given_queries
from item_embed.evaluation.robustness import Curve, Robustness, evaluate_robustness
from tests.catalogs import Row, write_catalog
from tests.evaluation.fakes import COLOURS, WORDS, Codes, Fake, jpeg, mean_colour, shop, thing
from tests.evaluation.relistings import query, write_queries

PHOTOS = photo_alterations((80, 64), 16)
SETTINGS = sum(len(a.strengths) for a in TITLE_ALTERATIONS.values()) + sum(len(a.strengths) for a in PHOTOS.values())


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return shop(tmp_path / "catalog")


def first_word_reader() -> Fake:
    known = Codes(128)
    return Fake(128, lambda photo, title: known(title and title.split()[0]))


def colour_reader() -> Fake:
    return Fake(3, lambda photo, title: mean_colour(photo))


def curve(found: Robustness, name: str) -> Curve:
    [one] = [one for one in found.curves if one.name == name]
    return one


def hits(one: Curve) -> list[float]:
    return [round(point.result.figures()["hit_at_1"].value, 3) for point in one.points]


def test_a_reader_of_first_words_is_lost_only_where_they_are(catalog: Catalog) -> None:
    finder = vector_finder(first_word_reader(), catalog)
    found = evaluate_robustness(finder, catalog_queries(catalog), photos=PHOTOS)
    assert {one.unaltered.figures()["hit_at_1"].value for one in found.curves} == {1.0}
    kept = curve(found, "cut")
    assert [point.strength for point in kept.points] == [8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert hits(kept)[:-1] == [1.0] * 8
    assert hits(kept)[-1] < 0.3  # what is left is photos, which it does not see: ties decide
    for name in PHOTOS:
        assert set(hits(curve(found, name))) == {1.0}
    one = curve(found, "words_left_out")
    asked = one.unaltered.queries
    for point in one.points:
        pairs = [(title or "", key) for title, key in zip(asked.titles, query_keys(asked), strict=True)]
        left = [(title, drop_words(title, point.strength, key) or "") for title, key in pairs]
        seen = np.array([title.split()[0] in words.split()[:1] for title, words in left])
        right = point.result.metrics.hit_at_1
        assert right[seen].all()
        assert right[~seen].mean() < 0.4
    assert hits(curve(found, "cyrillic"))[-1] < 0.3
    assert hits(curve(found, "misspelt"))[-1] < 0.5


def test_a_reader_of_colours_is_lost_only_where_they_are(catalog: Catalog) -> None:
    finder = vector_finder(colour_reader(), catalog)
    found = evaluate_robustness(finder, catalog_queries(catalog), photos=PHOTOS)
    for name in TITLE_ALTERATIONS:
        assert set(hits(curve(found, name))) == {1.0}
    assert hits(curve(found, "rotated"))[-1] == 1.0
    assert hits(curve(found, "compressed"))[0] == 1.0
    assert hits(curve(found, "blurred"))[0] == 1.0
    assert set(hits(curve(found, "background"))) == {1.0}  # it sees the middle only
    left = hits(curve(found, "patches_left_out"))
    assert left[0] > left[-1]
    assert left[-1] < 0.4


def test_only_queries_are_embedded_again(catalog: Catalog) -> None:
    model = first_word_reader()
    finder = vector_finder(model, catalog)
    assert model.embedded == 24
    told: list[tuple[int, int | None]] = []
    found = evaluate_robustness(
        finder, catalog_queries(catalog), photos=PHOTOS, most=10, on_progress=lambda *now: told.append(now)
    )
    assert model.embedded == 24 + 10 * (1 + SETTINGS)
    assert told == [(done, SETTINGS) for done in range(1, SETTINGS + 1)]
    assert found.remarks == ("10 of 24 queries are asked, drawn by a hash of their ids.",)


def test_json_is_the_documented_object(catalog: Catalog) -> None:
    finder = vector_finder(first_word_reader(), catalog)
    few = {name: TITLE_ALTERATIONS[name] for name in ("cut", "misspelt")}
    shown = evaluate_robustness(finder, catalog_queries(catalog), titles=few, photos={}, most=20, seed=2).as_json()
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    facts = ["task", "protocol", "split", "method", "queries", "drawn_from", "index_size", "modalities", "seed"]
    assert [shown[fact] for fact in facts] == ["robustness", "listings", "all", "model", 20, 24, 24, "both", 2]
    figures = {"hit_at_1", "macro_recall_at_10", "map_at_10"}
    assert set(shown["unaltered"]) == figures
    assert list(shown["curves"]) == ["cut", "misspelt"]
    one = shown["curves"]["misspelt"]
    assert (one["alters"], one["unit"], one["queries"]) == ("title", "share of letters", 20)
    assert [point["strength"] for point in one["points"]] == [0.05, 0.1, 0.2, 0.4]
    for point in one["points"]:
        for name in figures:
            difference = point[name]["value"] - one["unaltered"][name]["value"]
            assert point["altered_minus_unaltered"][name]["value"] == pytest.approx(difference)


def test_equal_seeds_give_equal_curves(catalog: Catalog) -> None:
    finder = vector_finder(first_word_reader(), catalog)

    def found(seed: int) -> Robustness:
        few = {"misspelt": TITLE_ALTERATIONS["misspelt"]}
        return evaluate_robustness(finder, catalog_queries(catalog), titles=few, photos={}, most=20, seed=seed)

    assert found(0).as_json() == found(0).as_json()
    assert found(0).unaltered.queries.ids != found(1).unaltered.queries.ids


@pytest.mark.parametrize(("modalities", "kept"), [("image", "image"), ("title", "title")])
def test_what_a_method_does_not_see_is_not_altered(catalog: Catalog, modalities: str, kept: str) -> None:
    finder = vector_finder(first_word_reader(), catalog, modalities)  # type: ignore[arg-type]
    found = evaluate_robustness(finder, catalog_queries(catalog), most=4)
    assert {one.alters for one in found.curves} == {kept}


def test_curves_are_of_the_queries_that_can_be_altered(tmp_path: Path, catalog: Catalog) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 30, 3), dtype=np.uint8)
    busy = jpeg(thing(COLOURS[3]).resize((30, 40)))
    asked = [query(f"{word} 0", title=word, image=busy) for word in WORDS[:10]]
    asked += [query("bag 0", title="small bag", image=jpeg(Image.fromarray(noise))), query("tent 0", title="350")]
    queries = given_queries(write_queries(tmp_path / "q.parquet", asked), catalog)
    found = evaluate_robustness(vector_finder(first_word_reader(), catalog), queries, photos=PHOTOS)
    counts = {one.name: len(one) for one in found.curves}
    assert (counts["cut"], counts["misspelt"], counts["reordered"]) == (12, 11, 1)
    assert (counts["cropped"], counts["background"]) == (11, 10)
    assert found.remarks == ("reordered: Only 1 query: the figures say little.",)
    assert json.dumps(found.as_json(), allow_nan=False)


@pytest.mark.parametrize("missing", ["photos", "titles"])
def test_a_catalogue_of_one_modality_has_its_curves_and_remarks_on_the_others(tmp_path: Path, missing: str) -> None:
    catalog = shop(tmp_path / "c", photos=missing != "photos", titles=missing != "titles")
    model = first_word_reader() if missing == "photos" else colour_reader()
    found = evaluate_robustness(vector_finder(model, catalog), catalog_queries(catalog), most=10, photos=PHOTOS)
    assert {one.alters for one in found.curves} == ({"title"} if missing == "photos" else {"image"})
    lost, thing_ = (PHOTOS, "photo") if missing == "photos" else (TITLE_ALTERATIONS, "title")
    expected = [f"No query has a {thing_} to which {name} can be applied; it is left out." for name in lost]
    assert list(found.remarks[1:]) == expected
    assert json.dumps(found.as_json(), allow_nan=False)


def test_few_queries_grey_photos_and_titles_of_one_word_are_stood(tmp_path: Path) -> None:
    grey, tiny = jpeg(thing((128, 128, 128))), jpeg(thing((128, 128, 128), (8, 8)))
    rows = [Row("a", "mug", grey, product_id="p"), Row("b", "mug", tiny, product_id="p"), Row("c", "bag", grey)]
    catalog = write_catalog(tmp_path / "c", rows)
    found = evaluate_robustness(vector_finder(first_word_reader(), catalog), catalog_queries(catalog), photos=PHOTOS)
    assert found.remarks[0] == "Only 2 queries: the figures say little."
    assert sum("Only" in remark for remark in found.remarks) == 1
    assert any("reordered can be applied" in remark for remark in found.remarks)
    assert json.dumps(found.as_json(), allow_nan=False)


def test_wrong_requests_are_sentences(tmp_path: Path, catalog: Catalog) -> None:
    finder = vector_finder(first_word_reader(), catalog)
    with pytest.raises(ConfigError, match="at least one query, not 0"):
        evaluate_robustness(finder, catalog_queries(catalog), most=0)
    rows = [Row(name, "mug", jpeg(thing(COLOURS[1]))[:300], product_id="p") for name in "ab"]
    damaged = write_catalog(tmp_path / "damaged", rows)
    with pytest.raises(CatalogError, match=r"the photo of the query 'a' cannot be altered: .*\."):
        evaluate_robustness(vector_finder(first_word_reader(), damaged), catalog_queries(damaged))


def test_an_alteration_of_one_s_own_is_measured(catalog: Catalog) -> None:
    shouted = {"shouted": Alteration[str]("times", (1,), lambda title, strength, key: title.upper())}
    finder = vector_finder(first_word_reader(), catalog)
    found = evaluate_robustness(finder, catalog_queries(catalog), titles=shouted, photos={})
    assert hits(curve(found, "shouted"))[0] < 0.3
