import pytest

from item_embed.wording import are, number_of


@pytest.mark.parametrize(
    ("count", "one", "several", "wanted"),
    [
        (0, "row", "", "0 rows"),
        (1, "row", "", "1 row"),
        (2, "row", "", "2 rows"),
        (1, "query", "queries", "1 query"),
        (0, "query", "queries", "0 queries"),
        (44_072, "leaf", "leaves", "44,072 leaves"),
    ],
)
def test_one_is_one_and_any_other_number_is_several(count: int, one: str, several: str, wanted: str) -> None:
    assert number_of(count, one, several) == wanted


def test_a_verb_goes_with_its_number() -> None:
    assert [are(count) for count in (0, 1, 2)] == ["are", "is", "are"]
