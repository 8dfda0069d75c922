"""Listings of drawn products: a row of the feed, a photo, and what the title tells.

Each listing is a function of (seed, product, listing) and of where attributes show: product 7 looks the same in a
marketplace of ten products and of a million, and any part can be drawn apart from the rest.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from item_embed.catalog.drawing.kinds import Kind
from item_embed.catalog.drawing.photographed import as_photographed
from item_embed.catalog.drawing.photos import as_jpeg, take_photo
from item_embed.catalog.drawing.products import Product, mixed, rng
from item_embed.catalog.drawing.sellers import SELLERS, Seller, make_seller
from item_embed.catalog.drawing.showing import Showing
from item_embed.catalog.drawing.titles import Title, colour_words, write_title

COLUMNS = ("item_id", "title", "image", "category", "product_id", "price", "seller", "colour")
FEWEST, MOST = 2, 4  # listings of a product
_ID_STREAM, _SELLERS_STREAM, _TITLE_STREAM, _PHOTO_STREAM, _ROW_STREAM = range(3, 8)
_NO_PHOTO, _ENTITY, _NO_COLOUR = 0.01, 0.01, 0.1  # shares of rows


@dataclass(frozen=True)
class Listing:
    """One row of the feed, its photo, and its title before a careless export."""

    row: dict[str, str]  # by `COLUMNS`
    photo: bytes | None  # JPEG
    title: Title


def make_listings(product: Product, seed: int, image_size: int, showing: Showing | None = None) -> Iterator[Listing]:
    """The product's listings: two to four, each by another seller.

    Args:
        product: of `make_product` with the same seed and showing.
        seed: of the marketplace.
        image_size: longer side of the photos, pixels.
        showing: where attributes show.
    """
    showing = showing or Showing()
    random = rng(seed, _SELLERS_STREAM, product.number)
    count = int(random.integers(FEWEST, MOST + 1))
    seen = as_photographed(product, showing)
    for i, seller in enumerate(random.permutation(SELLERS)[:count].tolist()):
        yield _make_listing(
            product, seen, make_seller(seed, seller), i, seed=seed, image_size=image_size, showing=showing
        )


def _make_listing(
    product: Product, seen: Product, seller: Seller, i: int, *, seed: int, image_size: int, showing: Showing
) -> Listing:
    item_id = f"{mixed(seed, _ID_STREAM, product.number * MOST + i):016x}"  # a bijection: no two alike
    random = rng(seed, _ROW_STREAM, product.number, i)
    photo = None
    if random.random() >= _NO_PHOTO:
        shot = take_photo(seen, seller.photo, rng(seed, _PHOTO_STREAM, product.number, i), image_size)
        photo = as_jpeg(shot, seller.photo.quality)
    words = rng(seed, _TITLE_STREAM, product.number, i)
    title = write_title(product, seller.title, words, showing)
    row = {
        "item_id": item_id,
        "title": _with_entity(title.text) if random.random() < _ENTITY else title.text,
        "image": "" if photo is None else f"images/{item_id[:2]}/{item_id}.jpg",
        "category": product.kind.category,
        "product_id": product.product_id,
        "price": f"{_price(product.kind, seller, random):.2f}",
        "seller": seller.name,
        "colour": "" if random.random() < _NO_COLOUR else colour_words(product, seller.title, words, showing),
    }
    return Listing(row, photo, title)


def _price(kind: Kind, seller: Seller, random: np.random.Generator) -> float:
    """A price for the kind: it says nothing of the product, or it would tell products apart that nothing else does."""
    low, high = kind.price
    return max(1.0, round(float(low * (high / low) ** random.random() * seller.markup)) - 0.01)


def _with_entity(title: str) -> str:
    """What a careless export makes of a title."""
    return title.replace("&", "&amp;") if "&" in title else title.replace(" ", "&nbsp;", 1)
