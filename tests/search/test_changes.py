"""Products added, changed and removed: seen at once, by everybody, and there after the process has gone."""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.vectors import Vectors
from item_embed.errors import FilterError, VectorError
from item_embed.search import filters
from item_embed.search.filters import parse_filter
from item_embed.search.index import ProductIndex
from item_embed.search.items import Changes, Hit, Item
from tests.catalogs import Row, photo, write_catalog
from tests.embedders import DummyEmbedder, dummy
from tests.search.conftest import Place
from tests.search.filtering import holds
from tests.search.made import add, graph_soon, one_product, unit

if TYPE_CHECKING:
    from item_embed.embedding.embedder import Embedder

RED, BLUE = photo((200, 0, 0)), photo((0, 0, 200))


@pytest.fixture
def index(tmp_path: Path, place: Place) -> ProductIndex:
    return one_product(tmp_path, out=place("index"))


def ids(hits: list[Hit]) -> list[str]:
    return [hit.id for hit in hits]


def test_what_is_added_is_found_at_once_here_and_elsewhere(index: ProductIndex) -> None:
    other = ProductIndex.open(index.path)
    query = np.eye(8, dtype=np.float32)[1:2]
    assert ids(other.search(query, 5, "model")[0]) == ["first"]
    new = Item("new", "red mug", "Mugs", "p1", {"price": 5}, RED)
    assert index.upsert([new], query, "model") == Changes(added=1)
    for reader in (index, other, ProductIndex.open(index.path)):
        assert reader.search(query, 5, "model")[0][0] == Hit("new", 1.0, "red mug", "Mugs", "p1", {"price": 5})
        assert reader.item("new") == new
        assert len(reader) == 2


def test_what_is_changed_is_changed_whole(index: ProductIndex) -> None:
    east, north = np.eye(8, dtype=np.float32)[:2]
    index.upsert([Item("a", "red mug", "Mugs", metadata={"price": 5, "size": "S"}, photo=RED)], east[None], "model")
    changed = Item("a", "blue cup", None, "p", {"price": 7}, BLUE)
    assert index.upsert([changed], north[None], "model") == Changes(changed=1)
    assert index.item("a") == changed
    assert ids(index.search(north[None], 1, "model")[0]) == ["a"]
    for where, there in (("price = 5", []), ("price = 7", ["a"]), ("size is not null", []), ('category = "Mugs"', [])):
        assert ids(index.search(east[None], 5, "model", where)[0]) == there
    for title, first in (("red", "first"), ("cup", "a")):  # the words too
        assert index.search_hybrid(east[None], [title], 1, "model")[0][0].id == first


@pytest.mark.parametrize("new", [None, BLUE])
def test_a_photo_is_changed_or_goes_while_the_vector_stays(index: ProductIndex, new: bytes | None) -> None:
    vector = np.eye(1, 8, dtype=np.float32)
    index.upsert([Item("a", "mug", photo=RED)], vector, "model")
    assert index.upsert([Item("a", "mug", photo=new)], vector, "model") == Changes(changed=1)
    assert index.photo("a") == new


def test_a_photo_stays_while_the_vector_changes(index: ProductIndex) -> None:
    vectors = np.eye(2, 8, dtype=np.float32)
    index.upsert([Item("a", "mug", photo=RED)], vectors[:1], "model")
    index.upsert([Item("a", "cup", photo=RED)], vectors[1:], "model")
    assert index.photo("a") == RED


def test_ids_that_no_text_can_be_are_not_there(index: ProductIndex) -> None:
    """A file name that is not UTF-8 arrives with lone surrogates; a store could not even be asked for it."""
    index.upsert([Item("a", "mug", photo=RED)], np.eye(1, 8, dtype=np.float32), "model")
    odd = "\ud800"
    assert (index.item(odd), index.photo(odd), index.items_without_photos([odd])) == (None, None, {})
    assert list(index.items(["a", odd])) == ["a"]
    assert index.vectors([odd]) == {}
    assert index.delete([odd]) == Changes()


def test_what_is_there_already_is_not_written(index: ProductIndex) -> None:
    item, vector = Item("a", "mug", metadata={"price": 5}, photo=RED), np.eye(1, 8, dtype=np.float32)
    index.upsert([item], vector, "model")
    assert index.upsert([item], vector, "model") == Changes(unchanged=1)
    assert index.upsert([], vector[:0], "model") == Changes()


