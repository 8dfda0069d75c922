import re
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from item_embed.catalog.drawing.kinds import BRANDS, COLOURS, FINISH, KINDS, LINES, SCALES, STYLES, Kind
from item_embed.catalog.drawing.measures import sizes
from item_embed.catalog.drawing.pen import brightness
from item_embed.catalog.drawing.products import FAMILY, FIELDS, differing, elders, make_product, mixed
from item_embed.catalog.drawing.showing import ATTRIBUTES, PRESETS, Showing
from item_embed.catalog.drawing.sketches import SKETCHES
from item_embed.catalog.drawing.sketches.marks import SIGNS
from item_embed.catalog.drawing.textures import FINISHES, PATTERNS
from item_embed.catalog.drawing.words import CLOSINGS, COLOUR_WORDS, EXTRAS, KIND_WORDS, OPENINGS, PATTERN_WORDS
from item_embed.hashing import hash64
from tests.catalog.drawing.pairs import NOTHING, changed


def test_the_data_of_kinds_is_complete() -> None:
    names = {kind.name for kind in KINDS}
    assert len(names) == len(KINDS) >= 12
    assert names == set(SKETCHES) == set(KIND_WORDS)
    assert set(COLOURS) == set(COLOUR_WORDS)
    assert set(PATTERNS) == set(PATTERN_WORDS)
    assert {brand.sign for brand in BRANDS} == set(SIGNS)
    assert {material for kind in KINDS for material in kind.materials} == set(FINISH)
    assert set(FINISH.values()) == set(FINISHES)
    for kind in KINDS:
        assert len(kind.category.split(" > ")) == 3
        assert kind.department in EXTRAS
        assert set(kind.colours) | set(kind.trims) <= set(COLOURS)
        assert set(kind.patterns) <= set(PATTERNS)
        assert all(low < high for low, high in kind.shape.values())
        assert kind.steps.keys() <= kind.shape.keys()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_word_for_one_attribute_is_a_word_for_another(kind: Kind) -> None:
    """Else a title could seem to tell what titles hide."""
    words = {
        "brand": {brand.name for brand in BRANDS if kind.department in brand.departments},
        "line": set(LINES),
        "colour": {word for words in COLOUR_WORDS.values() for word in words},
        "pattern": {word for words in PATTERN_WORDS.values() for word in words},
        "material": set(kind.materials),
        "style": set(STYLES),
        "size": {form for size in kind.sizes for imperial in (False, True) for form in sizes(size, imperial)},
        "none": {*KIND_WORDS[kind.name], *EXTRAS[kind.department], *OPENINGS, *CLOSINGS},
    }
    for name in words.keys() - {"none"}:
        others = " | ".join(value for other in words if other != name for value in words[other]).lower()
        assert not [value for value in words[name] if f" {value.lower()} " in f" {others} "]
        assert not re.search(r"\b[a-z]{2}[- ]?\d{3}", others)  # as model numbers are


def test_the_brands_of_a_department_have_different_signs() -> None:
    for department in EXTRAS:
        signs = [brand.sign for brand in BRANDS if department in brand.departments]
        assert len(set(signs)) == len(signs) >= 4


@given(st.lists(st.integers(-(2**70), 2**70), min_size=1, max_size=4))
def test_the_fast_hash_is_hash64(keys: list[int]) -> None:
    assert mixed(*keys) == int(hash64(*keys))


def test_a_product_is_a_function_of_seed_and_number() -> None:
    assert make_product(3, 41) == make_product(3, 41)
    assert make_product(3, 41) != make_product(4, 41)
    assert len({make_product(0, number).product_id for number in range(100)}) == 100


@pytest.mark.parametrize("start", [0, 7, 200])
def test_every_kind_occurs_in_any_run_of_products(start: int) -> None:
    assert {make_product(0, start + i).kind.name for i in range(len(KINDS))} == {kind.name for kind in KINDS}


