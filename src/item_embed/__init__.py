"""item-embed: one vector per product, learned from its photo and its title together, without labels.

The public names are loaded when first used, so `import item_embed` takes no time and needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Catalog": "item_embed.catalog.store",
    "Embedder": "item_embed.embedding.embedder",
    "ItemConfig": "item_embed.model.configuration",
    "ItemModel": "item_embed.model.encoder",
    "ItemProcessor": "item_embed.model.processor",
    "ProductIndex": "item_embed.search.index",
}
__all__ = ["Catalog", "Embedder", "ItemConfig", "ItemModel", "ItemProcessor", "ProductIndex", "__version__"]

if TYPE_CHECKING:
    from item_embed.catalog.store import Catalog
    from item_embed.embedding.embedder import Embedder
    from item_embed.model.configuration import ItemConfig
    from item_embed.model.encoder import ItemModel
    from item_embed.model.processor import ItemProcessor
    from item_embed.search.index import ProductIndex


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'item_embed' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
