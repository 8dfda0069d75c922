from dataclasses import replace

import numpy as np
import pytest

from item_embed.catalog.drawing.facts import FACTS, bits
from item_embed.catalog.drawing.kinds import KINDS
from item_embed.catalog.drawing.measures import models, sizes
from item_embed.catalog.drawing.products import Product, make_product, rng
from item_embed.catalog.drawing.sellers import SELLERS, make_seller
from item_embed.catalog.drawing.showing import ATTRIBUTES, PRESETS, Showing
from item_embed.catalog.drawing.titles import (
    ORDERS,
    Title,
    TitleManner,
    colour_words,
    make_title_manner,
    write_title,
)
from item_embed.catalog.drawing.words import COLOUR_WORDS, KIND_WORDS, PATTERN_WORDS
from tests.catalog.drawing.pairs import NOTHING, OPEN, changed, pairs

TELLS_ALL = TitleManner(
    order="brand line kind | colour pattern | material | size | model",
    keeps=dict.fromkeys((*ATTRIBUTES, "extra"), 1.0),
    joiner=", ",
    case="as is",
    habit=0.0,
    imperial=False,
    shortens=0,
    misspells=0,
    shouts=0,
)
MUG = make_product(0, 0)


def _title(manner: TitleManner, key: int = 0, product: Product = MUG) -> str:
    return write_title(product, manner, rng(0, 9, key)).text


def test_a_title_tells_what_the_seller_keeps() -> None:
    title = _title(TELLS_ALL)
    for words in ((MUG.brand.name,), (MUG.line,), (MUG.material,), models(MUG.model), COLOUR_WORDS[MUG.colour]):
        assert any(word.lower() in title.lower() for word in words)
    assert any(word in title for word in KIND_WORDS["mug"])
    bare = _title(replace(TELLS_ALL, keeps=dict.fromkeys((*ATTRIBUTES, "extra"), 0.0)))
    assert bare.lower() in KIND_WORDS["mug"]


@pytest.mark.parametrize("order", ORDERS)
def test_orders_name_known_attributes_and_the_kind(order: str) -> None:
    names = order.replace("|", " ").split()
    assert names.count("kind") == 1
    assert set(names) <= {"kind", "extra", *ATTRIBUTES}
    assert _title(replace(TELLS_ALL, order=order))


@pytest.mark.slow
@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_titles_of_products_that_differ_only_in_what_titles_hide_are_equal(attribute: str) -> None:
    for channel in ("photo", "neither") if attribute not in {"line", "style"} else ("neither",):
        for mention in (None, 1.0):
            for showing in (changed(OPEN, **{attribute: channel}), *PRESETS.values()):
                hidden = changed(showing, **{attribute: channel, "mention": mention})
                for product, other in pairs(attribute):
                    for seller in range(0, SELLERS, 5):
                        manner = make_seller(0, seller).title
                        one, two = (write_title(p, manner, rng(0, 9, seller), hidden) for p in (product, other))
                        assert one == two
                        assert attribute not in one.mentioned
                        colours = (colour_words(p, manner, rng(0, 9, seller), hidden) for p in (product, other))
                        assert len(set(colours)) == 1


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_titles_of_products_that_differ_in_what_titles_tell_are_different(attribute: str) -> None:
    only = changed(NOTHING, **{attribute: "title", "mention": 1.0})
    for product, other in pairs(attribute):
        titles = [{write_title(p, TELLS_ALL, rng(0, 9, key), only).text for key in range(25)} for p in (product, other)]
        assert titles[0] != titles[1]


@pytest.mark.parametrize("showing", [*PRESETS.values(), OPEN, changed(OPEN, mention=1.0), NOTHING])
def test_a_title_reports_what_it_names_and_more_it_does_not_tell(showing: Showing) -> None:
    for number in range(4 * len(KINDS)):
        product = make_product(0, number, showing)
        title = write_title(product, make_seller(0, number % SELLERS).title, rng(0, 9, number), showing)
        assert set(title.mentioned) <= showing.title
        told = {name for place, name in enumerate(FACTS) if title.facts >> place & 1}
        assert told >= {"kind", *title.mentioned}
        assert told <= {"kind", "patterned", "second colour", *showing.title}
        assert "finish" not in told
        if showing.mention == 1:
            assert told >= showing.title
        if showing is NOTHING:
            assert title.mentioned == ()
            assert told == {"kind"}


