from dataclasses import replace

import numpy as np
import pytest

from item_embed.catalog.drawing.kinds import KINDS
from item_embed.catalog.drawing.photographed import as_photographed
from item_embed.catalog.drawing.photos import take_photo
from item_embed.catalog.drawing.products import Product, make_product, rng
from item_embed.catalog.drawing.sellers import make_seller
from item_embed.catalog.drawing.showing import ATTRIBUTES, Showing
from tests.catalog.drawing.pairs import NOTHING, OPEN, allowed, changed, pairs


def _pixels(product: Product, showing: Showing, key: int = 1, side: int = 96) -> bytes:
    manner = replace(make_seller(0, 1).photo, covered=0.0, turned=0.0)
    return take_photo(as_photographed(product, showing), manner, rng(0, 9, key), side).tobytes()


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_products_that_differ_only_in_what_photos_hide_look_the_same_to_the_pixel(attribute: str) -> None:
    for channel in ("title", "neither"):
        for showing in (changed(OPEN, **{attribute: channel}), changed(NOTHING, **{attribute: channel})):
            for product, other in pairs(attribute):
                assert as_photographed(product, showing) == as_photographed(other, showing)
    product, other = pairs(attribute)[0]
    hidden = changed(OPEN, **{attribute: "neither"})
    assert _pixels(product, hidden) == _pixels(other, hidden)


@pytest.mark.slow
@pytest.mark.parametrize("attribute", [name for name in ATTRIBUTES if "photo" in allowed(name)])
def test_products_that_differ_in_what_photos_show_look_different(attribute: str) -> None:
    for showing in (OPEN, changed(NOTHING, **{attribute: "photo"})):
        for product, other in pairs(attribute):
            assert as_photographed(product, showing) != as_photographed(other, showing)
            assert _pixels(product, showing) != _pixels(other, showing)


def test_what_hides_is_neutral() -> None:
    for number in range(2 * len(KINDS)):
        seen = as_photographed(make_product(0, number), NOTHING)
        assert (seen.brand.name, seen.brand.sign, seen.paint.pattern, seen.finish, seen.tag) == (
            "",
            "",
            "plain",
            "",
            (),
        )
        for colour in (seen.paint.colour, seen.paint.second, seen.trim):
            assert np.ptp(colour) <= 8
        for name, (low, high) in seen.kind.shape.items():
            assert seen.shape[name] == pytest.approx((low + high) / 2)


def test_a_size_and_a_model_number_are_on_a_tag() -> None:
    product = make_product(0, 1)
    assert as_photographed(product, changed(NOTHING, size="photo", model="both")).tag == (product.size, product.model)
    assert as_photographed(product, changed(NOTHING, model="photo")).tag == (product.model,)


def test_every_kind_can_be_drawn_with_nothing_shown_and_with_everything() -> None:
    for number in range(len(KINDS)):
        product = make_product(0, number)
        hidden, shown = (_pixels(product, showing, side=48) for showing in (NOTHING, OPEN))
        assert hidden != shown
        assert len(set(hidden)) > 10
