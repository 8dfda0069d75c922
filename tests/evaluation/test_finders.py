from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from item_embed.catalog.store import Catalog
from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.seen import Modalities
from item_embed.errors import VectorError
from item_embed.evaluation import embedded
from item_embed.evaluation.drawn import drawn, query_keys
from item_embed.evaluation.finders import vector_finder
from item_embed.evaluation.queries import QuerySet, catalog_queries, codes, given_queries, rows_as_queries, subset
from item_embed.evaluation.run import evaluate_model
from item_embed.evaluation.same_product import SameProductResult
from tests.embedders import dummy
from tests.evaluation.fakes import COLOURS, jpeg, shop, thing
from tests.evaluation.relistings import query, write_queries


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return shop(tmp_path / "catalog")


@pytest.fixture
def given(tmp_path: Path, catalog: Catalog) -> QuerySet:
    asked = [query("mug 0", title="a mug", image=jpeg(thing(COLOURS[5])), kind="near"), query("bag 1", kind="far")]
    return given_queries(write_queries(tmp_path / "queries.parquet", asked), catalog)


def same(one: SameProductResult, other: SameProductResult) -> bool:
    rankings = (one.ranking.rows == other.ranking.rows).all() and (one.ranking.scores == other.ranking.scores).all()
    return bool(rankings) and (one.method, one.modalities) == (other.method, other.modalities)


@pytest.mark.parametrize("modalities", ["both", "image", "title"])
def test_a_model_finds_what_an_evaluation_finds(
    catalog: Catalog, given: QuerySet, modalities: Modalities, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_PART", 5)
    finder = vector_finder(dummy(), catalog, modalities)
    assert (finder.index == embed_catalog(dummy(), catalog, modalities).vectors).all()
    for queries in (given, catalog_queries(catalog)):
        [expected] = evaluate_model(dummy(), catalog, queries, modalities)
        assert same(finder.find(queries), expected)


def test_vectors_save_their_making_if_they_are_one_of_each_row(catalog: Catalog) -> None:
    made = np.ones((len(catalog), 16), np.float32)
    assert vector_finder(dummy(), catalog, vectors=made).index is made
    with pytest.raises(VectorError, match="3 vectors are not those of the 24 rows"):
        vector_finder(dummy(), catalog, vectors=made[:3])


def test_queries_are_drawn_by_seed_and_id(catalog: Catalog) -> None:
    queries = catalog_queries(catalog)
    few, more = drawn(queries, 5), drawn(queries, 11)
    assert len(few) == 5
    assert set(few.ids) < set(more.ids)
    assert few.ids == [key for key in queries.ids if key in few.ids]  # in their order
    assert drawn(queries, 5).ids == few.ids != drawn(queries, 5, seed=1).ids
    turned = subset(queries, np.arange(len(queries))[::-1])
    assert set(drawn(turned, 5).ids) == set(few.ids)
    assert drawn(queries, 24) is queries


def test_a_subset_asks_the_same(catalog: Catalog, given: QuerySet) -> None:
    one = subset(given, np.array([1, 0]))
    assert (one.ids, one.titles) == (given.ids[::-1], given.titles[::-1])
    assert (one.rows[::-1] == given.rows).all()
    assert (one.products[::-1] == given.products).all()
    assert one.columns == {"kind": ["far", "near"]}
    assert [one.photo(0), one.photo(1)] == [given.photo(1), given.photo(0)]
    assert subset(one, np.array([1])).photo(0) == given.photo(0)


def test_keys_are_those_of_the_id_and_the_seed(catalog: Catalog) -> None:
    queries = catalog_queries(catalog)
    keys = query_keys(queries)
    assert len(set(keys)) == len(queries)
    assert query_keys(subset(queries, np.array([3, 1]))) == [keys[3], keys[1]]
    assert query_keys(queries, seed=1)[0] != keys[0]


def test_rows_are_queries_with_the_catalogue_s_products(catalog: Catalog) -> None:
    rows, queries = rows_as_queries(catalog), catalog_queries(catalog)
    assert rows.ids == catalog.ids
    assert (rows.listings == queries.listings).all()
    assert rows.photo(3) == catalog.photo(3)
    assert rows_as_queries(catalog, "test").ids == [catalog.ids[row] for row in catalog.rows("test")]


def test_codes_are_equal_for_equal_values_only() -> None:
    assert codes(["a", None, "b", "a", None, 1]).tolist() == [0, 1, 2, 0, 3, 4]
    assert codes([None, 0, 1]).tolist() == [0, 1, 2]  # a row's number is no value


def test_a_query_of_which_nothing_is_left_finds_by_ties_alone(catalog: Catalog) -> None:
    finder = vector_finder(dummy(), catalog)
    queries = subset(catalog_queries(catalog), np.array([0]))
    empty = replace(queries, titles=[None], photo=lambda number: None)
    assert not finder.embed(empty).any()
    assert (finder.find(empty).ranking.scores == 0).all()
