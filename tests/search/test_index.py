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
from item_embed.search import index as index_module
from item_embed.search.exact import search, tie_keys
from item_embed.search.index import ProductIndex
from tests.catalogs import Row, photo, write_catalog
from tests.embedders import dummy

COUNT = 300  # more than two groups of items


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


@pytest.fixture(scope="module")
def index(catalog: Catalog, vectors: Vectors, tmp_path_factory: pytest.TempPathFactory) -> ProductIndex:
    return ProductIndex.build(vectors, catalog, tmp_path_factory.mktemp("built") / "index")


def test_hits_are_those_of_exact_search_with_what_the_catalogue_says(
    index: ProductIndex, catalog: Catalog, vectors: Vectors
) -> None:
    queries = vectors.vectors[[1, 299]]
    rows, scores = search(queries, vectors.vectors, 7, tie_keys(catalog.ids))
    found = ProductIndex.open(index.path).search(queries, 7, "dummy")
    assert [[hit.row for hit in hits] for hits in found] == rows.tolist()
    assert [[hit.score for hit in hits] for hits in found] == scores.tolist()
    for hit in found[0] + found[1]:
        assert (hit.id, hit.title) == (catalog.ids[hit.row], catalog.titles[hit.row])
        assert hit.category == catalog.categories[hit.row]
        assert hit.metadata == {"colour": "grün", "price": hit.row}
    assert {hit.row for hit in found[0][:2]} == {1, 251}  # the two with one title


def test_photos_are_the_catalogues(index: ProductIndex, catalog: Catalog) -> None:
    assert [index.photo(row) for row in range(COUNT)] == catalog.photos(range(COUNT))


def test_photos_are_right_where_building_goes_in_parts(
    catalog: Catalog, vectors: Vectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_PART_ROWS", index_module._GROUP_ROWS)
    told: list[tuple[int, int | None]] = []
    index = ProductIndex.build(vectors, catalog, tmp_path / "index", lambda done, total: told.append((done, total)))
    assert [index.photo(row) for row in (0, 127, 128, 299)] == catalog.photos([0, 127, 128, 299])
    assert told == [(128, 300), (256, 300), (300, 300)]


def test_a_scan_gives_every_vector_once_in_blocks(index: ProductIndex, catalog: Catalog, vectors: Vectors) -> None:
    blocks = list(index.scan(block=128))
    assert [len(ids) for ids, _ in blocks] == [128, 128, 44]
    assert [key for ids, _ in blocks for key in ids] == catalog.ids
    assert np.concatenate([part for _, part in blocks]).tolist() == vectors.vectors.tolist()


def test_an_item_is_the_catalogues_row(index: ProductIndex, catalog: Catalog) -> None:
    for row in (0, 7, 127, 128, 299):
        item = index.item(catalog.ids[row])
        assert (item.id, item.title, item.category) == (catalog.ids[row], catalog.titles[row], catalog.categories[row])
        assert (item.product_id, item.metadata) == (catalog.product_ids[row], {"colour": "grün", "price": row})
        assert item.photo == catalog.photo(row)
    with pytest.raises(KeyError):
        index.item("foreign")


def test_no_more_hits_than_products(index: ProductIndex, vectors: Vectors) -> None:
    hits = index.search(vectors.vectors[:1], 1000, "dummy")[0]
    assert sorted(hit.row for hit in hits) == list(range(COUNT))


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
    assert sorted(file.name for file in index.path.iterdir()) == [
        "items.parquet",
        "manifest.json",
        "ties.npy",
        "vectors.npy",
    ]
    assert [folder.name for folder in index.path.parent.iterdir()] == ["index"]  # nothing left aside


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


def test_ties_are_kept_not_made_anew(
    catalog: Catalog, vectors: Vectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ProductIndex.build(vectors, catalog, tmp_path / "index").path
    assert np.load(path / "ties.npy").tolist() == tie_keys(catalog.ids).tolist()
    monkeypatch.setattr("item_embed.search.exact.tie_keys", None)
    assert len(ProductIndex.open(path).search(vectors.vectors[:1], 3, "dummy")[0]) == 3


def test_queries_of_another_dimension_are_refused(index: ProductIndex, vectors: Vectors) -> None:
    for queries in (vectors.vectors[:1, :8], vectors.vectors[0]):
        with pytest.raises(VectorError, match="16 numbers"):
            index.search(queries, 1, "dummy")


def test_k_below_one_is_refused(index: ProductIndex, vectors: Vectors) -> None:
    with pytest.raises(VectorError, match="at least 1"):
        index.search(vectors.vectors[:1], 0, "dummy")


def test_an_existing_folder_is_refused_and_left_alone(index: ProductIndex, catalog: Catalog, vectors: Vectors) -> None:
    before = (index.path / "manifest.json").read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        ProductIndex.build(vectors, catalog, index.path)
    assert (index.path / "manifest.json").read_bytes() == before


def test_vectors_of_another_catalogue_are_refused(catalog: Catalog, vectors: Vectors, tmp_path: Path) -> None:
    ids = ["foreign", *vectors.ids[1:-1], vectors.ids[1]]
    with pytest.raises(VectorError, match=r"2 of its 300 rows lack one, 1 vectors have an id .*, 1 repeat"):
        ProductIndex.build(replace(vectors, ids=ids), catalog, tmp_path / "index")
    assert not list(tmp_path.iterdir())


def test_a_failed_build_leaves_nothing(
    catalog: Catalog, vectors: Vectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ProductIndex.build(vectors, catalog, tmp_path / "index", fail)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("broken", ["manifest.json", "vectors.npy", "ties.npy", "items.parquet"])
@pytest.mark.parametrize("how", ["missing", "garbage", "empty"])
def test_a_damaged_index_is_refused(catalog: Catalog, vectors: Vectors, tmp_path: Path, broken: str, how: str) -> None:
    index = ProductIndex.build(vectors, catalog, tmp_path / "index")
    file = index.path / broken
    if how == "missing":
        file.unlink()
    else:
        file.write_bytes(b"garbage \xff" if how == "garbage" else b"")
    with pytest.raises(VectorError, match="item index"):
        ProductIndex.open(index.path)


@pytest.mark.parametrize("file", ["vectors.npy", "ties.npy"])
def test_files_that_disagree_are_refused(catalog: Catalog, vectors: Vectors, tmp_path: Path, file: str) -> None:
    index = ProductIndex.build(vectors, catalog, tmp_path / "index")
    np.save(index.path / file, np.load(index.path / file)[:-1])
    with pytest.raises(VectorError, match="disagree"):
        ProductIndex.open(index.path)


def test_another_schema_version_is_refused(catalog: Catalog, vectors: Vectors, tmp_path: Path) -> None:
    index = ProductIndex.build(vectors, catalog, tmp_path / "index")
    newer = index.manifest.model_copy(update={"schema_version": 99})
    (index.path / "manifest.json").write_text(newer.model_dump_json(), encoding="utf8")
    with pytest.raises(VectorError, match="schema version 99"):
        ProductIndex.open(index.path)
