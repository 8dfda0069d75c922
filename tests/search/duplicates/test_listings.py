import sqlite3
from pathlib import Path

import numpy as np
import pytest

from item_embed.errors import ConfigError
from item_embed.search.duplicates.listings import masters, read_listings, why
from item_embed.search.index import ProductIndex
from tests.catalogs import Row, photo
from tests.search.duplicates.made import groups, make_index
from tests.search.made import embedded

RED = photo((200, 9, 9))
ROWS = [
    Row("a", "red mug mug MUG mug", RED, metadata={"size": 3, "colour": "red"}),
    Row("b", "a large red mug", None, product_id="p", metadata={"colour": "red"}),
    Row("c", "one red mug", RED, metadata={"colour": " ", "size": None}),
    Row("d", "mug red one", RED, category="Mugs", metadata={"colour": "blue"}),
    Row("e", None, RED),
]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ProductIndex:
    return make_index(tmp_path_factory.mktemp("index"), groups(5, 1), ROWS)


def ids() -> list[str]:
    return [row.id for row in ROWS]


def test_what_is_known_of_listings(index: ProductIndex) -> None:
    found = read_listings(index, ids(), ["colour", "product_id", "category"])
    assert found.titles == [row.title for row in ROWS]
    assert found.photo.tolist() == [True, False, True, True, True]
    assert found.words.tolist() == [2, 4, 3, 3, 0]
    assert found.facts.tolist() == [2, 1, 0, 2, 0]
    assert found.columns == {
        "colour": ["red", "red", None, "blue", None],
        "product_id": [None, "p", None, None, None],
        "category": [None, None, None, "Mugs", None],
    }
    assert found.codes("colour").tolist() == [0, 0, -1, 1, -1]


def test_no_photo_is_read_to_learn_whether_there_is_one(index: ProductIndex) -> None:
    asked: list[str] = []
    connection = embedded(index)[0]._connection

    def note(_: int, table: str | None, column: str | None, *__: str | None) -> int:
        asked.append(f"{table}.{column}")
        return sqlite3.SQLITE_OK

    connection.set_authorizer(note)
    try:
        assert read_listings(index, [*ids(), "gone"]).photo.tolist() == [True, False, True, True, True, False]
    finally:
        connection.set_authorizer(None)
    assert "items.title" in asked
    assert "photos.photo" not in asked


def test_a_column_that_no_listing_has_is_refused_with_those_there_are(index: ProductIndex) -> None:
    with pytest.raises(ConfigError, match="has a column 'color'; there is category, colour, product_id, size"):
        read_listings(index, ids(), ["color"])


def test_the_master_has_a_photo_then_words_then_facts_then_comes_first(index: ProductIndex) -> None:
    found = read_listings(index, ids())
    assert masters(np.zeros(5, np.int64), found).tolist() == [3]  # c has as many words, fewer facts
    assert masters(np.array([0, 0, 1, 2, 1]), found).tolist() == [0, 2, 3]  # with a photo before with more words
    assert why(found, 3) == "photo, 3 different words in the title, 2 filled columns"
    assert why(found, 1) == "no photo, 4 different words in the title, 1 filled column"


def test_of_equals_the_first_is_the_master(tmp_path: Path) -> None:
    alike = make_index(tmp_path, groups(3, 1))
    found = read_listings(alike, ["id 0", "id 1", "id 2"])
    assert masters(np.zeros(3, np.int64), found).tolist() == [0]
