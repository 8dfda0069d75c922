from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from item_embed.catalog.store import Catalog
from item_embed.catalog.titles import normalise_title
from item_embed.evaluation.queries import catalog_queries, given_queries, subset
from item_embed.evaluation.relisting import relisted_queries
from item_embed.evaluation.swapping import have_both, swap_partners, swapped
from tests.catalogs import Row, write_catalog
from tests.evaluation.fakes import COLOURS, jpeg, shop, thing
from tests.evaluation.relistings import query, write_queries


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return shop(tmp_path / "catalog")


def test_partners_are_of_another_product_group_title_and_photo(tmp_path: Path) -> None:
    photos = [jpeg(thing(c)) for c in COLOURS]
    rows = [
        Row(f"r{i}", f"Thing, {i % 5}", photos[i % 7], product_id=f"p{i % 6}" if i % 4 else None, group=i % 8)
        for i in range(60)
    ]
    rows += [Row("no photo", "lonely"), Row("no title", None, photos[11])]
    catalog = write_catalog(tmp_path / "c", rows)
    queries = catalog_queries(catalog)
    for seed in range(3):
        partners = swap_partners(catalog, queries, seed)
        assert (partners >= 0).all()
        for row, partner in zip(queries.rows, partners, strict=True):
            own, other = rows[row], rows[partner]
            assert own.product_id != other.product_id or own.product_id is None
            assert own.group != other.group
            assert normalise_title(own.title or "") != normalise_title(other.title or "")
            assert own.image != other.image
            assert other.image is not None
    assert (swap_partners(catalog, queries, 0) == swap_partners(catalog, queries, 0)).all()
    assert (swap_partners(catalog, queries, 0) != swap_partners(catalog, queries, 1)).any()


def test_a_given_query_is_not_given_its_own_title(tmp_path: Path, catalog: Catalog) -> None:
    asked = [query("mug 0", title=catalog.titles[row], image=catalog.photo(0)) for row in range(2, 24)]
    queries = given_queries(write_queries(tmp_path / "q.parquet", asked), catalog)
    titles = [catalog.titles[row] for row in swap_partners(catalog, queries)]
    assert len(set(titles)) <= 2  # one partner for the row, and the next for the query whose title it has
    assert all(title != own for title, own in zip(titles, queries.titles, strict=True))


def test_photos_or_titles_are_those_of_the_partners(catalog: Catalog) -> None:
    queries = catalog_queries(catalog)
    partners = swap_partners(catalog, queries)
    shown = swapped(catalog, queries, partners)
    for number, partner in enumerate(partners):
        own, other = int(queries.rows[number]), int(partner)
        photos = {name: catalog.photo(other if name == "photo_swapped" else own) for name in shown}
        assert {name: one.photo(number) for name, one in shown.items()} == photos
        titles = {name: catalog.titles[other if name == "title_swapped" else own] for name in shown}
        assert {name: one.titles[number] for name, one in shown.items()} == titles


def test_whether_there_is_a_photo_is_known_without_making_it(catalog: Catalog) -> None:
    def never(number: int) -> bytes:
        raise AssertionError(f"the photo of query {number} was made")

    queries = relisted_queries(catalog, 10, split="all")
    assert have_both(replace(queries, photo=never)).all()
    for one in (
        queries,
        subset(queries, np.array([3, 1])),
        *swapped(catalog, queries, swap_partners(catalog, queries)).values(),
    ):
        assert one.has_photo.tolist() == [one.photo(number) is not None for number in range(len(one))]


def test_only_whole_listings_have_both(tmp_path: Path) -> None:
    photo = jpeg(thing(COLOURS[0]))
    rows = [
        Row("a", "mug", photo, product_id="m"),
        Row("b", None, photo, product_id="m"),
        Row("c", "mug", product_id="m"),
    ]
    catalog = write_catalog(tmp_path / "c", rows)
    assert have_both(catalog_queries(catalog)).tolist() == [True, False, False]
    asked = [query("a", title="mug", image=photo), query("a", title="mug"), query("a", image=photo)]
    given = given_queries(write_queries(tmp_path / "q.parquet", asked), catalog)
    assert have_both(given).tolist() == [True, False, False]
