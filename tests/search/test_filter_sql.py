import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.errors import FilterError
from item_embed.search import database
from item_embed.search.address import read_address
from item_embed.search.backend import Truth
from item_embed.search.filter_sql import condition
from item_embed.search.filters import parse_filter
from item_embed.search.items import Item
from item_embed.search.manifest import IndexManifest
from item_embed.search.postgres.conditions import condition as postgres_condition
from item_embed.search.postgres.database import Database
from item_embed.search.postgres.store import PostgresStore
from item_embed.search.records import Record
from item_embed.search.store import Store
from tests.search.filtering import holds
from tests.servers import Server

VALUES: list[Any] = [
    "5",
    "50",
    "5x",
    "",
    "red",
    "Red",
    "räd",
    5,
    50.0,
    -1,
    True,
    None,
    ["red"],
    " 50",
    "5e1",
    "\U0001f600",
]
TEXTS = [None, "", "Shoes", "shoes", "Schuhe ß", "Shoes > Boots", "5", "'; DROP TABLE items --"]


def items() -> list[Item]:
    rng = np.random.default_rng(0)
    found = []
    for number in range(200):
        keys = [key for key in ("price", "size", "Main colour", "title") if rng.random() < 0.7]
        metadata = {key: VALUES[rng.integers(len(VALUES))] for key in keys}
        title, category, product = (TEXTS[rng.integers(len(TEXTS))] for _ in range(3))
        found.append(Item(f"id {number}", title, category, product, metadata))
    return found


ITEMS = items()


def filled(store: Truth) -> None:
    vector = np.ones(1, np.float32)
    records = [Record(i.id, i.title, i.category, i.product_id, i.metadata, None, vector) for i in ITEMS]
    with store.writing():
        store.put(records, lambda places: [])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("filtered")
    with closing(Store(folder, database.create(folder, folder), folder)) as store:
        filled(store)
        yield store


@pytest.fixture(scope="module")
def postgres(server: Server) -> Iterator[PostgresStore]:
    manifest = IndexManifest(
        dimension=1, fingerprint="", model="", modalities="both", catalog="", catalog_fingerprint=""
    )
    with closing(PostgresStore(Database(read_address(server.schema()), 30))) as store:
        store.begin(manifest)
        filled(store)
        yield store


def found(store: Store, text: str) -> list[str]:
    return [ITEMS[row - 1].id for row in store.rows_where(store.condition(text))]


def found_by_postgres(store: PostgresStore, text: str) -> list[str]:
    with store.reading():
        where = store.condition(text)
        query = f"SELECT id FROM items WHERE {where.sql} ORDER BY number"
        return [key for (key,) in store.database.execute(query.encode(), where.bound)]


def values() -> st.SearchStrategy[str]:
    texts = [value for value in [*VALUES, *TEXTS] if isinstance(value, str)]
    quoted = st.sampled_from(texts).map(lambda text: '"' + text.replace('"', '""') + '"')
    return quoted | st.sampled_from(["5", "50", "5.0", "-1", "49.9"])


def conditions() -> st.SearchStrategy[str]:
    column = st.sampled_from(["id", "title", "category", "product_id"])
    text = values().filter(lambda value: value.startswith('"'))
    key = st.sampled_from(["price", "size", "`Main colour`"])
    sign = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
    return st.one_of(
        st.builds("{} {} {}".format, key, sign, values()),
        st.builds("{} {} {}".format, column, sign, text),
        st.builds("{} in ({})".format, key, st.lists(values(), min_size=1, max_size=4).map(", ".join)),
        st.builds("{} not in ({})".format, column, st.lists(text, min_size=1, max_size=4).map(", ".join)),
        st.builds("{} is {}null".format, key | column, st.sampled_from(["", "not "])),
    )


def filters() -> st.SearchStrategy[str]:
    return st.recursive(
        conditions(),
        lambda part: st.one_of(
            st.builds("({} and {})".format, part, part),
            st.builds("({} or {})".format, part, part),
            st.builds("not {}".format, part),
        ),
        max_leaves=6,
    )


@settings(max_examples=300)
@given(text=filters())
def test_either_sql_finds_what_the_filter_means(store: Store, postgres: PostgresStore, text: str) -> None:
    meant = parse_filter(text)
    wanted = [item.id for item in ITEMS if holds(meant, item)]
    assert found(store, text) == wanted
    assert found_by_postgres(postgres, text) == wanted


def test_a_filter_of_many_conditions(store: Store, postgres: PostgresStore) -> None:
    text = " or ".join(f'id = "id {number}"' for number in range(400))
    assert len(found(store, text)) == len(found_by_postgres(postgres, text)) == len(ITEMS)


def test_a_zero_byte_is_named(postgres: PostgresStore) -> None:
    with pytest.raises(FilterError, match=r"at letter 10 .*zero byte"), postgres.reading():
        postgres.condition('title = "\0"')


def test_an_unknown_field_is_told_with_those_that_there_are(store: Store) -> None:
    with pytest.raises(FilterError, match=r"at letter 18 .*no product has prise; there are id, .*Main colour, price"):
        store.condition("price < 50 and ( prise > 3)")


def test_a_column_that_is_empty_in_all_products_is_told_as_that() -> None:
    said = r"at letter 1 .*the column brand is empty in every product; there are id, .*price\.$"
    with pytest.raises(FilterError, match=said):
        condition('brand = "Acme"', {"price": 1}, ["brand", "price"])
    with pytest.raises(FilterError, match=said):
        postgres_condition('brand = "Acme"', {"price"}, ["brand", "price"])


def test_of_many_fields_some_are_named() -> None:
    with pytest.raises(FilterError, match=r"key 15 and 84 more\.$"):
        condition("nothing = 1", {f"key {number:02}": number for number in range(100)})


def test_columns_are_texts(store: Store) -> None:
    with pytest.raises(FilterError, match=r'product_id is a text; compare it with one, as product_id = "123"'):
        store.condition("product_id = 123")


def test_nothing_of_the_filter_becomes_sql(store: Store) -> None:
    made = condition('`a") or 1=1 --` = "x\'; drop table items"', {'a") or 1=1 --': 7})
    assert made.sql == "row IN (SELECT row FROM facts WHERE key = ? AND text = ?)"
    assert made.bound == (7, "x'; drop table items")
    made = postgres_condition('`a") or 1=1 --` < "x\'; drop table items"', {'a") or 1=1 --'})
    assert made.sql == '(jsonb_exists(texts, %s) AND (texts ->> %s)::text COLLATE "C" < %s)'
    assert made.bound == ('a") or 1=1 --', 'a") or 1=1 --', "x'; drop table items")


def test_a_narrow_filter_reads_an_index_not_the_table(store: Store, tmp_path: Path) -> None:
    made = store.condition('category = "Shoes"')
    with sqlite3.connect(store.folder / database.FILE) as connection:
        (plan,) = connection.execute(f"EXPLAIN QUERY PLAN SELECT row FROM items WHERE {made.sql}", made.bound)
    assert "items_by_category" in plan[3]


def test_what_is_negated_twice_is_not_negated() -> None:
    keys = {"price": 3}
    assert condition("not not not not price < 5", keys) == condition("price < 5", keys)
    assert condition("not (price < 5 or not price is null)", keys) == condition("not price < 5 and price is null", keys)