def test_what_is_deleted_is_gone_and_may_come_back(index: ProductIndex) -> None:
    other = ProductIndex.open(index.path)
    keys = add(index, unit(np.random.default_rng(0), 5))
    query = np.eye(1, 8, dtype=np.float32)
    assert index.delete(["id 1", "nobody", "id 1"]) == Changes(removed=1)
    for reader in (index, other):
        assert "id 1" not in ids(reader.search(query, 9, "model")[0])
        assert reader.item("id 1") is None
        assert len(reader) == 5
    assert index.search_hybrid(query, ["title of id 1"], 9, "model")[0][-1].id != "id 1"
    add(index, query, "back")
    assert ids(index.search(query, 2, "model")[0]) in (["back 0", "first"], ["first", "back 0"])
    index.delete([*keys, "first", "back 0"])
    assert index.search(query, 3, "model") == [[]]
    assert len(index) == 0


@pytest.mark.parametrize(
    ("item", "vector", "fingerprint", "sentence"),
    [
        (Item("a"), np.full((1, 8), np.nan), "model", "not finite, the first for 'a'"),
        (Item("a"), np.ones((1, 8)), "model", "length is not 1, the first for 'a'"),
        (Item("a"), np.eye(1, 7), "model", r"vectors of shape \(1, 7\) do not fit"),
        (Item("a"), np.eye(1, 8), "other", "the vectors come from another model"),
        (Item("a"), np.eye(2, 8), "model", "1 products cannot have 2 vectors"),
        (Item("a", metadata={"x": {1}}), np.eye(1, 8), "model", "the product 'a' cannot be stored"),
        (Item("a", metadata={5: "x"}), np.eye(1, 8), "model", "the product 'a' cannot be stored"),  # type: ignore[dict-item]
        (Item("a", metadata={None: "x"}), np.eye(1, 8), "model", "with texts as keys"),  # type: ignore[dict-item]
        (Item(None), np.eye(1, 8), "model", "the product None cannot be stored"),  # type: ignore[arg-type]
        (Item("a", "\udcff"), np.eye(1, 8), "model", "the product 'a' cannot be stored"),
    ],
)
def test_what_cannot_be_stored_is_refused(
    index: ProductIndex, item: Item, vector: Any, fingerprint: str, sentence: str
) -> None:
    with pytest.raises(VectorError, match=sentence):
        index.upsert([item], vector.astype(np.float32), fingerprint)
    assert len(index) == 1


def test_an_id_that_comes_twice_is_refused(index: ProductIndex) -> None:
    with pytest.raises(VectorError, match="the id 'a' comes twice"):
        index.upsert([Item("a"), Item("b"), Item("a")], np.eye(3, 8, dtype=np.float32), "model")


