from dataclasses import replace

from item_embed.catalog.drawing.facts import FACTS, bits, codes, photo_facts
from item_embed.catalog.drawing.kinds import KINDS
from item_embed.catalog.drawing.photographed import as_photographed
from item_embed.catalog.drawing.products import differing, make_product
from item_embed.catalog.drawing.showing import ATTRIBUTES, PRESETS
from tests.catalog.drawing.pairs import NOTHING, OPEN, changed, pairs


def _names(facts: int) -> set[str]:
    return {name for place, name in enumerate(FACTS) if facts >> place & 1}


def test_codes_are_equal_where_attributes_are() -> None:
    for attribute in ATTRIBUTES:
        for product, other in pairs(attribute):
            unlike = {name for name, a, b in zip(FACTS, codes(product), codes(other), strict=True) if a != b}
            parts = {"pattern": {"pattern", "patterned", "scale"}, "material": {"material", "finish"}}
            assert unlike
            assert unlike <= parts.get(attribute, {attribute})
    products = [make_product(2, number) for number in range(0, 40 * len(KINDS), len(KINDS))]
    assert len({codes(product) for product in products}) == len(products)
    for product in products:
        assert (codes(product) == codes(products[0])) == (not differing(product, products[0]))


def test_photos_tell_the_same_facts_exactly_if_they_look_the_same() -> None:
    """The facts that a photo is said to tell are those that `as_photographed` leaves."""
    # Many products of one kind, of few values, so that some agree.
    few = [
        replace(product, brand=other.brand, levels=other.levels, shape=other.shape, trim=other.trim)
        for product in (make_product(0, number * len(KINDS)) for number in range(40))
        for other in (make_product(0, number * len(KINDS)) for number in range(2))
    ]
    few = [replace(product, trim_colour="white", trim=(1, 1, 1)) for product in few]
    settings = [NOTHING, OPEN, *PRESETS.values(), *(changed(OPEN, **{name: "neither"}) for name in ATTRIBUTES)]
    settings += [changed(NOTHING, **{name: "photo"}) for name in ("brand", "colour", "pattern", "material", "shape")]
    for showing in settings:
        told = photo_facts(showing)
        for product in few:
            for other in few[::7]:
                agree = all(
                    a == b
                    for place, (a, b) in enumerate(zip(codes(product), codes(other), strict=True))
                    if told >> place & 1
                )
                assert agree == (as_photographed(product, showing) == as_photographed(other, showing))


def test_what_photos_tell_follows_from_the_settings() -> None:
    assert _names(photo_facts(NOTHING)) == {"kind"}
    assert _names(photo_facts(changed(NOTHING, pattern="photo"))) == {"kind", "pattern", "patterned", "scale"}
    assert _names(photo_facts(OPEN)) == set(FACTS) - {"line", "style", "material"}
    assert _names(bits(["kind", "trim", "kind"])) == {"kind", "trim"}
