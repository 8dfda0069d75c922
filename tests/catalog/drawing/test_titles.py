from dataclasses import replace

import numpy as np
import pytest

from item_embed.catalog.drawing.products import make_product, rng
from item_embed.catalog.drawing.titles import ORDERS, TitleManner, make_title_manner, write_title
from item_embed.catalog.drawing.words import KIND_WORDS

ATTRIBUTES = ("brand", "line", "model", "colour", "pattern", "material", "size", "style", "extra")
TELLS_ALL = TitleManner(
    order="brand line kind | colour pattern | material | size | model",
    keeps=dict.fromkeys(ATTRIBUTES, 1.0),
    joiner=", ",
    case="as is",
    habit=0.0,
    imperial=False,
    shortens=0,
    misspells=0,
    shouts=0,
)
MUG = make_product(0, 0)


def _title(manner: TitleManner, key: int = 0) -> str:
    return write_title(MUG, manner, rng(0, 9, key))


def test_a_title_tells_what_the_seller_keeps() -> None:
    title = _title(TELLS_ALL)
    for attribute in (MUG.brand.name, MUG.line, MUG.material, MUG.model):
        assert attribute in title
    assert any(word in title for word in KIND_WORDS["mug"])
    bare = _title(replace(TELLS_ALL, keeps=dict.fromkeys(ATTRIBUTES, 0.0)))
    assert bare.lower() in KIND_WORDS["mug"]


@pytest.mark.parametrize("order", ORDERS)
def test_orders_name_known_attributes_and_the_kind(order: str) -> None:
    names = order.replace("|", " ").split()
    assert names.count("kind") == 1
    assert set(names) <= {"kind", *ATTRIBUTES}
    assert _title(replace(TELLS_ALL, order=order))


def test_habits_change_the_words() -> None:
    plain = _title(TELLS_ALL)
    assert _title(replace(TELLS_ALL, case="upper")) == plain.upper()
    assert _title(replace(TELLS_ALL, case="lower")) == plain.lower()
    assert _title(replace(TELLS_ALL, joiner=" | ")).count("|") == plain.count(", ")
    millilitres = float(MUG.size.split()[0])
    assert f"{round(millilitres / 29.57)} oz" in _title(replace(TELLS_ALL, imperial=True))
    longer = _title(replace(TELLS_ALL, shouts=1))
    assert plain in longer
    assert len(longer) > len(plain)


def test_a_slip_changes_one_word_by_one_letter_or_a_swap() -> None:
    plain = _title(TELLS_ALL).split()
    slips = 0
    for key in range(20):
        before = write_title(MUG, TELLS_ALL, rng(0, 9, key)).split(" ")
        after = write_title(MUG, replace(TELLS_ALL, misspells=1), rng(0, 9, key)).split(" ")
        changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
        assert len(changed) <= 1
        for a, b in changed:
            assert abs(len(a) - len(b)) <= 1
            assert a[0] == b[0]
            slips += 1
    assert plain
    assert slips >= 10


def test_sellers_have_different_manners() -> None:
    titles = {write_title(MUG, make_title_manner(rng(0, 8, seller)), rng(0, 9, 1)) for seller in range(40)}
    assert len(titles) >= 36
    assert np.mean([len(title.split()) for title in titles]) > 4
