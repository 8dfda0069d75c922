from item_embed.catalog.drawing.kinds import KINDS
from item_embed.catalog.drawing.labels import LABEL_COLUMNS, label_row, near_negatives
from item_embed.catalog.drawing.photographed import as_photographed
from item_embed.catalog.drawing.products import FIELDS, Product, make_product, rng
from item_embed.catalog.drawing.sellers import make_seller
from item_embed.catalog.drawing.showing import PRESETS, Showing
from item_embed.catalog.drawing.titles import write_title


def test_a_label_row_holds_the_product() -> None:
    product = make_product(0, 3)
    row = dict(zip(LABEL_COLUMNS, label_row("abc", product, ("brand", "size")), strict=True))
    assert (row["item_id"], row["product_id"], row["kind"]) == ("abc", product.product_id, product.kind.name)
    assert " > ".join(row[f"category_{level}"] for level in (1, 2, 3)) == product.kind.category
    assert row["brand"] == product.brand.name
    assert row["shape"] == "-".join(map(str, product.levels))
    assert row["title_names"] == "brand size"
    for name in ("line", "model", "colour", "pattern", "second_colour", "material", "size", "style", "trim_colour"):
        assert row[name] == getattr(product, name)


def _told(product: Product, showing: Showing) -> set[tuple[str, ...]]:
    """What titles of the product can name, over many of them."""
    return {
        write_title(product, make_seller(0, key % 48).title, rng(0, 9, key), showing).mentioned
        for key in range(0, 240, 7)
    }


def test_near_negatives_differ_in_exactly_one_attribute_and_what_shows_it_differs() -> None:
    for showing in PRESETS.values():
        seen = 0
        for number in range(6 * len(KINDS)):
            product = make_product(5, number, showing)
            for first, second, attribute in near_negatives(product, 5, showing):
                other = make_product(5, int(first[1:]), showing)
                assert second == product.product_id != first
                changed = {part for parts in FIELDS.values() for part in parts if _differ(product, other, part)}
                assert changed
                assert changed <= set(FIELDS[attribute])
                looks = as_photographed(product, showing) != as_photographed(other, showing)
                assert looks == (attribute in showing.photo)
                assert looks or any(attribute in names for names in _told(product, showing)) or showing.mention is None
                assert attribute in showing.photo | showing.title
                seen += 1
        assert seen > len(KINDS)


def _differ(product: Product, other: Product, part: str) -> bool:
    return bool(getattr(product, part) != getattr(other, part))
