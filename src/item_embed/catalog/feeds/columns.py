"""Which column of a feed plays which role: guessed from usual names, or named by the user."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from item_embed.errors import FeedError

_SEPARATORS = re.compile(r"[\W_]+")

# Usual names, the most telling first; compared without case, spaces and underscores.
_USUAL = {
    "id": "id item_id listing_id sku asin offer_id article_id variant_id product_sku item_sku uid uuid",
    "title": "title product_title item_title listing_title name product_name item_name product_display_name "
    "display_name prod_name goods_name headline caption text",
    "image": "image photo picture img pic pics image_path photo_path img_path image_file photo_file image_filename "
    "photo_filename image_name photo_name filename file_name main_image image_bytes image_data images photos "
    "image_url photo_url img_url picture_url main_image_url image_link thumbnail thumbnail_url path file",
    "category": "category_path leaf_category category category_name product_category google_product_category "
    "product_type product_type_name categories taxonomy",
    "product_id": "product_id product_code parent_asin parent_id parent_sku item_group_id spu",
}


@dataclass(frozen=True)
class Columns:
    """The feed's column for each role, or None where it has none."""

    id: str | None = None
    title: str | None = None
    image: str | None = None
    category: str | None = None
    product_id: str | None = None
    group: str | None = None

    def by_role(self) -> dict[str, str | None]:
        """As a mapping from role to column."""
        return asdict(self)

    def other(self, columns: Sequence[str]) -> list[str]:
        """The columns that go into the metadata: all but those stored under their role."""
        stored = {self.id, self.title, self.image, self.category, self.product_id}
        return [column for column in columns if column not in stored]


def choose_columns(existing: Sequence[str], named: Mapping[str, str | None]) -> Columns:
    """Find the column for each role. The group column is never guessed: a wrong one would spoil the splits.

    Args:
        existing: the columns of the feed.
        named: role -> column, where the user named one.

    Raises:
        FeedError: when a named column does not exist, or neither a title nor an image column is found.

    Examples:
        >>> choose_columns(["SKU", "Product Title", "photo", "price"], {}).title
        'Product Title'
    """
    chosen = {role: column for role, column in named.items() if column is not None}
    for role, column in chosen.items():
        if column not in existing:
            raise FeedError(
                f"the feed has no column {column!r} for the {role.replace('_', ' ')}; {_listing(existing)}."
            )
    taken = set(chosen.values())
    free = {_key(column): column for column in reversed(existing) if column not in taken}
    for role, usual in _USUAL.items():
        match = next((free[_key(name)] for name in usual.split() if _key(name) in free), None)
        if role not in chosen and match is not None:
            chosen[role] = match
            del free[_key(match)]
    if "title" not in chosen and "image" not in chosen:
        raise FeedError(
            f"no column of the feed looks like a title or an image; {_listing(existing)}: "
            "name one with --title-column or --image-column."
        )
    return Columns(**chosen)


def _key(name: str) -> str:
    return _SEPARATORS.sub("", name.casefold())


def _listing(columns: Sequence[str]) -> str:
    shown = ", ".join(columns[:40])
    more = f" and {len(columns) - 40} more" if len(columns) > 40 else ""
    return f"its columns are {shown}{more}" if columns else "it has no columns at all"
