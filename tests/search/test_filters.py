import pytest
from hypothesis import given
from hypothesis import strategies as st

from item_embed.errors import FilterError
from item_embed.search.filters import And, Comparison, Field, Filter, Membership, Missing, Not, Or, parse_filter

A, B, C = (Comparison(Field(name), "=", "x") for name in "abc")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a = "x"', A),
        ("a='x'", A),
        ('a = "x" or b = "x" and c = "x"', Or((A, And((B, C))))),
        ('(a = "x" or b = "x") and c = "x"', And((Or((A, B)), C))),
        ('not a = "x" and b = "x"', And((Not(A), B))),
        ('not (a = "x" and not b = "x")', Not(And((A, Not(B))))),
        ('a = "x" AND b = "x" aNd c = "x"', And((A, B, C))),
        ("price <= -1.5e2", Comparison(Field("price"), "<=", -150.0)),
        ("price!=.5", Comparison(Field("price"), "!=", 0.5)),
        ("price>=50", Comparison(Field("price"), ">=", 50.0)),
        ("a in ('x', 2 ,\"y\")", Membership(Field("a"), ("x", 2.0, "y"))),
        ("a not in (1)", Not(Membership(Field("a"), (1.0,)))),
        ("a is null", Missing(Field("a"))),
        ("a is not null", Not(Missing(Field("a")))),
        ("`Main colour` = 'it''s \"red\"'", Comparison(Field("Main colour"), "=", 'it\'s "red"')),
        ('`and` = "a""b"', Comparison(Field("and"), "=", 'a"b')),
        ("größe.eu-2 < 3", Comparison(Field("größe.eu-2"), "<", 3.0)),
        ("a = ''", Comparison(Field("a"), "=", "")),
        ("\n a\t= 'x'  ", A),
    ],
)
def test_filters_and_what_they_are(text: str, expected: Filter) -> None:
    assert parse_filter(text) == expected


@pytest.mark.parametrize(
    ("text", "letter", "reason"),
    [
        ("price << 50", 8, "a text in quotes or a number"),
        ("price 50", 7, "one of = != "),
        ('price < 50 category = "a"', 12, "`and`, `or` or the end"),
        ("price < 50 and", None, "a field is expected"),
        ("", None, "a field is expected"),
        ("   ", None, "a field is expected"),
        ("(price < 50", None, "`)` is expected"),
        ("price < 50)", 11, "the end is expected"),
        ('category = "Shoes', 12, "a quote that is never closed"),
        ("category = Shoes", 12, "a text in quotes"),
        ("a like 'x'", 3, "one of ="),
        ("a not like 'x'", 7, "`in` is expected"),
        ("a in ()", 7, "a text in quotes"),
        ("a in ('x' 'y')", 11, "`)` is expected"),
        ("a is 5", 6, "`null` is expected"),
        ("a = null", 5, "a text in quotes"),
        ("a = 'x'; drop table items", 8, "no field, text, number or sign"),
        ("a = 5x", 5, "no field, text, number or sign"),
        ("a = 1e999", 5, "too large"),
        ("and = 5", 1, "a field is expected"),
        ("a = 'x\udcff'", 5, "no UTF-8"),
    ],
)
def test_a_wrong_filter_is_told_where(text: str, letter: int | None, reason: str) -> None:
    with pytest.raises(FilterError) as error:
        parse_filter(text)
    assert reason in str(error.value)
    assert ("at its end" if letter is None else f"at letter {letter} (") in str(error.value)


def test_a_filter_that_is_too_deep_or_too_long_is_refused() -> None:
    assert parse_filter("(" * 29 + "a is null" + ")" * 29) == Missing(Field("a"))
    for text in ("(" * 5000 + "a is null" + ")" * 5000, "not " * 5000 + "a is null"):
        with pytest.raises(FilterError, match="deeper than 30"):
            parse_filter(text)
    with pytest.raises(FilterError, match="at most 1000 values"):
        parse_filter(f"a in ({', '.join(map(str, range(1001)))})")


@pytest.mark.parametrize("one", ["a is null", "a is not null", "a = 1", "a in (1, 2)"])
def test_a_filter_of_too_many_conditions_is_refused(one: str) -> None:
    assert parse_filter(" or ".join([one] * 400))
    with pytest.raises(FilterError, match=r"at letter .* at most 400 conditions"):
        parse_filter(" or ".join([one] * 401))


@given(st.text(alphabet="ab`'\"()<>=!, .5e-andornotinisnull\n", max_size=40))
def test_any_text_is_read_or_refused_in_a_sentence(text: str) -> None:
    try:
        parse_filter(text)
    except FilterError as error:
        assert str(error).startswith("the filter ")  # noqa: PT017
