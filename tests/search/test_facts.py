from typing import Any

import pytest

from item_embed.search.facts import facts


@pytest.mark.parametrize(
    ("value", "text", "number"),
    [
        ("49.90", "49.90", 49.9),
        (" 5 ", " 5 ", 5.0),
        ("-1e3", "-1e3", -1000.0),
        (".5", ".5", 0.5),
        ("007", "007", 7.0),
        (7, "7", 7.0),
        (2.5, "2.5", 2.5),
        ("49,90", "49,90", None),
        ("1,299.00", "1,299.00", None),
        ("49.90 EUR", "49.90 EUR", None),
        ("٤٢", "٤٢", None),
        ("1_000", "1_000", None),
        ("nan", "nan", None),
        ("inf", "inf", None),
        ("1e999", "1e999", None),
        (10**400, str(10**400), None),
        (float("nan"), "NaN", None),
        ("", "", None),
        (True, "true", None),
        (["rot", "grün"], '["rot", "grün"]', None),
        ({"a": 1}, '{"a": 1}', None),
    ],
)
def test_a_value_as_a_text_and_as_a_number(value: Any, text: str, number: float | None) -> None:
    assert list(facts({"key": value})) == [("key", text, number)]


def test_null_is_no_value() -> None:
    assert list(facts({"a": None, "b": 1})) == [("b", "1", 1.0)]
