"""What only an index in PostgreSQL has: loads that go on, graphs of pgvector, and a server that may refuse."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psycopg
import pytest
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.embedding.vectors import Vectors
from item_embed.errors import ItemError, VectorError
from item_embed.files import OutputError
from item_embed.search import feed
from item_embed.search.address import read_address
from item_embed.search.index import ProductIndex
from item_embed.search.items import Item
from item_embed.search.postgres import nearest, waiting
from item_embed.search.postgres.store import PostgresStore
from item_embed.search.postgres.words import words_of
from tests.catalogs import Row, photo, write_catalog
from tests.search.made import add, expected, graph_soon, one_product, unit
from tests.servers import Server, postgres

RED, BLUE = photo((200, 0, 0)), photo((0, 0, 200))
QUERY = np.eye(1, 8, dtype=np.float32)


def everything(url: str) -> tuple[list[str], NDArray[np.float32], dict[str, Item], list[tuple[str, float]]]:
    """What an index holds: ids in their order, vectors, products, and what a hybrid search finds."""
    with ProductIndex.open(url) as index:
        ids, vectors = zip(*index.scan(7), strict=True)
        keys = [key for part in ids for key in part]
        hits = index.search_hybrid(QUERY, ["mug 3"], 50, "model", "price < 30")[0]
        return keys, np.concatenate(vectors), index.items(keys), [(hit.id, hit.score) for hit in hits]


def catalog_of(folder: Path, count: int) -> Vectors:
    """A catalogue in the folder, and vectors for it."""
    rows = [Row(f"id {n}", f"mug {n}", RED if n % 2 else BLUE, metadata={"price": n}) for n in range(count)]
    write_catalog(folder, rows)
    return Vectors([row.id for row in rows], unit(np.random.default_rng(0), count), "model", "run/model")


_LOADER = """
import os, signal, sys
from pathlib import Path
from item_embed.catalog.store import Catalog
from item_embed.search import feed
from item_embed.search.index import ProductIndex
from tests.search.test_postgres import catalog_of
feed._PART_ROWS = 10
vectors = catalog_of(Path(sys.argv[3]), 50)
def die(done, total):
    if done == 30:
        os.kill(os.getpid(), signal.SIGKILL)
