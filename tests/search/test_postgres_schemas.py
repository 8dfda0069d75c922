"""Where pgvector and an index's schema lie in PostgreSQL, who may make them, and two that make them at once."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import psycopg
import pytest

from item_embed.catalog.store import Catalog
from item_embed.embedding.vectors import Vectors
from item_embed.files import OutputError
from item_embed.search.address import read_address
from item_embed.search.index import ProductIndex
from item_embed.search.postgres.database import Database
from tests.catalogs import Row, write_catalog
from tests.search.made import add, graph_soon, unit
from tests.servers import Server

QUERY = np.eye(1, 8, dtype=np.float32)
HOME = "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'vector'"


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return write_catalog(tmp_path / "catalog", [Row("first", "first")])


def load(catalog: Catalog, url: str) -> None:
    """Load an index of one product, and find that through another connection."""
    ProductIndex.build(Vectors(["first"], QUERY, "model", "m"), catalog, url).close()
    with ProductIndex.open(url) as index:
        assert [hit.id for hit in index.search_hybrid(QUERY, ["first"], 5, "model")[0]] == ["first"]


def wait_for_a_lock(server: Server) -> None:
    """Return when somebody waits for a lock."""
    end = monotonic() + 30
    while server.execute("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(0,)]:
        assert monotonic() < end
        sleep(0.02)


def test_dropping_a_schema_that_was_there_before_leaves_pgvector_to_the_others(
    server: Server, catalog: Catalog
) -> None:
    database = server.database()
    server.execute("CREATE SCHEMA mugs", database)
    for schema in ("mugs", "shoes"):
        load(catalog, server.address(f"schema={schema}", database=database))
    assert server.execute(HOME, database) == [("public",)]
    server.execute("DROP SCHEMA mugs CASCADE", database)
    with ProductIndex.open(server.address("schema=shoes", database=database)) as index:
        assert len(index.search(QUERY, 5, "model")[0]) == 1


@pytest.mark.parametrize("path", ["", "&options=-csearch_path%3D"])
def test_pgvector_may_live_in_any_schema(
    server: Server, catalog: Catalog, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph_soon(monkeypatch, rows=100)
    database = server.database()
    server.execute('CREATE SCHEMA "Add ons"; CREATE EXTENSION vector SCHEMA "Add ons"', database)
    url = server.address(f"schema=mugs{path}", database=database)
    load(catalog, url)
    with ProductIndex.open(url) as index:
        vectors = unit(np.random.default_rng(0), 200)
        add(index, vectors)
        assert index.search(vectors[7:8], 1, "model")[0][0].score == pytest.approx(1)
        assert sum(len(ids) for ids, _ in index.scan(50)) == 201
    assert server.execute("SELECT graph FROM mugs.manifest", database) == [(True,)]


def test_who_may_not_look_into_the_schema_of_pgvector_is_told_which(server: Server, catalog: Catalog) -> None:
    database = server.database()
    server.execute(
        "CREATE SCHEMA extensions; CREATE EXTENSION vector SCHEMA extensions; CREATE ROLE outside LOGIN", database
    )
    with pytest.raises(OutputError, match=r"refuses this user \(permission denied for schema extensions\); ask"):
        load(catalog, server.address("schema=mugs", "outside", database))


def test_without_public_one_is_told_to_choose(server: Server, catalog: Catalog) -> None:
    database = server.database()
    server.execute("DROP SCHEMA public", database)
    with pytest.raises(OutputError, match="neither pgvector nor a schema public for it; run CREATE EXTENSION vector"):
        load(catalog, server.address("schema=mugs", database=database))


def test_who_owns_a_schema_and_nothing_else_can_load(server: Server, catalog: Catalog) -> None:
    database = server.database()
    server.execute("CREATE ROLE shop LOGIN; CREATE EXTENSION vector; CREATE SCHEMA mine AUTHORIZATION shop", database)
    load(catalog, server.address("schema=mine", "shop", database))
    with pytest.raises(OutputError, match=rf"refuses this user \(permission denied for database {database}\)"):
        load(catalog, server.address("schema=other", "shop", database))


def test_who_may_create_in_a_database_makes_the_schema(server: Server, catalog: Catalog) -> None:
    database = server.database()
    server.execute(
        f"CREATE EXTENSION vector; CREATE ROLE maker LOGIN; GRANT CREATE ON DATABASE {database} TO maker", database
    )
    load(catalog, server.address("schema=mugs", "maker", database))


def test_two_first_loads_at_once_wait_for_each_other(server: Server, catalog: Catalog) -> None:
    database = server.database()
    mugs, shoes = (server.address(f"schema={schema}", database=database) for schema in ("mugs", "shoes"))
    with ThreadPoolExecutor() as threads, closing(Database(read_address(mugs), 30)) as first:
        with first.transaction(write=True):
            first.create(8)
            second = threads.submit(load, catalog, shoes)
            wait_for_a_lock(server)
        second.result(timeout=60)


def test_what_another_made_meanwhile_is_a_sentence(server: Server, catalog: Catalog) -> None:
    database = server.database()
    url = server.address("schema=mugs", database=database)
    with ThreadPoolExecutor() as threads:
        with psycopg.connect(server.address("connect_timeout=9", database=database)) as other:
            other.execute("CREATE EXTENSION vector")
            waiting = threads.submit(load, catalog, url)
            wait_for_a_lock(server)
        with pytest.raises(OutputError, match=r"refuses this change \(duplicate key .* nothing of it .* do it again"):
            waiting.result(timeout=60)
    load(catalog, url)
