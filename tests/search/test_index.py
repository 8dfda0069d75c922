import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from item_embed.catalog.store import Catalog
from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.seen import Modalities
from item_embed.embedding.vectors import Vectors
from item_embed.errors import VectorError
from item_embed.files import OutputError
from item_embed.search import database, feed
from item_embed.search.exact import search, tie_keys
from item_embed.search.index import ProductIndex
from item_embed.search.items import Item
from tests.catalogs import Row, photo, write_catalog
from tests.embedders import dummy
from tests.search.conftest import Place
from tests.search.made import embedded, folder_of
from tests.servers import Server

COUNT = 300


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    rows = [
        Row(
            f"id {i}",
            f"mug {i % 250}" if i % 7 else None,  # some titles twice
            photo((i % 256, i // 256, 90)) if i % 5 or i % 7 == 0 else None,
            category="Kitchen > Mugs" if i % 2 else None,
            product_id=f"p{i % 250}",
            metadata={"colour": "grün", "price": i},
        )
        for i in range(COUNT)
    ]
    return write_catalog(tmp_path_factory.mktemp("search") / "catalog", rows)


@pytest.fixture(scope="module")
def vectors(catalog: Catalog) -> Vectors:
    return embed_catalog(dummy(), catalog, "title")


@pytest.fixture(scope="module", params=["folder", "postgres"])
def index(
    request: pytest.FixtureRequest, catalog: Catalog, vectors: Vectors, tmp_path_factory: pytest.TempPathFactory
) -> ProductIndex:
    if request.param == "folder":
        return ProductIndex.build(vectors, catalog, tmp_path_factory.mktemp("built") / "index")
    server: Server = request.getfixturevalue("server")
    return ProductIndex.build(vectors, catalog, server.schema())


def test_hits_are_those_of_exact_search_with_what_the_catalogue_says(
    index: ProductIndex, catalog: Catalog, vectors: Vectors
) -> None:
    queries = vectors.vectors[[1, 299]]
    rows, scores = search(queries, vectors.vectors, 7, tie_keys(catalog.ids))
    found = ProductIndex.open(index.path).search(queries, 7, "dummy")
    assert [[hit.id for hit in hits] for hits in found] == [[catalog.ids[row] for row in hits] for hits in rows]
    assert [[hit.score for hit in hits] for hits in found] == scores.tolist()
    for hit in found[0] + found[1]:
        row = catalog.ids.index(hit.id)
        assert (hit.title, hit.product_id) == (catalog.titles[row], catalog.product_ids[row])
        assert hit.category == catalog.categories[row]
        assert hit.metadata == {"colour": "grün", "price": row}
    assert {hit.id for hit in found[0][:2]} == {"id 1", "id 251"}  # the two with one title


def test_products_and_photos_are_the_catalogues(index: ProductIndex, catalog: Catalog) -> None:
    assert [index.photo(key) for key in catalog.ids] == catalog.photos(range(COUNT))
    assert index.photo("nobody") is None
    assert index.item("nobody") is None
    expected = Item("id 8", "mug 8", None, "p8", {"colour": "grün", "price": 8}, catalog.photo(8))
    assert index.item("id 8") == expected
    assert index.items(["id 8", "nobody"]) == {"id 8": expected}


def test_vectors_are_those_that_went_in(index: ProductIndex, vectors: Vectors) -> None:
    asked = ["id 7", "id 299", "none", "id 0"]
    found = index.vectors(asked)
    assert found.keys() == {"id 7", "id 299", "id 0"}
    for key, vector in found.items():
        np.testing.assert_array_equal(vector, vectors.vectors[vectors.ids.index(key)])
    assert index.vectors([]) == {}


def test_photos_are_right_where_building_goes_in_parts(
    catalog: Catalog, vectors: Vectors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_PART_ROWS", 128)
    told: list[tuple[int, int | None]] = []
    index = ProductIndex.build(vectors, catalog, place("index"), lambda done, total: told.append((done, total)))
    rows = [0, 127, 128, 299]
    assert [index.photo(catalog.ids[row]) for row in rows] == catalog.photos(rows)
    assert told == [(128, 300), (256, 300), (300, 300)]


def test_no_more_hits_than_products(index: ProductIndex, catalog: Catalog, vectors: Vectors) -> None:
    hits = index.search(vectors.vectors[:1], 1000, "dummy")[0]
    assert sorted(hit.id for hit in hits) == sorted(catalog.ids)


def test_no_queries_no_hits(index: ProductIndex, vectors: Vectors) -> None:
    assert index.search(vectors.vectors[:0], 3, "dummy") == []


def test_vectors_in_another_order_are_put_in_the_catalogues(
    index: ProductIndex, catalog: Catalog, vectors: Vectors, tmp_path: Path
) -> None:
    order = np.random.default_rng(0).permutation(COUNT)
    shuffled = replace(vectors, ids=[vectors.ids[i] for i in order], vectors=vectors.vectors[order])
    other = ProductIndex.build(shuffled, catalog, tmp_path / "index")
    query = vectors.vectors[:3]
    assert other.search(query, 5, "dummy") == index.search(query, 5, "dummy")


def test_what_the_index_says_of_itself(index: ProductIndex, catalog: Catalog) -> None:
    assert (len(index), index.fingerprint, index.model) == (COUNT, "dummy", str(Path("model").resolve()))
    assert (index.modalities, index.manifest.modalities) == ("title", "title")
    assert index.manifest.catalog_fingerprint == catalog.fingerprint


def test_a_folder_holds_one_file_and_nothing_is_left_aside(catalog: Catalog, vectors: Vectors, tmp_path: Path) -> None:
    index = ProductIndex.build(vectors, catalog, tmp_path / "index")
    assert {file.name for file in folder_of(index).iterdir()} - {"index.sqlite-wal", "index.sqlite-shm"} == {
        "index.sqlite"
    }
    assert [folder.name for folder in folder_of(index).parent.iterdir()] == ["index"]  # nothing left aside


def test_vectors_of_another_model_are_refused(index: ProductIndex, vectors: Vectors) -> None:
    with pytest.raises(VectorError, match="another model"):
        index.search(vectors.vectors[:1], 1, "another")


@pytest.mark.parametrize(
    ("modalities", "refused"),
    [
        ("both", []),
        ("title", [(True, False), (True, True)]),
        ("image", [(False, True), (True, True)]),
    ],
)
def test_queries_of_another_modality_are_refused(
    catalog: Catalog, tmp_path: Path, modalities: Modalities, refused: list[tuple[bool, bool]]
) -> None:
    index = ProductIndex.build(embed_catalog(dummy(), catalog, modalities), catalog, tmp_path / "index")
    for image, title in ((True, False), (False, True), (True, True)):
        if (image, title) in refused:
            with pytest.raises(VectorError, match="--modalities both"):
                index.check_query(image=image, title=title)
        else:
            index.check_query(image=image, title=title)


def test_queries_of_another_dimension_are_refused(index: ProductIndex, vectors: Vectors) -> None:
    for queries in (vectors.vectors[:1, :8], vectors.vectors[0]):
        with pytest.raises(VectorError, match="16 numbers"):
            index.search(queries, 1, "dummy")


def test_k_below_one_is_refused(index: ProductIndex, vectors: Vectors) -> None:
    with pytest.raises(VectorError, match="at least 1"):
        index.search(vectors.vectors[:1], 0, "dummy")


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_queries_that_are_not_finite_are_refused(index: ProductIndex, number: float) -> None:
    with pytest.raises(VectorError, match="not finite"):
        index.search(np.full((1, 16), number, np.float32), 1, "dummy")


def test_an_existing_folder_is_refused_and_left_alone(index: ProductIndex, catalog: Catalog, vectors: Vectors) -> None:
    with pytest.raises(OutputError, match="exists already"):
        ProductIndex.build(vectors, catalog, index.path)
    assert len(ProductIndex.open(index.path)) == COUNT


def test_vectors_of_another_catalogue_are_refused(catalog: Catalog, vectors: Vectors, tmp_path: Path) -> None:
    ids = ["foreign", *vectors.ids[1:-1], vectors.ids[1]]
    with pytest.raises(VectorError, match=r"2 of its 300 rows lack one, 1 vectors have an id .*, 1 repeat"):
        ProductIndex.build(replace(vectors, ids=ids), catalog, tmp_path / "index")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "sentence"), [(np.nan, "1 vectors with numbers that are not finite, the first for"), (3, "not 1")]
)
def test_vectors_that_are_none_are_refused(
    catalog: Catalog, vectors: Vectors, place: Place, wrong: float, sentence: str
) -> None:
    damaged = vectors.vectors.copy()
    damaged[7] = wrong
    with pytest.raises(VectorError, match=sentence):
        ProductIndex.build(replace(vectors, vectors=damaged), catalog, place("index"))
    index = ProductIndex.build(vectors, catalog, place("another"))
    with pytest.raises(VectorError, match=sentence):
        index.update(replace(vectors, vectors=damaged), catalog)
    narrow = np.repeat(np.eye(1, 8, dtype=np.float32), COUNT, axis=0)
    with pytest.raises(VectorError, match=r"vectors of shape \(300, 8\) do not fit .* whose vectors have 16 numbers"):
        index.update(replace(vectors, vectors=narrow), catalog)
    assert len(index) == COUNT


def test_a_full_disk_leaves_no_half_of_an_index(
    catalog: Catalog, vectors: Vectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = database.create

    def small(folder: Path, shown: Path) -> database.Connection:
        connection = create(folder, shown)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 20}")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(database, "create", small)
        with pytest.raises(OutputError, match="the disk is full"):
            ProductIndex.build(vectors, catalog, tmp_path / "index")
    assert not list(tmp_path.iterdir())
    index = ProductIndex.build(vectors, catalog, tmp_path / "index")
    connection = embedded(index)[0]._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    turned = replace(vectors, vectors=np.ascontiguousarray(-vectors.vectors))
    before = index.search(vectors.vectors[:5], 3, "dummy")
    with pytest.raises(OutputError, match="the disk is full; nothing of this change was kept"):
        index.update(turned, catalog)
    for there in (index, ProductIndex.open(index.path)):
        assert there.search(vectors.vectors[:5], 3, "dummy") == before


def test_a_failed_build_leaves_nothing(
    catalog: Catalog, vectors: Vectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ProductIndex.build(vectors, catalog, tmp_path / "index", fail)
    assert not list(tmp_path.iterdir())


def test_a_scan_gives_every_vector_once_block_by_block(index: ProductIndex, catalog: Catalog, vectors: Vectors) -> None:
    blocks = list(index.scan(128))
    assert [len(ids) for ids, _ in blocks] == [128, 128, 44]
    assert [key for ids, _ in blocks for key in ids] == catalog.ids
    assert np.array_equal(np.concatenate([part for _, part in blocks]), vectors.vectors)


def test_a_scan_shows_one_state_while_others_write(catalog: Catalog, vectors: Vectors, place: Place) -> None:
    index = ProductIndex.build(vectors, catalog, place("index"))
    blocks = index.scan(100)
    seen = next(blocks)[0]
    index.delete(catalog.ids[200:])
    seen += [key for ids, _ in blocks for key in ids]
    assert seen == catalog.ids
    assert len(index) == 200


@pytest.mark.parametrize("how", ["missing", "garbage", "empty", "cut"])
def test_a_damaged_index_is_refused(catalog: Catalog, vectors: Vectors, tmp_path: Path, how: str) -> None:
    index = ProductIndex.build(vectors, catalog, tmp_path / "index")
    index.close()
    file = folder_of(index) / "index.sqlite"
    if how == "missing":
        file.unlink()
    else:
        whole = file.read_bytes()
        file.write_bytes({"garbage": b"garbage \xff" * 1000, "empty": b"", "cut": whole[:9000]}[how])
    with pytest.raises(VectorError, match="item index"):
        ProductIndex.open(index.path).search(vectors.vectors[:1], 1, "dummy")


def test_another_schema_version_is_refused(catalog: Catalog, vectors: Vectors, tmp_path: Path) -> None:
    index = ProductIndex.build(vectors, catalog, tmp_path / "index")
    with sqlite3.connect(folder_of(index) / "index.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(VectorError, match=r"schema version 99.* build it again with `item index`"):
        ProductIndex.open(index.path)


def test_an_index_of_arrays_as_it_was_is_to_be_built_again(tmp_path: Path) -> None:
    for name in ("manifest.json", "vectors.npy", "ties.npy", "items.parquet"):
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(VectorError, match=r"schema version 2.* build it again with `item index`"):
        ProductIndex.open(tmp_path)
