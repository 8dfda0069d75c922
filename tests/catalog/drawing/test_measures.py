from itertools import combinations

import pytest

from item_embed.catalog.drawing.kinds import KINDS
from item_embed.catalog.drawing.measures import models, sizes


@pytest.mark.parametrize("imperial", [False, True])
def test_no_two_sizes_of_a_kind_are_written_alike(imperial: bool) -> None:
    for kind in KINDS:
        for one, two in combinations(kind.sizes, 2):
            assert not set(sizes(one, imperial)) & set(sizes(two, imperial)), (kind.name, one, two)


def test_units_are_converted() -> None:
    assert sizes("300 ml", imperial=False) == ("300 ml", "300ml", "30 cl", "0.3 litre")
    assert sizes("1.5 L", imperial=True)[0] == "51 oz"
    assert sizes("1.2 L", imperial=False)[:2] == ("1.2 L", "1.2L")
    assert sizes("20 L", imperial=True)[0] == "20 L"
    assert sizes("30 cm", imperial=True)[1] == '12"'
    assert "300 mm" in sizes("30 cm", imperial=False)
    assert sizes("45 cm seat", imperial=True)[0] == "18 inch seat"
    assert sizes("EU 42", imperial=True)[0] == "UK 8"
    assert "size 42" in sizes("EU 42", imperial=False)
    assert "two seater" in {form.replace("-", " ") for form in sizes("2-seater", imperial=False)}
    assert sizes("wired", imperial=False) == ("wired",)


def test_every_size_of_every_kind_can_be_written() -> None:
    for kind in KINDS:
        for size in kind.sizes:
            for imperial in (False, True):
                forms = sizes(size, imperial)
                assert all(forms)
                assert len(set(forms)) == len(forms)


def test_a_model_number_is_written_with_another_dash_space_or_case() -> None:
    assert {"BR-1234X", "BR1234X", "BR 1234X", "br-1234x", "br 1234x"} <= set(models("BR-1234X"))
    assert {form.lower().replace("-", "").replace(" ", "") for form in models("BR-1234X")} == {"br1234x"}