def test_attributes_take_few_values_and_looks_follow_from_them() -> None:
    for number in range(300):
        product = make_product(1, number)
        kind = product.kind
        assert product.paint.colour == COLOURS[product.colour]
        assert product.paint.second == COLOURS[product.second_colour]
        assert product.paint.repeats == SCALES[product.scale]
        assert product.trim == COLOURS[product.trim_colour]
        assert product.finish == FINISH[product.material]
        assert product.pattern != "plain" or product.scale == 0
        assert all(0 <= level < steps for level, steps in zip(product.levels, kind.levels(), strict=True))
        assert all(low < product.shape[name] < high for name, (low, high) in kind.shape.items())
        assert abs(brightness(product.paint.colour) - brightness(product.paint.second)) >= 0.16
        assert product.tag == ()


def test_proportions_have_as_many_values_as_levels() -> None:
    for kind in KINDS:
        for place, (name, steps) in enumerate(zip(kind.shape, kind.levels(), strict=True)):
            values = {kind.proportions([level if i == place else 0 for i in range(5)])[name] for level in range(steps)}
            assert len(values) == steps >= 2


def test_a_model_number_says_nothing_of_the_brand() -> None:
    starts = Counter(make_product(0, number).model[:2] for number in range(2000))
    assert starts.most_common(1)[0][1] < 30


def _family(first: int, showing: Showing) -> list[int]:
    turn, place = divmod(first, len(KINDS))
    return [(turn * FAMILY + member) * len(KINDS) + place for member in range(FAMILY)]


@pytest.mark.parametrize("showing", [*PRESETS.values(), Showing(shape="neither", material="title")])
def test_members_of_a_family_are_independent_or_differ_in_one_attribute_that_shows(showing: Showing) -> None:
    near = 0
    for first in range(6 * len(KINDS)):
        family = [make_product(0, number, showing) for number in _family(first, showing)]
        for other in family[1:]:
            assert other.kind == family[0].kind
            attributes = differing(family[0], other)
            if len(attributes) == 1:
                near += 1
                assert attributes[0] in showing.photo | showing.title
                if attributes == ("material",) and "material" in showing.photo:
                    assert other.finish != family[0].finish
                if attributes == ("pattern",):
                    assert other.pattern != family[0].pattern
                if attributes == ("shape",):
                    assert sum(a != b for a, b in zip(other.levels, family[0].levels, strict=True)) >= 2
            else:
                assert len(attributes) >= 4  # drawn apart
        assert all(differing(a, b) for a, b in combinations(family, 2))
    assert 0.65 < near / (12 * len(KINDS)) < 0.85


def test_siblings_differ_in_each_attribute_about_as_often() -> None:
    counts: Counter[str] = Counter()
    for number in range(60 * len(KINDS)):
        for elder in elders(number)[:1]:
            attributes = differing(make_product(0, elder), make_product(0, number))
            counts.update(attributes if len(attributes) == 1 else ())
    assert counts.keys() == set(ATTRIBUTES)
    assert max(counts.values()) < 2 * min(counts.values())


def test_where_one_attribute_shows_three_siblings_differ_in_it() -> None:
    showing = changed(NOTHING, size="title")
    found = 0
    for first in range(4 * len(KINDS)):
        family = [make_product(0, number, showing) for number in _family(first, showing)]
        if all(differing(a, b) == ("size",) for a, b in combinations(family, 2)):
            found += 1
    assert found > len(KINDS)


def test_where_nothing_shows_all_products_are_independent() -> None:
    for number in range(len(KINDS), 4 * len(KINDS)):
        for elder in elders(number):
            assert len(differing(make_product(0, elder, NOTHING), make_product(0, number, NOTHING))) > 1


def test_elders_are_the_earlier_members_of_a_family() -> None:
    size = len(KINDS)
    assert elders(0) == elders(size - 1) == elders(3 * size) == ()
    assert elders(size) == (0,)
    assert elders(2 * size + 5) == (5, size + 5)


def test_every_attribute_has_its_fields() -> None:
    assert tuple(FIELDS) == ATTRIBUTES
