import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from item_embed.catalog.store import Catalog
from item_embed.categories.leaves import leaf_task
from item_embed.categories.linear import linear_probe
from item_embed.errors import CatalogError
from item_embed.evaluation import measuring
from item_embed.evaluation.asked import Asked
from item_embed.evaluation.dominance import evaluate_dominance
from item_embed.evaluation.finders import vector_finder
from item_embed.evaluation.hybrid import evaluate_hybrid
from item_embed.evaluation.leaf_category import evaluate_leaf_category
from item_embed.evaluation.measured import FIGURES
from item_embed.evaluation.measuring import Questions, measure, measure_hybrid, open_questions
from item_embed.evaluation.queries import catalog_queries
from item_embed.search.exact import tie_keys
from item_embed.search.words import TitleWords
from tests.catalogs import Row, write_catalog
from tests.evaluation.fakes import COLOURS, Codes, Fake, jpeg, mean_colour, shop, thing


def first_word(title: str | None) -> str | None:
    return title and title.split()[0]


def colour(photo: bytes | None) -> tuple[int, ...] | None:
    return None if photo is None else tuple((mean_colour(photo) / 40).round().astype(int).tolist())


def by(photo: float, title: float) -> Fake:
    photos, titles = Codes(16), Codes(16)
    return Fake(32, lambda p, t: np.concatenate([photo * photos(colour(p)), title * titles(first_word(t))]))


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return shop(tmp_path / "catalog")


def test_each_figure_is_that_of_its_own_evaluation(catalog: Catalog) -> None:
    queries = catalog_queries(catalog)
    found = measure(by(1, 2), Questions(catalog, queries))
    assert list(found) == [name for name in FIGURES if name != "accuracy"]
    for seen, name in {"both": "", "image": "_image", "title": "_title"}.items():
        wanted = vector_finder(by(1, 2), catalog, seen).find(queries).figures()["macro_recall_at_10"]  # type: ignore[arg-type]
        assert found[f"macro_recall_at_10{name}"].figure() == wanted
    dominance = evaluate_dominance(by(1, 2), catalog, queries)
    assert found["dominance_index"].figure() == dominance.movement.figures()["index"]


def test_a_method_of_one_side_has_that_side_alone(catalog: Catalog) -> None:
    found = measure(by(0, 1), Questions(catalog, catalog_queries(catalog)), sees="title")
    assert set(found) == {"hit_at_1", "macro_recall_at_10", "map_at_10", "macro_recall_at_10_title"}
    assert found["macro_recall_at_10_title"].value == found["macro_recall_at_10"].value == 1


def test_without_photos_there_is_neither_dominance_nor_a_figure_of_photos_alone(tmp_path: Path) -> None:
    catalog = shop(tmp_path / "untold", photos=False)
    found = measure(by(1, 1), Questions(catalog, catalog_queries(catalog)))
    assert set(found) == {"hit_at_1", "macro_recall_at_10", "map_at_10", "macro_recall_at_10_title"}
    assert found["macro_recall_at_10_title"].value == 1


def test_a_side_that_only_rows_have_is_not_asked_for(catalog: Catalog) -> None:
    whole = catalog_queries(catalog)
    untitled = replace(whole, titles=[None] * len(whole))
    assert Questions(catalog, whole).sides == ("image", "title")
    assert Questions(catalog, untitled).sides == ("image",)
    assert "macro_recall_at_10_title" not in measure(by(1, 1), Questions(catalog, untitled))


@pytest.mark.parametrize("sees", ["both", "title"])
def test_with_words_the_whole_and_the_title_alone_are_measured(catalog: Catalog, sees: Any) -> None:
    queries, ties, titles = catalog_queries(catalog), tie_keys(catalog.ids), Codes(32)
    poor = Fake(32, lambda _, title: titles(title))  # no title is like another
    found = measure_hybrid(poor, Questions(catalog, queries), sees=sees)
    assert list(found) == ["hit_at_1", "macro_recall_at_10", "map_at_10", "macro_recall_at_10_title"]
    plain = measure(poor, Questions(catalog, queries), sees=sees)
    with TitleWords(catalog.ids, catalog.titles) as words:
        for seen, names in {sees: ("hit_at_1", "map_at_10"), "title": ("macro_recall_at_10_title",)}.items():
            finder = vector_finder(poor, catalog, seen)
            vectors = finder.embed(queries)
            assert finder.judge(vectors, queries, words).method == "model + BM25"
            figures = evaluate_hybrid(finder.index, vectors, queries, ties, words).figures()
            for name in names:
                assert found[name].figure() == figures[name.removesuffix("_title")]
    assert found["map_at_10"].value > plain["map_at_10"].value