ProductIndex.build(vectors, Catalog(sys.argv[2]), sys.argv[1], die)
"""


def test_a_load_that_was_killed_goes_on_and_ends_like_one_that_was_not(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_PART_ROWS", 10)
    vectors = catalog_of(tmp_path / "catalog", 50)
    catalog = Catalog(tmp_path / "catalog")
    killed, whole = server.schema(), server.schema()
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "src")])}
    command = [sys.executable, "-c", _LOADER, killed, str(tmp_path / "catalog"), str(tmp_path / "other")]
    assert subprocess.run(command, env=environment, check=False, timeout=120).returncode == -signal.SIGKILL
    with pytest.raises(VectorError, match="half loaded; run the same `item index` again"):
        ProductIndex.open(killed)
    schema = read_address(killed).schema
    assert server.execute(f"SELECT count(*) FROM {schema}.items") == [(30,)]
    before = server.execute(f"SELECT xmin::text, id FROM {schema}.items ORDER BY number")
    ProductIndex.build(vectors, catalog, killed).close()
    assert server.execute(f"SELECT xmin::text, id FROM {schema}.items ORDER BY number")[:30] == before  # not written
    ProductIndex.build(vectors, catalog, whole).close()
    left, right = everything(killed), everything(whole)
    assert left[0] == right[0] == catalog.ids
    assert np.array_equal(left[1], right[1])
    assert left[2:] == right[2:]
    for url in (killed, whole):
        counted = f"SELECT products, words, whole, graph FROM {read_address(url).schema}.manifest"
        assert server.execute(counted) == [(50, 100, True, False)]


def test_a_half_loaded_index_of_another_catalogue_is_begun_anew(server: Server, tmp_path: Path) -> None:
    url = server.schema()

    def die(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    first = write_catalog(tmp_path / "first", [Row("gone", "gone")])
    with pytest.raises(KeyboardInterrupt):
        ProductIndex.build(Vectors(["gone"], np.eye(1, 4, dtype=np.float32), "old", "m"), first, url, die)
    second = write_catalog(tmp_path / "second", [Row("new", "new")])
    index = ProductIndex.build(Vectors(["new"], QUERY, "model", "m"), second, url)
    assert [hit.id for hit in index.search(QUERY, 5, "model")[0]] == ["new"]


def test_what_is_there_is_not_built_over(server: Server, tmp_path: Path) -> None:
    url = server.schema()
    one_product(tmp_path / "a", out=url)
    with pytest.raises(OutputError, match=r"exists already; name another schema, .* --update"):
        one_product(tmp_path / "b", out=url)
    schema = read_address(url).schema
    server.execute(f"DROP TABLE {schema}.manifest; ALTER TABLE {schema}.keys RENAME TO mine")
    with pytest.raises(OutputError, match=r"tables that are no index's \(items, mine, photos\)"):
        one_product(tmp_path / "c", out=url)


def test_two_loads_at_once(server: Server, tmp_path: Path) -> None:
    url = server.schema()
    vectors, seen = Vectors(["a"], QUERY, "model", "m"), list[int]()
    catalog = write_catalog(tmp_path / "catalog", [Row("a", "a")])

    def again(done: int, total: int | None) -> None:
        if not seen:
            seen.append(done)
            with pytest.raises(OutputError, match="is being written by another process"):
                ProductIndex.build(vectors, catalog, url)

    ProductIndex.build(vectors, catalog, url, again)
    assert seen == [1]


def test_a_graph_finds_as_exact_search_does_and_keeps_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph_soon(monkeypatch, rows=100)
    index = one_product(tmp_path, out=server.schema())
    vectors = unit(np.random.default_rng(0), 1000)
    keys = [f"id {n}" for n in range(1000)]
    items = [Item(key, metadata={"n": n}) for n, key in enumerate(keys)]
    index.upsert(items, vectors, "model")
    schema = read_address(str(index.path)).schema
    (plan,) = server.execute(f"SELECT indexdef FROM pg_indexes WHERE schemaname = '{schema}' AND indexdef ~ 'hnsw'")
    assert "halfvec_ip_ops" in plan[0]
    index.delete(["first", *keys[900:]])
    new = unit(np.random.default_rng(1), 50)
    add(index, new, "new")
    held = dict(zip(keys[:900], zip(items, vectors, strict=False), strict=False)) | {
        f"new {n}": (Item(f"new {n}"), vector) for n, vector in enumerate(new)
    }
    for where in (None, "n < 500", "n >= 890", "n is null"):
        found = index.search(vectors[:20], 10, "model", where)
        right = [{key for key, _ in expected(held, query, 10, where)} for query in vectors[:20]]
        shared = [len(there & {hit.id for hit in hits}) for hits, there in zip(found, right, strict=True)]
        assert sum(shared) >= 0.95 * sum(map(len, right))


def test_equal_scores_go_by_tie_key_and_zero_vectors_are_found(server: Server, tmp_path: Path) -> None:
    index = one_product(tmp_path, out=server.schema())
    vectors = np.repeat(np.eye(2, 8, dtype=np.float32), 30, axis=0)
    vectors[-5:] = 0
    ids = add(index, vectors)
    held = {key: (Item(key), vector) for key, vector in zip(ids, vectors, strict=True)}
    held["first"] = (Item("first"), QUERY[0])
    for k in (1, 5, 40, 70):
        hits = index.search(QUERY, k, "model")[0]
        assert [(hit.id, hit.score) for hit in hits] == expected(held, QUERY[0], k)


def test_words_are_cut_as_fts5_cuts_them() -> None:
    assert words_of("Grüne ÄPFEL (2-pack) & crème_brûlée №5 Женская") == (
        ["grune", "apfel", "2", "pack", "creme", "brulee", "no5", "женская"]
    )
    assert words_of(None) == words_of(" \0- ") == []


@pytest.mark.parametrize(
    ("item", "sentence"),
    [
        (Item("a", "mug\0"), "the product 'a' has a zero byte in a text"),
        (Item("a", metadata={"x": "\0"}), "the product 'a' has a zero byte in a text"),
        (Item("a", metadata={"x": float("nan")}), "metadata of the product 'a' hold a number that is not finite"),
    ],
)
def test_what_postgres_cannot_store_is_named(server: Server, tmp_path: Path, item: Item, sentence: str) -> None:
    index = one_product(tmp_path, out=server.schema())
    with pytest.raises(VectorError, match=sentence):
        index.upsert([item], QUERY, "model")
    assert len(index) == 1
    assert index.items(["\0"]) == {}
    assert index.delete(["\0"]).removed == 0


def test_servers_that_refuse(server: Server, tmp_path: Path) -> None:
    one_product(tmp_path, out=server.schema())
    server.execute("CREATE ROLE guest LOGIN")
    secret = "se%40cret"
    cases = {
        f"postgresql://me:{secret}@127.0.0.1:1/db": "postgresql://me@127.0.0.1:1/db.* cannot be reached .*PGPASSWORD",
        server.address("schema=nothing&nonsense=1"): "cannot be read or written",
        server.address("schema=nothing"): "is not an index: it has no table manifest; make one with `item index`",
        server.address("schema=s").replace(
            "/postgres?", "/nowhere?"
        ): 'cannot be reached .*database "nowhere" does not',
        server.address("schema=s", user="nobody"): 'cannot be reached .*role "nobody" does not exist',
    }
    for url, sentence in cases.items():
        with pytest.raises(ItemError, match=sentence) as caught:
            ProductIndex.open(url)
        assert "cret" not in str(caught.value)
        assert "\n" not in str(caught.value)
    catalog = write_catalog(tmp_path / "guests", [Row("a", "a")])
    with pytest.raises(OutputError, match=r"refuses this user \(permission denied for database postgres\)"):
        ProductIndex.build(Vectors(["a"], QUERY, "model", "m"), catalog, server.address("schema=guests", user="guest"))


def test_who_may_only_read_searches_and_is_refused_a_change(server: Server, tmp_path: Path) -> None:
    url = server.schema()
    schema = read_address(str(one_product(tmp_path, out=url).path)).schema
    server.execute("CREATE ROLE reader LOGIN")
    server.execute(f"GRANT USAGE ON SCHEMA {schema} TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO reader")
    index = ProductIndex.open(url.replace("user=postgres", "user=reader"))
    assert [hit.id for hit in index.search_hybrid(QUERY, ["first"], 5, "model", "id is not null")[0]] == ["first"]
    with pytest.raises(OutputError, match=r"refuses this user \(permission denied for table manifest\)"):
        add(index, QUERY)


def test_another_schema_version_and_damage(server: Server, tmp_path: Path) -> None:
    index = one_product(tmp_path, out=server.schema())
    schema = read_address(str(index.path)).schema
    server.execute(f"UPDATE {schema}.manifest SET version = 99")
    with pytest.raises(VectorError, match="schema version 99, this item-embed reads 1; drop its schema and build"):
        ProductIndex.open(index.path)
    server.execute(f"UPDATE {schema}.manifest SET version = 1; DROP TABLE {schema}.photos")
    with pytest.raises(VectorError, match=r"is damaged or incomplete \(relation \"photos\" does not exist\); drop"):
        ProductIndex.open(index.path).photo("first")


def test_a_second_writer_is_told(server: Server, tmp_path: Path) -> None:
    index = one_product(tmp_path, out=server.schema(), timeout=0.05)
    with psycopg.connect(server.address("connect_timeout=9")) as other:
        other.execute(f"SELECT FROM {read_address(str(index.path)).schema}.manifest FOR UPDATE".encode())
        with pytest.raises(OutputError, match="is being written by another process; wait for it, or stop it"):
            add(index, QUERY)
        assert len(index) == 1  # it reads on meanwhile
    add(index, QUERY)
    assert len(index) == 2


def test_a_search_that_takes_too_long_is_ended(server: Server, tmp_path: Path) -> None:
    index = one_product(tmp_path, out=server.schema())
    schema = read_address(str(index.path)).schema
    impatient = ProductIndex(f"{index.path}&statement_timeout=0.05")
    with psycopg.connect(server.address("connect_timeout=9")) as other:
        other.execute(f"LOCK TABLE {schema}.photos".encode())
        with pytest.raises(OutputError, match=r"did not answer within 0\.05 s; .* statement_timeout=SECONDS"):
            impatient.photo("first")
    assert impatient.photo("first") is None


def _answering(index: ProductIndex) -> int:
    """The process of the server that answers an index."""
    assert isinstance(index._store, PostgresStore)
    connection = index._store.database._connection
    assert connection is not None
    return connection.info.backend_pid


def test_a_server_that_hangs_is_not_waited_for(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "GRACE", 0.1)
    url = f"{one_product(tmp_path, out=server.schema()).path}&statement_timeout=0.2"
    index = ProductIndex(url)
    process = _answering(index)
    os.kill(process, signal.SIGSTOP)  # it takes what is sent, and answers nothing
    try:
        with pytest.raises(OutputError, match=r"did not answer within 0\.2 s; ask again"):
            index.search(QUERY, 1, "model")
        assert [hit.id for hit in index.search(QUERY, 1, "model")[0]] == ["first"]  # by another connection
    finally:
        os.kill(process, signal.SIGCONT)
    assert add(index, QUERY) == ["id 0"]
    assert len(index) == 2


def test_a_full_disk_keeps_what_was_there(server: Server, tmp_path: Path) -> None:
    index = one_product(tmp_path, out=server.schema())
    schema = read_address(str(index.path)).schema
    server.execute(
        f"CREATE FUNCTION {schema}.full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$; "
        f"CREATE TRIGGER full_disk BEFORE INSERT ON {schema}.photos EXECUTE FUNCTION {schema}.full()"
    )  # what the server says of a full disk, after the product itself was written
    with pytest.raises(OutputError, match="its disk is full; nothing of this change was kept"):
        index.upsert([Item("large", photo=bytes(100_000))], QUERY, "model")
    assert len(index) == 1
    assert index.item("large") is None
    server.execute(f"DROP TRIGGER full_disk ON {schema}.photos")
    index.upsert([Item("large", photo=bytes(100_000))], QUERY, "model")
    assert len(index) == 2


@pytest.mark.slow
def test_a_server_that_went_and_came_back(tmp_path: Path) -> None:
    with postgres() as server:
        index = one_product(tmp_path, out=server.schema())
        server.stop()
        for _ in range(2):
            with pytest.raises(OutputError, match="cannot be reached"):
                index.search(QUERY, 1, "model")
        server.start()
        assert [hit.id for hit in index.search(QUERY, 1, "model")[0]] == ["first"]


def test_without_the_libraries_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ItemError, match=r"pip install '\.\[postgres\]'"):
        ProductIndex.open("postgresql://h/d")


def test_narrow_filters_are_searched_exactly(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "EXACT_ROWS", 100)
    index = one_product(tmp_path, out=server.schema())
    vectors = unit(np.random.default_rng(0), 3000)
    items = [Item(f"id {n}", metadata={"n": n}) for n in range(3000)]
    index.upsert(items, vectors, "model")
    held = {item.id: (item, vector) for item, vector in zip(items, vectors, strict=True)}
    hits = index.search(vectors[:5], 10, "model", "n < 2000")  # 2,000 squared is less than 3,001 * 128 * 16
    for query, found in zip(vectors[:5], hits, strict=True):
        assert [(hit.id, hit.score) for hit in found] == expected(held, query, 10, "n < 2000")
