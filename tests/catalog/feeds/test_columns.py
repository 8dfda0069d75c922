import pytest

from item_embed.catalog.feeds.columns import Columns, choose_columns
from item_embed.errors import FeedError


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        (
            ["item_id", "title", "image", "category", "product_id"],
            ("item_id", "title", "image", "category", "product_id"),
        ),
        (["SKU", "Product Title", "Photo"], ("SKU", "Product Title", "Photo", None, None)),
        (["asin", "parent_asin", "name", "image_url"], ("asin", "name", "image_url", None, "parent_asin")),
        (["article_id", "product_code", "prod_name"], ("article_id", "prod_name", None, None, "product_code")),
        (["id", "productDisplayName", "filename"], ("id", "productDisplayName", "filename", None, None)),
        (["title", "leaf_category", "category"], (None, "title", None, "leaf_category", None)),
        (["product_id", "title", "img_path"], (None, "title", "img_path", None, "product_id")),
        (["title", "group"], (None, "title", None, None, None)),
    ],
)
def test_usual_names_are_guessed(existing: list[str], expected: tuple[str | None, ...]) -> None:
    assert choose_columns(existing, {}) == Columns(*expected)


def test_a_named_column_wins_and_plays_no_second_role() -> None:
    columns = choose_columns(["id", "product_id", "title", "name"], {"id": "product_id", "title": "name"})
    assert columns == Columns(id="product_id", title="name")


def test_none_means_guess() -> None:
    assert choose_columns(["title"], {"title": None, "group": None}) == Columns(title="title")


def test_one_column_may_be_named_for_two_roles() -> None:
    columns = choose_columns(["title", "family"], {"product_id": "family", "group": "family"})
    assert columns == Columns(title="title", product_id="family", group="family")


def test_a_named_column_must_exist() -> None:
    with pytest.raises(FeedError, match="no column 'sku' for the product id; its columns are a, title") as raised:
        choose_columns(["a", "title"], {"product_id": "sku"})
    assert "\n" not in str(raised.value)


def test_neither_title_nor_image() -> None:
    with pytest.raises(FeedError, match="its columns are a, b: name one with --title-column or --image-column"):
        choose_columns(["a", "b"], {})


def test_a_long_list_of_columns_is_cut() -> None:
    with pytest.raises(FeedError, match="c39 and 60 more"):
        choose_columns([f"c{number}" for number in range(100)], {})


def test_all_other_columns_are_metadata() -> None:
    columns = Columns(id="sku", title="name", group="family")
    assert columns.other(["sku", "name", "family", "price"]) == ["family", "price"]
