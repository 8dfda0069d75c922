from pathlib import Path

import pytest

from item_embed.serving import fields
from item_embed.serving.fields import Filter, filters_of
from tests.catalogs import Row
from tests.serving.made import make_index


def test_what_values_are_and_which_are_frequent(tmp_path: Path) -> None:
    brands = ["Acme"] * 3 + ["Best"] * 2 + ["42"]
    rows = [
        Row(
            str(number),
            f"mug {number}",
            category="Mugs" if number else None,
            metadata={"brand": brand, "price": "4.90", "new": number == 1, "size": None if number else 7},
        )
        for number, brand in enumerate(brands)
    ]
    assert filters_of(make_index(tmp_path, rows)) == {
        "category": Filter("text", ("Mugs",)),
        "brand": Filter("text", ("Acme", "Best", "42")),
        "new": Filter("truth", (False, True)),
        "price": Filter("number", (4.9,)),
        "size": Filter("number", (7.0,)),
    }


def test_not_more_is_told_than_can_be_chosen_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields, "_LOOKED_AT", 2)
    monkeypatch.setattr(fields, "_BLOCK", 1)
    monkeypatch.setattr(fields, "_MOST_FIELDS", 1)
    monkeypatch.setattr(fields, "_MOST_VALUES", 1)
    texts = ["x" * 300, "a", "a", "a"]
    rows = [Row(str(n), f"mug {n}", metadata={"text": text, "other": 1}) for n, text in enumerate(texts)]
    rows[1] = Row("1", "mug", metadata={"text": "b"})
    assert filters_of(make_index(tmp_path, rows)) == {"text": Filter("text", ("b",))}
