import datetime
import decimal
import json
from typing import Any

import pytest

from item_embed.catalog.feeds.columns import Columns
from item_embed.catalog.feeds.records import Record
from item_embed.catalog.photos.images import Photo
from item_embed.catalog.rows import NO_KEY, Row, as_json, check_row, rejected_content, said

_COLUMNS = Columns("id", "title", "image", "category", "product_id", "family")
_PHOTO = Photo(b"jpeg", (30, 40), 77)


def _check(values: dict[str, Any], photo: Photo | None = _PHOTO, photo_repairs: list[str] | None = None) -> Row:
    row = check_row(3, Record(values), _COLUMNS, photo, photo_repairs or [])
    assert isinstance(row, Row)
    return row


def test_photo_and_title_usable_is_kept() -> None:
    row = _check({"id": "a", "title": "Red shirt", "category": "Men > Shirts", "product_id": "p", "price": 5})
    assert (row.id, row.title, row.photo, row.category, row.product_id) == (
        "a",
        "Red shirt",
        _PHOTO,
        "Men > Shirts",
        "p",
    )
    assert json.loads(row.metadata) == {"price": 5}
    assert row.repairs == ()


def test_photo_absent_is_a_repair() -> None:
    row = _check({"id": "a", "title": "Red shirt"}, None, ["photo: absent"])
    assert row.photo is None
    assert row.repairs == ("photo: absent",)
    assert row.keys.photo == NO_KEY


def test_title_empty_is_kept_without_a_title() -> None:
    row = _check({"id": "a", "title": " "})
    assert row.title is None
    assert row.repairs == ()
    assert row.keys.title == NO_KEY


def test_neither_is_set_aside() -> None:
    reason = check_row(1, Record({"id": "a", "title": ""}), _COLUMNS, None, ["photo: file not found"])
    assert reason == "no title, and no photo (file not found)"


def test_a_record_with_a_problem_is_set_aside() -> None:
    assert check_row(1, Record({"title": "x"}, (), "row: not valid JSON"), _COLUMNS, None, []) == "row: not valid JSON"


@pytest.mark.parametrize("missing", [{}, {"id": ""}, {"id": None}, {"id": float("nan")}, {"id": "None"}])
def test_a_missing_id_is_named_by_the_rows_number(missing: dict[str, Any]) -> None:
    row = _check({"title": "Red shirt", **missing})
    assert row.id == "row-3"
    assert row.repairs == ("id: missing, named by the row's number",)


def test_without_an_id_column_numbers_are_no_repair() -> None:
    row = check_row(3, Record({"title": "Red shirt"}), Columns(title="title"), None, ["photo: absent"])
    assert isinstance(row, Row)
    assert row.id == "row-3"
    assert row.repairs == ("photo: absent",)


@pytest.mark.parametrize(
    ("given", "category"),
    [
        ("Men>Shirts", "Men > Shirts"),
        (" Men  >  > Shirts > ", "Men > Shirts"),
        (["Men", None, "Shirts"], "Men > Shirts"),
        ("Shirts", "Shirts"),
        (12, "12"),
        ("", None),
        (None, None),
        ({"a": 1}, None),
    ],
)
def test_categories(given: Any, category: str | None) -> None:
    assert _check({"id": "a", "category": given}).category == category


def test_all_repairs_of_a_row_are_kept() -> None:
    record = Record({"title": "a&amp;b", "category": "A &gt; B"}, ("encoding: x",))
    row = check_row(1, record, _COLUMNS, None, ["photo: absent"])
    assert isinstance(row, Row)
    assert row.category == "A > B"
    assert row.repairs == (
        "encoding: x",
        "id: missing, named by the row's number",
        "title: HTML entities",
        "photo: absent",
        "category: HTML entities",
    )


def test_keys_are_equal_where_rows_belong_together() -> None:
    one = _check({"id": "a", "title": "Red  SHIRT!", "product_id": 7.0, "family": "f"})
    other = _check({"id": "b", "title": "red shirt", "product_id": "7", "family": "f"})
    third = _check({"id": "c", "title": "blue shirt", "product_id": "", "family": "nan"}, Photo(b"x", (30, 40), 78))
    assert one.keys == other.keys
    assert third.keys.product_id == third.keys.group == NO_KEY
    assert {third.keys.title, third.keys.photo}.isdisjoint({one.keys.title, one.keys.photo})


def _said(values: dict[str, Any], photo: bytes | str = b"photo", repairs: tuple[str, ...] = ()) -> int:
    return said(3, Record(values, repairs), _COLUMNS, photo)


def test_what_the_feed_says_is_all_but_the_id() -> None:
    base = {"id": "a", "title": "Red shirt", "price": 5, "gap": float("nan")}
    assert _said({**base, "id": "b"}) == _said(base)
    others = [
        _said({**base, "price": 6}),
        _said({**base, "title": "red shirt"}),
        _said({**base, "title": b"Red shirt"}),
        _said({**base, "title": b"Bed shirt"}),
        _said({**base, "price": decimal.Decimal("5.0000000000000000001")}),
        _said({**base, "price": decimal.Decimal("5.0000000000000000002")}),
        _said(dict(reversed(base.items()))),  # the metadata keeps the feed's order
        _said({**base, "id": ""}),  # which is a repair
        _said(base, b"other photo"),
        _said(base, "photo"),
        _said(base, repairs=("encoding: x",)),
    ]
    assert len({_said(base), *others}) == 1 + len(others)


def test_metadata_keeps_types() -> None:
    values: dict[str, Any] = {
        "price": 9.5,
        "stock": 3,
        "new": True,
        "size": "007",
        "tags": ["a", {"b": None}],
        "added": datetime.date(2024, 5, 1),
        "at": datetime.datetime(2024, 5, 1, 12, 30),
        "weight": decimal.Decimal("1.25"),
        "thumb": b"12345",
        "gone": None,
        "gap": float("nan"),
        "infinite": float("inf"),
        "empty": "",
        "half": "\ud800",
    }
    assert json.loads(as_json(values)) == {
        "price": 9.5,
        "stock": 3,
        "new": True,
        "size": "007",
        "tags": ["a", {"b": None}],
        "added": "2024-05-01",
        "at": "2024-05-01T12:30:00",
        "weight": 1.25,
        "thumb": "5 bytes",
        "half": "?",
    }


def test_deep_nesting_ends() -> None:
    value: Any = "x"
    for _ in range(5000):
        value = [value]
    assert "nested too deeply" in as_json({"deep": value})


def test_rejected_content_is_short() -> None:
    content = rejected_content(Record({"title": "x" * 100_000, "image": b"12"}))
    assert len(content) < 2500
    assert json.loads(content)["image"] == "2 bytes"
    assert "(100000 characters)" in content
