from dataclasses import replace

import pytest

from item_embed.catalog.drawing.kinds import BRANDS, COLOURS, KINDS
from item_embed.catalog.drawing.products import FAMILY, make_product
from item_embed.catalog.drawing.sketches import SKETCHES
from item_embed.catalog.drawing.sketches.marks import SIGNS
from item_embed.catalog.drawing.textures import PATTERNS
from item_embed.catalog.drawing.words import COLOUR_WORDS, EXTRAS, KIND_WORDS, PATTERN_WORDS


def test_the_data_of_kinds_is_complete() -> None:
    names = {kind.name for kind in KINDS}
    assert len(names) == len(KINDS) >= 12
    assert names == set(SKETCHES) == set(KIND_WORDS)
    assert set(COLOURS) == set(COLOUR_WORDS)
    assert set(PATTERNS) == set(PATTERN_WORDS)
    assert {brand.sign for brand in BRANDS} == set(SIGNS)
    for kind in KINDS:
        assert len(kind.category.split(" > ")) == 3
        assert kind.department in EXTRAS
        assert sum(kind.department in brand.departments for brand in BRANDS) >= 4
        assert set(kind.colours) | set(kind.trims) <= set(COLOURS)
        assert set(kind.patterns) <= set(PATTERNS)
        assert all(low < high for low, high in kind.shape.values())


def test_a_product_is_a_function_of_seed_and_number() -> None:
    assert make_product(3, 41) == make_product(3, 41)
    assert make_product(3, 41) != make_product(4, 41)
    assert len({make_product(0, number).product_id for number in range(100)}) == 100


@pytest.mark.parametrize("start", [0, 7, 200])
def test_every_kind_occurs_in_any_run_of_products(start: int) -> None:
    assert {make_product(0, start + i).kind.name for i in range(len(KINDS))} == {kind.name for kind in KINDS}


def test_families_hold_products_that_only_the_photo_or_only_the_title_tells_apart() -> None:
    looks_alike = reads_alike = 0
    for number in range(len(KINDS)):
        eldest, *others = (make_product(0, number + i * len(KINDS)) for i in range(FAMILY))
        for other in others:
            assert other.kind == eldest.kind
            if (other.paint, other.trim, other.shape) == (eldest.paint, eldest.trim, eldest.shape):
                assert other.size != eldest.size
                looks_alike += 1
            unseen = replace(other, number=eldest.number, model=eldest.model, paint=eldest.paint)
            if other.shape != eldest.shape and replace(unseen, trim=eldest.trim, shape=eldest.shape) == eldest:
                reads_alike += 1
    assert looks_alike >= 3
    assert reads_alike >= 3