@pytest.mark.parametrize("name", ["brand", "line", "style", "material"])
def test_a_title_that_does_not_name_an_attribute_does_not_hold_its_word(name: str) -> None:
    product = replace(MUG, line="Xaroth", material="vellumite", style="quaint", brand=replace(MUG.brand, name="Zwick"))
    word = {"brand": "zwick", "line": "xaroth", "style": "quaint", "material": "vellumite"}[name]
    for key in range(60):
        manner = replace(make_seller(0, key % SELLERS).title, misspells=0)
        title = write_title(product, manner, rng(0, 9, key), OPEN)
        assert (word in title.text.lower()) == (name in title.mentioned)


def test_silence_about_a_plain_product_tells_a_reader_that_it_is_plain() -> None:
    plain = replace(MUG, pattern="plain", scale=0)
    titles = [write_title(plain, TELLS_ALL, rng(0, 9, key)) for key in range(40)]
    silent = [title for title in titles if "pattern" not in title.mentioned]
    assert len(silent) > 20
    assert all(title.facts & bits(["pattern"]) for title in titles)
    assert not any(word in title.text for title in silent for word in PATTERN_WORDS["plain"])


def test_mention_overrides_the_habits_of_sellers() -> None:
    def named(mention: float | None) -> float:
        showing = changed(OPEN, mention=mention)
        titles = [write_title(MUG, make_seller(0, k).title, rng(0, 9, k), showing) for k in range(SELLERS)]
        return float(np.mean([len(title.mentioned) for title in titles]))

    assert named(0) == 0
    assert 0 < named(0.3) < named(0.7) < named(1) <= len(ATTRIBUTES)
    assert 2 < named(None) < 6
    assert named(1) >= len(ATTRIBUTES) - 1  # a plain pattern goes without saying


def test_habits_change_the_words() -> None:
    plain = _title(TELLS_ALL)
    assert _title(replace(TELLS_ALL, case="upper")) == plain.upper()
    assert _title(replace(TELLS_ALL, case="lower")) == plain.lower()
    assert _title(replace(TELLS_ALL, joiner=" | ")).count("|") == plain.count(", ")
    longer = _title(replace(TELLS_ALL, shouts=1))
    assert plain in longer
    assert len(longer) > len(plain)


def test_a_model_number_and_a_size_are_written_in_several_ways() -> None:
    only = changed(NOTHING, model="title", size="title", mention=1.0)
    texts = {write_title(MUG, make_seller(0, k).title, rng(0, 9, k), only).text.lower() for k in range(SELLERS)}
    for way in {form.lower() for form in models(MUG.model)}:
        assert any(way in text for text in texts)
    ways = {form.lower() for imperial in (False, True) for form in sizes(MUG.size, imperial)}
    assert sum(any(way in text for text in texts) for way in ways) >= 4


def test_a_slip_changes_one_word_by_one_letter_or_a_swap() -> None:
    slips = 0
    for key in range(20):
        before = _title(TELLS_ALL, key).split(" ")
        after = _title(replace(TELLS_ALL, misspells=1), key).split(" ")
        changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
        assert len(changed) <= 1
        for a, b in changed:
            assert abs(len(a) - len(b)) <= 1
            assert a[0] == b[0]
            slips += 1
    assert slips >= 10


def test_sellers_have_different_manners() -> None:
    titles = {_title(make_title_manner(rng(0, 8, seller)), 1) for seller in range(40)}
    assert len(titles) >= 36
    assert np.mean([len(title.split()) for title in titles]) > 4


def test_a_title_is_a_function_of_its_generator() -> None:
    titles: list[Title] = [write_title(MUG, make_seller(0, 1).title, rng(0, 9, key)) for key in (1, 1, 2)]
    assert titles[0] == titles[1] != titles[2]
