"""How each kind of product looks: one function per kind, drawing with a `Pen` in the unit square."""

from collections.abc import Callable, Hashable, Mapping

from item_embed.catalog.drawing.pen import Drawing, Pen
from item_embed.catalog.drawing.products import Product
from item_embed.catalog.drawing.sketches import bags, clothing, devices, furniture, kitchen

#: Draws one product, standing upright and seen from the front.
Sketch = Callable[[Pen, Product], None]

SKETCHES: Mapping[str, Sketch] = {
    "mug": kitchen.mug,
    "teapot": kitchen.teapot,
    "water bottle": kitchen.water_bottle,
    "table lamp": furniture.table_lamp,
    "chair": furniture.chair,
    "sofa": furniture.sofa,
    "wall clock": furniture.wall_clock,
    "T-shirt": clothing.t_shirt,
    "sneaker": clothing.sneaker,
    "cap": clothing.cap,
    "sunglasses": clothing.sunglasses,
    "handbag": bags.handbag,
    "backpack": bags.backpack,
    "umbrella": bags.umbrella,
    "watch": devices.watch,
    "headphones": devices.headphones,
    "camera": devices.camera,
    "guitar": devices.guitar,
}
_KEPT = 8
_drawings: dict[Hashable, Drawing] = {}


def sketch(product: Product) -> Drawing:
    """The product's drawing; the last few are kept, because a product's listings come one after the other."""
    shape = tuple(product.shape.items())
    key = (
        product.kind.name,
        product.brand.name,
        product.brand.sign,
        product.paint,
        product.trim,
        product.finish,
        shape,
    )
    drawing = _drawings.get(key)
    if drawing is None:
        pen = Pen(product.finish)
        SKETCHES[product.kind.name](pen, product)
        drawing = pen.drawing()
        while len(_drawings) >= _KEPT:
            del _drawings[next(iter(_drawings))]
        _drawings[key] = drawing
    return drawing