def test_filters_give_k_hits_however_narrow(index: ProductIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    graph_soon(monkeypatch)
    rng = np.random.default_rng(0)
    vectors = unit(rng, 400)
    index.upsert([Item(f"id {n}", metadata={"n": n}) for n in range(400)], vectors, "model")
    for count in (400, 200, 30, 10, 3):
        hits = index.search(vectors[:5], 10, "model", f"n < {count}")
        for query, found in zip(vectors[:5], hits, strict=True):
            best = np.argsort(-(vectors[:count] @ query))[:10]
            assert ids(found) == [f"id {n}" for n in best]


DEEPEST = {  # as deep as a filter may be, of at most 400 conditions
    "joined after": (lambda inner, level: f"({inner} {('and', 'or')[level % 2]} price > {level})", 29),
    "joined before": (lambda inner, level: f"(price > {level} {('and', 'or')[level % 2]} {inner})", 29),
    "one kind": (lambda inner, level: f"(price > 0 and {inner})", 29),
    "not": (lambda inner, level: f"not {inner}", 29),
    "not of joined": (lambda inner, level: f"not (price > 90 or {inner})", 14),
    "in twos": (lambda inner, level: f"({inner} {('and', 'or')[level % 2]} {inner})", 8),
    "many joined": (lambda inner, level: f"({' or '.join(['price < 0'] * 8)} or (price > 0 and {inner}))", 14),
    "400 joined": (lambda inner, level: " or ".join(["price not in (1, 'x')"] * 400), 1),
    "alternating": (lambda inner, level: f"(price > 1 and (price > 2 or not (price > 90 or {inner})))", 7),
    "of both": (lambda inner, level: f"not (price in (1, 'x') {('and', 'or')[level % 2]} {inner})", 14),
}


@pytest.mark.parametrize(("around", "levels"), DEEPEST.values(), ids=DEEPEST)
def test_the_deepest_filters_are_searched(index: ProductIndex, around: Callable[[str, int], str], levels: int) -> None:
    query = np.eye(1, 8, dtype=np.float32)
    items = [Item(f"id {price}", "mug", metadata={"price": price}) for price in range(20)]
    index.upsert(items, np.repeat(query, 20, axis=0), "model")
    where = "price < 5"
    for level in range(levels):
        where = around(where, level)
    meant = parse_filter(where)
    right = {item.id for item in [*items, Item("first", "the first")] if holds(meant, item)}
    assert set(ids(index.search(query, 30, "model", where)[0])) == right
    assert set(ids(index.search_hybrid(query, ["mug"], 30, "model", where)[0])) == right


def test_a_filter_that_sqlite_cannot_read_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = one_product(tmp_path)
    monkeypatch.setattr(filters, "_DEEPEST", 500)
    index.upsert([Item("a", metadata={"price": 5})], np.eye(1, 8, dtype=np.float32), "model")
    where, refused, query = "price < 5", 0, np.eye(1, 8, dtype=np.float32)
    for level in range(120):
        where = f"({where} {('and', 'or')[level % 2]} price > 0)"
        try:
            index.search_hybrid(query, ["mug"], 3, "model", where)
        except FilterError as error:
            assert "make it simpler" in str(error)  # noqa: PT017
            refused += 1
    with pytest.raises(FilterError, match=r"is too much for SQLite \(.*\); make it simpler"):
        index.search(query, 3, "model", where)
    assert 30 < refused < 90
    assert len(index) == 2


def test_building_tells_of_the_rows_and_of_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph_soon(monkeypatch)
    catalog = write_catalog(tmp_path / "catalog", rows(20))
    told: list[tuple[int, int | None]] = []
    ProductIndex.build(embedded(catalog), catalog, tmp_path / "index", lambda done, total: told.append((done, total)))
    assert told == [(20, 20), (20, 20)]


def test_words_and_vectors_together(index: ProductIndex) -> None:
    north = np.eye(2, 8, dtype=np.float32)[1:]
    vectors = np.repeat(np.eye(1, 8, dtype=np.float32), 4, axis=0)
    vectors[1] = north
    titles = ["Würfel & mug", "green cup", 'a "quoted" mug-tree', None]
    index.upsert([Item(f"{n}", title) for n, title in enumerate(titles)], vectors, "model")
    best = index.search_hybrid(north, ["wurfel"], 2, "model")[0]  # first by words, and first by vector
    assert {hit.id for hit in best} == {"0", "1"}
    assert best[0].id == "0"  # also by vector among the others
    for title in ('"quoted"', "mug - tree", "a* NEAR(b)", "", "  ", '"', "\0", "OR", "\udcff", "x\udcff"):
        assert len(index.search_hybrid(north, [title], 9, "model")[0]) == 5
    assert index.search_hybrid(north, ["wur\udcfffel"], 2, "model")[0] == best
    assert ids(index.search_hybrid(north, ["mug"], 9, "model", 'id in ("0", "1")')[0]) == ["0", "1"]
    with pytest.raises(VectorError, match="2 titles cannot go with 1 queries"):
        index.search_hybrid(north, ["a", "b"], 1, "model")


def test_an_index_that_another_model_built_again_is_refused_to_who_has_it_open(index: ProductIndex) -> None:
    query = np.eye(1, 8, dtype=np.float32)
    with ProductIndex.open(index.path) as other, other._store.writing():
        other._store.write_manifest(index.manifest.model_copy(update={"fingerprint": "another"}))
    for act in (
        lambda: index.search(query, 1, "model"),
        lambda: index.search_hybrid(query, ["first"], 1, "model"),
        lambda: index.upsert([Item("a")], query, "model"),
        lambda: index.delete(["first"]),
    ):
        with pytest.raises(VectorError, match=r"was built again by another model .*; open it again"):
            act()
    assert ids(ProductIndex.open(index.path).search(query, 9, "another")[0]) == ["first"]


# Tonight's catalogue


def rows(count: int, **changed: Row) -> list[Row]:
    all_rows = [Row(f"id {n}", f"mug {n}", RED if n % 2 else BLUE, metadata={"price": n}) for n in range(count)]
    return [changed.get(f"id_{n}", row) for n, row in enumerate(all_rows)]


def embedded(catalog: Catalog) -> Vectors:
    return embed_catalog(dummy(), catalog, "title")


def test_an_update_writes_what_differs(tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    yesterday = write_catalog(tmp_path / "yesterday", rows(50))
    index = ProductIndex.build(embedded(yesterday), yesterday, place("index"))
    reader = ProductIndex.open(index.path)
    changed = {
        "id_3": Row("id 3", "mug 3", RED, metadata={"price": 99}),  # the price
        "id_5": Row("id 5", "cup 5", RED, metadata={"price": 5}),  # the title, so the vector
        "id_7": Row("id 7", "mug 7", BLUE, metadata={"price": 7}),  # the photo, not the vector: titles were embedded
        "id_9": Row("new", "jug", RED),
    }
    tonight = write_catalog(tmp_path / "tonight", rows(50, **changed)[:48])
    read: list[int] = []
    photos = Catalog.photos

    def noted(catalog: Catalog, asked: Iterable[int]) -> list[bytes | None]:
        asked = list(asked)
        read.extend(asked)
        return photos(catalog, asked)

    vectors = embedded(tonight)
    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "photos", noted)
        assert index.update(vectors, tonight) == Changes(added=1, changed=3, unchanged=44, removed=3)
    assert read == [7, 9]
    fresh = ProductIndex.build(embedded(tonight), tonight, place("fresh"))
    queries = embedded(tonight).vectors
    for updated in (index, reader):
        assert updated.search(queries, 5, "dummy") == fresh.search(queries, 5, "dummy")
        assert updated.items(tonight.ids) == fresh.items(tonight.ids)
        assert updated.search(queries, 5, "dummy", "price > 40") == fresh.search(queries, 5, "dummy", "price > 40")
        assert len(updated) == 48
    assert index.manifest.catalog_fingerprint == tonight.fingerprint
    assert index.update(embedded(tonight), tonight) == Changes(unchanged=48)


def test_vectors_of_another_batch_are_no_change(tmp_path: Path, place: Place) -> None:
    yesterday = write_catalog(tmp_path / "yesterday", rows(30))
    index = ProductIndex.build(embedded(yesterday), yesterday, place("index"))
    held = dict(zip(*next(index.scan()), strict=True))
    tonight = write_catalog(tmp_path / "tonight", rows(30, id_3=Row("id 3", "mug 3", RED, metadata={"price": 99})))
    again = embedded(tonight)
    noise = 3e-7 * np.random.default_rng(0).standard_normal(again.vectors.shape).astype(np.float32)
    again.vectors[:] += noise
    again.vectors[7] = -again.vectors[7]  # no rounding
    assert index.update(again, tonight) == Changes(changed=2, unchanged=28)
    now = dict(zip(*next(index.scan()), strict=True))
    assert [key for key in tonight.ids if not np.array_equal(now[key], held[key])] == ["id 7"]
    assert np.array_equal(now["id 7"], again.vectors[7])
    assert index.item("id 3") == Item("id 3", "mug 3", metadata={"price": 99}, photo=RED)


def test_a_model_embeds_what_has_changed_and_nothing_else(tmp_path: Path, place: Place) -> None:
    yesterday = write_catalog(tmp_path / "yesterday", rows(50))
    index = ProductIndex.build(embedded(yesterday), yesterday, place("index"))
    changed = {
        "id_3": Row("id 3", "mug 3", RED, metadata={"price": 99}),  # the price alone
        "id_5": Row("id 5", "cup 5", RED, metadata={"price": 5}),
        "id_7": Row("id 7", "mug 7", BLUE, metadata={"price": 7}),
        "id_9": Row("new", "jug", RED),
    }
    tonight = write_catalog(tmp_path / "tonight", rows(50, **changed)[:48])
    model = DummyEmbedder()
    assert index.update(cast("Embedder", model), tonight) == Changes(added=1, changed=3, unchanged=44, removed=3)
    assert model.sizes == [3]
    fresh = ProductIndex.build(embedded(tonight), tonight, place("fresh"))
    queries = embedded(tonight).vectors
    assert index.search(queries, 5, "dummy") == fresh.search(queries, 5, "dummy")
    assert index.items(tonight.ids) == fresh.items(tonight.ids)
    assert index.manifest == fresh.manifest
    told: list[tuple[int, int | None]] = []
    again = index.update(cast("Embedder", model), tonight, lambda done, total: told.append((done, total)))
    assert again == Changes(unchanged=48)
    assert model.sizes == [3]
    assert told
    assert all(done for done, _ in told)  # nothing is embedded, and nothing said of that
    with pytest.raises(VectorError, match="the vectors come from another model"):
        index.update(dummy(fingerprint="other"), tonight)


def test_what_another_changed_while_a_model_embedded_is_not_lost(tmp_path: Path, place: Place) -> None:
    catalog = write_catalog(tmp_path / "catalog", rows(4))
    index = ProductIndex.build(embedded(catalog), catalog, place("index"))
    other = ProductIndex.open(index.path)

    class Slow(DummyEmbedder):
        def embed(self, *arguments: Any, **options: Any) -> NDArray[np.float32]:
            query = np.eye(1, 16, dtype=np.float32)
            other.upsert([Item("id 2", "changed meanwhile")], query, "dummy")
            with ThreadPoolExecutor(1) as threads:  # by the very object that is being updated
                (hits,) = threads.submit(index.search, query, 1, "dummy").result(timeout=60)
            assert ids(hits) == ["id 2"]
            return super().embed(*arguments, **options)

    tonight = write_catalog(tmp_path / "tonight", [*rows(4), Row("new", "jug")])
    with pytest.raises(VectorError, match="'id 2' was changed in the index by another process meanwhile"):
        index.update(cast("Embedder", Slow()), tonight)
    assert len(index) == 4
    assert index.items(["id 2"])["id 2"].title == "changed meanwhile"
    assert index.update(cast("Embedder", DummyEmbedder()), tonight) == Changes(added=1, changed=1, unchanged=3)


def test_an_update_that_ends_early_changes_nothing(tmp_path: Path, place: Place) -> None:
    yesterday = write_catalog(tmp_path / "yesterday", rows(20))
    index = ProductIndex.build(embedded(yesterday), yesterday, place("index"))
    before = index.search(embedded(yesterday).vectors, 20, "dummy")
    tonight = write_catalog(tmp_path / "tonight", rows(30)[10:])

    def fail(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index.update(embedded(tonight), tonight, fail)
    assert index.search(embedded(yesterday).vectors, 20, "dummy") == before


def test_an_update_by_another_model_is_refused(tmp_path: Path, place: Place) -> None:
    catalog = write_catalog(tmp_path / "catalog", rows(3))
    vectors = embedded(catalog)
    index = ProductIndex.build(vectors, catalog, place("index"))
    with pytest.raises(VectorError, match="the vectors come from another model"):
        index.update(replace(vectors, fingerprint="other"), catalog)
    with pytest.raises(VectorError, match=r"made with --modalities both, those of .* with title"):
        index.update(replace(vectors, modalities="both"), catalog)
    with pytest.raises(VectorError, match="1 of its 3 rows lack one"):
        index.update(replace(vectors, ids=vectors.ids[:2], vectors=vectors.vectors[:2]), catalog)


def test_metadata_are_compared_as_they_are_stored(tmp_path: Path, place: Place) -> None:
    catalog = write_catalog(
        tmp_path / "catalog", [Row("a", "mug", metadata=json.loads('{"x": [1, null, {"y": "ß"}]}'))]
    )
    index = ProductIndex.build(embedded(catalog), catalog, place("index"))
    assert index.update(embedded(catalog), catalog) == Changes(unchanged=1)
