from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from item_embed.catalog.store import Catalog
from item_embed.errors import CatalogError, ConfigError
from item_embed.evaluation.queries import QUERY_COLUMNS, catalog_queries, given_queries
from tests.catalogs import Row, photo, write_catalog
from tests.evaluation.relistings import query, write_queries

RED = photo((200, 20, 20))


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    rows = [
        Row("a1", "mug", RED, product_id="mug", split="train"),
        Row("b", "plate", product_id="plate", split="test"),
        Row("a2", "a mug", product_id="mug", split="test"),
        Row("c", "spoon"),
        Row("d", "fork"),
        Row("a3", "red mug", product_id="mug", split="test"),
    ]
    return write_catalog(tmp_path / "catalog", rows)


def test_queries_of_a_catalogue_have_another_listing(catalog: Catalog) -> None:
    queries = catalog_queries(catalog)
    assert queries.ids == ["a1", "a2", "a3"]
    assert queries.titles == ["mug", "a mug", "red mug"]
    assert queries.relevant.tolist() == [2, 2, 2]
    assert [queries.photo(number) for number in range(3)] == [RED, None, None]
    assert queries.excluded is not None
    assert queries.excluded.tolist() == [0, 2, 5]
    assert len(set(queries.products.tolist())) == 1
    assert queries.remarks == ("Only 3 queries: the figures say little.",)


def test_other_listings_may_be_of_another_split(catalog: Catalog) -> None:
    queries = catalog_queries(catalog, "test")
    assert queries.ids == ["a2", "a3"]
    assert queries.relevant.tolist() == [2, 2]
    assert queries.split == "test"


def test_right_answers_are_the_other_listings(catalog: Catalog) -> None:
    queries = catalog_queries(catalog, "test")
    ranked = np.array([[0, 2, 5, 3, -1], [-1, 1, 2, 5, 0]])
    assert queries.is_right(ranked).tolist() == [
        [True, False, True, False, False],
        [False, False, True, False, True],
    ]


def test_rows_without_a_product_match_nothing(catalog: Catalog) -> None:
    listings = catalog_queries(catalog).listings
    assert len(set(listings.tolist())) == 4  # three mugs are one product


def test_a_catalogue_without_labels_is_refused(tmp_path: Path) -> None:
    unlabelled = write_catalog(tmp_path / "plain", [Row("a", "mug"), Row("b", "mug", product_id="x")])
    with pytest.raises(CatalogError, match=r"no same-product labels.*--queries FILE\.parquet"):
        catalog_queries(unlabelled)


def test_a_split_without_queries_is_refused(catalog: Catalog) -> None:
    with pytest.raises(CatalogError, match=r"validation split.*--split all"):
        catalog_queries(catalog, "validation")


def test_given_queries_leave_nothing_out(tmp_path: Path, catalog: Catalog) -> None:
    given = [
        query("a2", title="MUG &amp; more", image=RED, product_id="mug", kind="reshot"),
        query("d", product_id="fork", kind="restaged"),
        query("c", title="spoon", kind="reshot"),
    ]
    queries = given_queries(write_queries(tmp_path / "q.parquet", given), catalog)
    assert (queries.protocol, queries.split, queries.excluded) == ("given", "all", None)
    assert queries.titles == ["MUG & more", None, "spoon"]
    assert [queries.photo(number) for number in range(3)] == [RED, None, None]
    assert queries.relevant.tolist() == [3, 1, 1]
    assert queries.is_right(np.array([[0, 2, 5, 1], [4, 3, -1, 0], [4, 3, -1, 0]])).tolist() == [
        [True, True, True, False],
        [True, False, False, False],
        [False, True, False, False],
    ]
    assert len(set(queries.products.tolist())) == 3
    assert queries.columns == {"kind": ["reshot", "restaged", "reshot"]}


def test_given_queries_are_averaged_over_their_products(tmp_path: Path, catalog: Catalog) -> None:
    given = [query("a1", product_id="mug"), query("b", product_id="plate"), query("a3", product_id="mug")]
    queries = given_queries(write_queries(tmp_path / "q.parquet", given), catalog)
    assert queries.products[0] == queries.products[2] != queries.products[1]


def test_unusable_photos_cost_one_photo(tmp_path: Path, catalog: Catalog) -> None:
    given = [query("a1", title="mug", image=b"no image"), query("b", title="plate", image=RED)]
    queries = given_queries(write_queries(tmp_path / "q.parquet", given), catalog)
    assert [queries.photo(0), queries.photo(1)] == [None, RED]
    assert queries.remarks[0] == "1 of the queries' photos cannot be used; those queries are asked by title."


def test_ten_queries_need_no_remark(tmp_path: Path, catalog: Catalog) -> None:
    for count, remarks in ((10, 0), (9, 1), (1, 1)):
        file = write_queries(tmp_path / "q.parquet", [query("a1")] * count)
        assert len(given_queries(file, catalog).remarks) == remarks


@pytest.mark.parametrize("column", QUERY_COLUMNS)
def test_a_missing_column_is_named(tmp_path: Path, catalog: Catalog, column: str) -> None:
    file = write_queries(tmp_path / "q.parquet", [query("a1")], without=column)
    with pytest.raises(ConfigError, match=rf"--queries .* column {column};"):
        given_queries(file, catalog)


def test_foreign_items_are_counted_and_the_first_named(tmp_path: Path, catalog: Catalog) -> None:
    file = write_queries(tmp_path / "q.parquet", [query(item) for item in ("a1", "z9", "z8")])
    with pytest.raises(ConfigError, match=r"--queries .* 2 items .*for example 'z8'"):
        given_queries(file, catalog)


def test_files_that_hold_no_queries_are_refused(tmp_path: Path, catalog: Catalog) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        given_queries(tmp_path / "none.parquet", catalog)
    (tmp_path / "text.parquet").write_text("query_id,title")
    with pytest.raises(ConfigError, match="no Parquet file"):
        given_queries(tmp_path / "text.parquet", catalog)
    empty = pa.schema([(name, pa.binary() if name == "image" else pa.string()) for name in QUERY_COLUMNS]).empty_table()
    pq.write_table(empty, tmp_path / "empty.parquet")
    with pytest.raises(ConfigError, match="no queries"):
        given_queries(tmp_path / "empty.parquet", catalog)
    paths = pa.table({name: ["a1"] for name in QUERY_COLUMNS})
    pq.write_table(paths, tmp_path / "paths.parquet")
    with pytest.raises(ConfigError, match=r"image .*holds string"):
        given_queries(tmp_path / "paths.parquet", catalog)


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.string()])
def test_ids_that_pandas_made_numbers_name_the_same_items(tmp_path: Path, kind: pa.DataType) -> None:
    rows = [Row("10", "mug", product_id="3"), Row("9", "a mug", product_id="3"), Row("8", "cup")]
    catalog = write_catalog(tmp_path / "numbers", rows)
    table = pa.table(
        {
            "query_id": ["x", "y"],
            "title": ["mug", "cup"],
            "image": pa.array([None, None], pa.binary()),
            "product_id": pa.array([3, None], pa.int64()).cast(kind),
            "item_id": pa.array([9, 8], pa.int64()).cast(kind),
        }
    )
    pq.write_table(table, tmp_path / "q.parquet")
    queries = given_queries(tmp_path / "q.parquet", catalog)
    assert queries.rows.tolist() == [1, 2]
    assert queries.relevant.tolist() == [2, 1]
    assert queries.products.tolist() == [0, 1]
