import pytest

from item_embed.spreadsheet import cell


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_text_is_a_formula(formula: str) -> None:
    assert cell(formula) == f"'{formula}"


def test_other_values_are_shown_as_they_are() -> None:
    shown = [cell(value) for value in (0.98765, True, False, 3, "mug", None)]
    assert shown == ["0.9877", "yes", "no", 3, "mug", None]
