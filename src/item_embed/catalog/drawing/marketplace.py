"""The drawn marketplace as a user's feed: listings of products by sellers, a CSV file and a folder of photos.

    OUT/feed.csv       item_id, title, image, category, product_id, price, seller, colour
    OUT/images/*.jpg

Each listing is a function of (seed, product, listing): product 7 looks the same in a marketplace of ten products and
of a million, and any part can be drawn apart from the rest.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from item_embed.catalog.drawing.photos import as_jpeg, take_photo
from item_embed.catalog.drawing.products import Product, make_product, rng
from item_embed.catalog.drawing.sellers import SELLERS, Seller, make_seller
from item_embed.catalog.drawing.titles import colour_words, write_title
from item_embed.errors import ConfigError
from item_embed.files import whole_folder
from item_embed.hashing import hash64
from item_embed.progress import OnProgress, silent

COLUMNS = ("item_id", "title", "image", "category", "product_id", "price", "seller", "colour")
FEWEST, MOST = 2, 4  # listings of a product
_ID_STREAM, _SELLERS_STREAM, _TITLE_STREAM, _PHOTO_STREAM, _ROW_STREAM = range(3, 8)
_NO_PHOTO, _ENTITY, _NO_COLOUR = 0.01, 0.01, 0.1  # shares of rows


@dataclass(frozen=True)
class DrawnCounts:
    """What a drawn marketplace holds."""

    products: int
    listings: int
    kinds: int


@dataclass(frozen=True)
class Listing:
    """One row of the feed and its photo."""

    row: dict[str, str]  # by `COLUMNS`
    photo: bytes | None  # JPEG


def draw_marketplace(
    out: Path, products: int, seed: int = 0, image_size: int = 192, on_progress: OnProgress = silent
) -> DrawnCounts:
    """Draw a marketplace and write it as a feed.

    Args:
        out: folder to make, empty if it exists; written aside and renamed when complete.
        products: how many products; each has two to four listings.
        seed: another seed, another marketplace.
        image_size: width and height of the photos, pixels.
        on_progress: told the products done.

    Raises:
        OutputError: when the folder holds something already, or cannot be written.
        ConfigError: when a number is out of range.

    Example:
        >>> draw_marketplace(Path("market"), products=100)  # doctest: +SKIP
        DrawnCounts(products=100, listings=297, kinds=18)
    """
    if products < 1:
        raise ConfigError(f"a marketplace needs at least 1 product, not {products}; give --products a larger number.")
    if not 32 <= image_size <= 2048:
        raise ConfigError(f"photos of {image_size} pixels cannot be drawn; give --image-size from 32 to 2048.")
    # Drawn again as easily as lost: its thousands of files need not be on the disk before the folder appears.
    with whole_folder(out, sync=False) as folder:
        return _draw(folder, products, seed, image_size, on_progress)


def _draw(folder: Path, products: int, seed: int, image_size: int, on_progress: OnProgress) -> DrawnCounts:
    (folder / "images").mkdir()
    listings, kinds = 0, set()
    with (folder / "feed.csv").open("w", newline="", encoding="utf8") as file:
        feed = csv.DictWriter(file, COLUMNS)
        feed.writeheader()
        for number in range(products):
            product = make_product(seed, number)
            kinds.add(product.kind.name)
            for listing in make_listings(product, seed, image_size):
                feed.writerow(listing.row)
                if listing.photo is not None:
                    (folder / listing.row["image"]).write_bytes(listing.photo)
                listings += 1
            on_progress(number + 1, products)
    return DrawnCounts(products, listings, len(kinds))


def make_listings(product: Product, seed: int, image_size: int) -> Iterator[Listing]:
    """The product's listings: two to four, each by another seller."""
    random = rng(seed, _SELLERS_STREAM, product.number)
    count = int(random.integers(FEWEST, MOST + 1))
    for i, seller in enumerate(random.permutation(SELLERS)[:count].tolist()):
        yield _make_listing(product, make_seller(seed, seller), i, seed, image_size)


def _make_listing(product: Product, seller: Seller, i: int, seed: int, image_size: int) -> Listing:
    item_id = f"{int(hash64(seed, _ID_STREAM, product.number * MOST + i)):016x}"  # a bijection: no two alike
    random = rng(seed, _ROW_STREAM, product.number, i)
    photo = None
    if random.random() >= _NO_PHOTO:
        shot = take_photo(product, seller.photo, rng(seed, _PHOTO_STREAM, product.number, i), image_size)
        photo = as_jpeg(shot, seller.photo.quality)
    words = rng(seed, _TITLE_STREAM, product.number, i)
    title = write_title(product, seller.title, words)
    row = {
        "item_id": item_id,
        "title": _with_entity(title) if random.random() < _ENTITY else title,
        "image": "" if photo is None else f"images/{item_id}.jpg",
        "category": product.kind.category,
        "product_id": product.product_id,
        "price": f"{_price(product, seller, random):.2f}",
        "seller": seller.name,
        "colour": "" if random.random() < _NO_COLOUR else colour_words(product, seller.title, words),
    }
    return Listing(row, photo)


def _price(product: Product, seller: Seller, random: np.random.Generator) -> float:
    return max(1.0, round(product.price * seller.markup * random.normal(1, 0.03)) - 0.01)


def _with_entity(title: str) -> str:
    """What a careless export makes of a title."""
    return title.replace("&", "&amp;") if "&" in title else title.replace(" ", "&nbsp;", 1)