def test_no_words_to_join_is_one_sentence(tmp_path: Path) -> None:
    catalog = shop(tmp_path / "photos", titles=False)
    with pytest.raises(CatalogError, match="has a title, whose words could be joined"):
        measure_hybrid(by(1, 1), Questions(catalog, catalog_queries(catalog)))


@pytest.mark.parametrize(("sees", "name"), [("image", "photo"), ("title", "title")])
def test_a_method_of_a_side_that_is_not_there_is_refused_in_a_sentence(tmp_path: Path, sees: Any, name: str) -> None:
    catalog = shop(tmp_path / "half", photos=sees == "title", titles=sees == "image")
    with pytest.raises(CatalogError, match=f"has a {name}, and the method sees nothing else"):
        measure(by(1, 1), Questions(catalog, catalog_queries(catalog)), sees=sees)


def test_the_catalogue_is_embedded_once_for_each_modality_and_kept_for_one_at_a_time(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref[Any]] = []

    def watched(*arguments: Any, **options: Any) -> Any:
        assert [one() for one in made] == [None] * len(made)
        finder = vector_finder(*arguments, **options)
        made.append(weakref.ref(finder.index))
        return finder

    monkeypatch.setattr(measuring, "vector_finder", watched)
    model = by(1, 1)
    measure(model, Questions(catalog, catalog_queries(catalog)))
    assert len(made) == 3
    assert model.embedded == 3 * (24 + 24) + 3 * 24  # rows and queries, and then queries as they are and exchanged


def test_leaf_category_is_a_linear_probe_on_all_training_rows(tmp_path: Path) -> None:
    rows = [
        Row(
            f"{leaf} {number}",
            f"{'red' if leaf else 'blue'} thing {number}",
            jpeg(thing(COLOURS[number % 3 + 3 * leaf])),
            category=f"Things > {leaf}",
            product_id=f"product {leaf} {number // 2}",
            group=100 * leaf + number // 2,
            split=("train", "train", "train", "validation", "test")[number // 2 % 5],
        )
        for leaf in range(2)
        for number in range(20)
    ]
    catalog = write_catalog(tmp_path / "leaves", rows)
    questions = Questions(catalog, catalog_queries(catalog), leaf_task(catalog))
    found = measure(by(1, 0.1), questions)
    finder = vector_finder(by(1, 0.1), catalog)
    [wanted] = evaluate_leaf_category(leaf_task(catalog), {"probe": linear_probe(finder.index)}, per_leaf=())
    assert found["accuracy"].figure() == wanted.figures()["accuracy"]
    assert "accuracy" not in measure(by(1, 0.1), replace(questions, leaves=None))


def test_questions_are_opened_with_what_is_to_be_said_of_them(tmp_path: Path, catalog: Catalog) -> None:
    labelled = write_catalog(
        tmp_path / "labelled",
        [
            Row(f"{leaf} {n}", f"{leaf} {n}", product_id=f"{leaf} {n // 2}", category=leaf, split=split)
            for leaf in ("mug", "cap")
            for n, split in enumerate(["train"] * 8 + ["test"] * 4)
        ],
    )
    asked = Asked(split="test", seed=3)
    whole, without = (open_questions(labelled, asked, leaf_category=yes) for yes in (True, False))
    assert whole.leaves is not None
    assert whole.remarks == (*whole.queries.remarks, *whole.leaves.remarks)
    assert whole.leaves.remarks
    assert whole.queries.remarks == ("Only 8 queries: the figures say little.",)
    assert (without.leaves, without.remarks, without.seed) == (None, without.queries.remarks, 3)
    unlabelled = open_questions(catalog, Asked(split="all"))
    assert unlabelled.leaves is None
    assert unlabelled.remarks[-1].startswith("Leaf category is not measured: ")
