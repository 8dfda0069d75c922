from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from item_embed.catalog.drawing import textures
from item_embed.catalog.drawing.kinds import BRANDS, FINISH, KINDS, Kind
from item_embed.catalog.drawing.painting import Painted, paint
from item_embed.catalog.drawing.pen import Drawing, Paint
from item_embed.catalog.drawing.products import Product, make_product
from item_embed.catalog.drawing.sketches import SKETCHES, sketch
from item_embed.catalog.drawing.sketches.marks import SIGNS

KIND_NAMES = [kind.name for kind in KINDS]


def _product(kind: str) -> Product:
    return make_product(0, KIND_NAMES.index(kind))


def _painted(drawing: Drawing, side: int = 160) -> Painted:
    return paint(drawing, np.diag([float(side), side, 1]), (side, side))


def _pixels(product: Product, side: int = 160) -> NDArray[np.int64]:
    painted = _painted(sketch(product), side)
    return np.dstack([np.asarray(painted.colours), np.asarray(painted.cover)]).astype(np.int64)


def test_there_is_a_sketch_of_every_kind_and_a_sign_of_every_brand() -> None:
    assert set(SKETCHES) == set(KIND_NAMES)
    assert {brand.sign for brand in BRANDS} <= set(SIGNS)
    for department in {brand.departments for brand in BRANDS}:
        for name in department:
            signs = [brand.sign for brand in BRANDS if name in brand.departments]
            assert len(set(signs)) == len(signs)


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_every_sketch_fills_a_good_part_of_its_square(kind: str) -> None:
    for turn in range(6):
        product = make_product(0, KIND_NAMES.index(kind) + turn * len(KINDS))
        cover = _painted(sketch(product), 96).cover
        assert 0.05 < (np.asarray(cover) > 0).mean() < 0.8
        left, top, right, bottom = cover.getbbox() or (0, 0, 0, 0)
        assert max(right - left, bottom - top) > 0.55 * 96


@st.composite
def _any_product(draw: st.DrawFn) -> Product:
    kind: Kind = draw(st.sampled_from(KINDS))
    brands = [brand for brand in BRANDS if kind.department in brand.departments]
    brand = draw(st.sampled_from([*brands, replace(brands[0], name="", sign="")]))
    shade = st.tuples(*[st.integers(0, 255)] * 3)
    pattern = draw(st.sampled_from(("plain", *kind.patterns)))
    return replace(
        _product(kind.name),
        brand=brand,
        shape={name: draw(st.floats(*span)) for name, span in kind.shape.items()},
        paint=Paint(draw(shade), draw(shade), pattern, draw(st.integers(3, 9))),
        trim=draw(shade),
        finish=draw(st.sampled_from(("", *textures.FINISHES))),
    )


@given(_any_product(), st.integers(12, 120))
@settings(max_examples=120, deadline=None)
def test_any_product_within_its_kinds_ranges_can_be_drawn(product: Product, side: int) -> None:
    assert np.isfinite(sketch(product).points).all()
    assert (_pixels(product, side)[..., 3] > 0).mean() > 0.03


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["plain", "patterned"])
@pytest.mark.parametrize("kind", KIND_NAMES)
def test_a_mark_shows_and_an_unmarked_product_has_none(kind: str, pattern: str) -> None:
    product = _product(kind)
    name = "plain" if pattern == "plain" else product.kind.patterns[0]
    product = replace(product, paint=replace(product.paint, pattern=name))
    brands = [brand for brand in BRANDS if product.kind.department in brand.departments][:3]
    marked = [_pixels(replace(product, brand=brand)) for brand in brands]
    bare = [_pixels(replace(product, brand=replace(brand, sign="", name=""))) for brand in brands]
    np.testing.assert_array_equal(bare[0], bare[1])
    assert not np.array_equal(
        sketch(replace(product, brand=replace(brands[0], sign=""))).points, sketch(product).points
    )
    for one, other in ((marked[0], bare[0]), (marked[0], marked[1]), (marked[1], marked[2])):
        assert (np.abs(one - other).max(2) > 50).sum() > 20


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_the_finishes_of_a_kind_show(kind: str) -> None:
    product = _product(kind)
    finishes = {"", *(FINISH[material] for material in product.kind.materials)}
    seen = {finish: _pixels(replace(product, finish=finish)) for finish in finishes}
    area = (seen[""][..., 3] > 0).sum()
    for one, other in combinations(finishes, 2):
        assert (np.abs(seen[one] - seen[other]).max(2) > 12).sum() > 0.04 * area, (one, other)


def test_a_drawing_is_kept_for_the_products_other_listings() -> None:
    assert sketch(_product("mug")) is sketch(_product("mug"))
    assert sketch(_product("mug")) is not sketch(replace(_product("mug"), trim=(1, 2, 3)))
