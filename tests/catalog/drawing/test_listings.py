from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from item_embed.catalog.drawing.kinds import KINDS
from item_embed.catalog.drawing.listings import Listing, make_listings
from item_embed.catalog.drawing.products import make_product
from item_embed.catalog.drawing.showing import ATTRIBUTES, PRESETS, Showing
from tests.catalog.drawing.pairs import OPEN, changed, pairs


@pytest.fixture(scope="module")
def listings() -> list[Listing]:
    return [listing for number in range(120) for listing in make_listings(make_product(0, number), 0, 32)]


def test_a_listing_is_a_function_of_seed_product_and_settings() -> None:
    def made(seed: int, number: int, showing: Showing) -> list[Listing]:
        return list(make_listings(make_product(seed, number, showing), seed, 32, showing))

    usual = made(1, 7, PRESETS["mixed"])
    assert usual == made(1, 7, PRESETS["mixed"])
    assert usual != made(2, 7, PRESETS["mixed"])
    assert [one.row["title"] for one in usual] != [one.row["title"] for one in made(1, 7, PRESETS["image"])]


def test_a_product_has_two_to_four_listings_by_different_sellers_in_different_words(listings: list[Listing]) -> None:
    products = defaultdict(list)
    for listing in listings:
        products[listing.row["product_id"]].append(listing.row)
    assert len(products) == 120
    assert {len(rows) for rows in products.values()} == {2, 3, 4}
    for rows in products.values():
        assert len({row["seller"] for row in rows}) == len(rows)
        assert len({row["category"] for row in rows}) == 1
        assert len(rows[0]["category"].split(" > ")) == 3
    equal = sum(len({row["title"].lower() for row in rows}) < len(rows) for rows in products.values())
    assert equal <= 4
    assert len({listing.row["item_id"] for listing in listings}) == len(listings)


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_what_nothing_shows_leaves_no_trace_in_the_feed(attribute: str) -> None:
    showing = changed(OPEN, **{attribute: "neither"})
    for product, other in pairs(attribute, 3):
        twin = replace(other, number=product.number)  # the same sellers, the same chances
        assert list(make_listings(product, 0, 32, showing)) == list(make_listings(twin, 0, 32, showing))


@pytest.mark.parametrize("attribute", sorted(set(ATTRIBUTES) - {"line", "style"}))
def test_what_only_photos_show_leaves_no_trace_in_the_rows(attribute: str) -> None:
    showing = changed(OPEN, **{attribute: "photo"})
    for product, other in pairs(attribute, 3):
        twin = replace(other, number=product.number)
        one, two = (list(make_listings(p, 0, 96, showing)) for p in (product, twin))
        assert [listing.row for listing in one] == [listing.row for listing in two]
        assert any(a.photo != b.photo for a, b in zip(one, two, strict=True))


def test_the_colour_column_is_empty_where_titles_hide_colour() -> None:
    for number in range(30):
        for showing in (PRESETS["image"], PRESETS["balanced"]):
            assert all(not one.row["colour"] for one in make_listings(make_product(0, number), 0, 32, showing))


def test_prices_lie_in_the_kinds_range_and_say_nothing_of_the_product(listings: list[Listing]) -> None:
    kinds = {kind.category: kind for kind in KINDS}
    spread = defaultdict(list)
    for listing in listings:
        low, high = kinds[listing.row["category"]].price
        price = float(listing.row["price"])
        assert 0.85 * low - 2 < price < 1.2 * high + 2
        spread[listing.row["product_id"]].append(np.log((price - low * 0.8) / (high * 1.2)))
    within = np.mean([np.var(prices) for prices in spread.values()])
    assert within > 0.3 * np.var(np.concatenate(list(spread.values())))


@pytest.mark.slow
def test_a_few_rows_are_dirty() -> None:
    rows = [listing for number in range(200) for listing in make_listings(make_product(7, number), 7, 32)]
    bare = np.mean([listing.photo is None for listing in rows])
    entities = np.mean(["&amp;" in listing.row["title"] or "&nbsp;" in listing.row["title"] for listing in rows])
    assert 0 < bare < 0.03
    assert 0 < entities < 0.03
    assert all((listing.photo is None) == (listing.row["image"] == "") for listing in rows)
    assert all("&nbsp;" not in listing.title.text for listing in rows)
