"""What is true of a drawn marketplace, in files beside its feed, so that the feed stays like a user's.

truth/labels.csv          one row per listing: its product, every attribute, what its title names
truth/near_negatives.csv  pairs of products that differ in exactly one attribute
"""

from collections.abc import Iterator

from item_embed.catalog.drawing.kinds import FINISH
from item_embed.catalog.drawing.products import Product, differing, elders, make_product
from item_embed.catalog.drawing.showing import Showing

LABEL_COLUMNS = (
    "item_id", "product_id", "kind", "category_1", "category_2", "category_3", "brand", "line", "model", "colour",
    "pattern", "scale", "second_colour", "material", "finish", "size", "style", "shape", "trim_colour", "title_names",
)  # fmt: skip
NEAR_NEGATIVE_COLUMNS = ("product_id", "other_product_id", "attribute")


def label_row(item_id: str, product: Product, named: tuple[str, ...]) -> tuple[str, ...]:
    """A listing's row of `labels.csv`; `named` are the attributes that its title names."""
    return (
        item_id,
        product.product_id,
        product.kind.name,
        *product.kind.category.split(" > "),
        product.brand.name,
        product.line,
        product.model,
        product.colour,
        product.pattern,
        str(product.scale),
        product.second_colour,
        product.material,
        FINISH[product.material],
        product.size,
        product.style,
        "-".join(map(str, product.levels)),
        product.trim_colour,
        " ".join(named),
    )


def near_negatives(product: Product, seed: int, showing: Showing) -> Iterator[tuple[str, str, str]]:
    """The product's rows of `near_negatives.csv`: each pair once, under the product that comes first."""
    for number in elders(product.number):
        elder = make_product(seed, number, showing)
        attributes = differing(elder, product)
        if len(attributes) == 1:
            yield elder.product_id, product.product_id, attributes[0]
