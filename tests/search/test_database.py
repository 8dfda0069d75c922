"""Readers and writers side by side, and what goes wrong with a file."""

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from item_embed.errors import VectorError
from item_embed.files import OutputError
from item_embed.search import database
from item_embed.search.index import ProductIndex
from item_embed.search.items import Item
from item_embed.search.snapshot import GraphBuilder
from tests.search.made import add, embedded, folder_of, graph_soon, one_product, unit

QUERY = np.eye(1, 8, dtype=np.float32)


def everything(index: ProductIndex) -> list[str]:
    return sorted(hit.id for hit in index.search(QUERY, 1000, "model")[0])


def test_a_second_writer_is_told(tmp_path: Path) -> None:
    index = one_product(tmp_path, timeout=0.05)
    with sqlite3.connect(folder_of(index) / database.FILE, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM items")
        with pytest.raises(OutputError, match="is being written by another process; wait for it, or stop it"):
            add(index, QUERY)
        assert everything(index) == ["first"]  # it reads on meanwhile
        other.execute("ROLLBACK")
    add(index, QUERY)
    assert everything(index) == ["first", "id 0"]


def test_a_second_writer_waits(tmp_path: Path) -> None:
    index = one_product(tmp_path)
    code = (
        "import sqlite3, sys, time\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('BEGIN IMMEDIATE')\n"
        "print('begun', flush=True)\n"
        "time.sleep(.3)\n"
        "c.execute('COMMIT')\n"
    )
    command = [sys.executable, "-c", code, str(folder_of(index) / database.FILE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        add(index, QUERY)
    assert everything(index) == ["first", "id 0"]


def test_two_that_write_in_turn_see_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph_soon(monkeypatch)
    index = one_product(tmp_path)
    other = ProductIndex.open(index.path)
    rng = np.random.default_rng(0)
    for turn in range(8):
        add(index if turn % 2 else other, unit(rng, 5), f"turn {turn}")
        assert len(index) == len(other) == 1 + 5 * (turn + 1)
        assert index.search(QUERY, 50, "model") == other.search(QUERY, 50, "model")
    assert len(list(folder_of(index).glob("snapshot-*"))) == 1
    assert not list(folder_of(index).glob(".*"))


def test_threads_may_share_an_index(tmp_path: Path) -> None:
    index = one_product(tmp_path)
    vectors = unit(np.random.default_rng(0), 40)

    def work(turn: int) -> int:
        index.upsert([Item(f"{turn}", "title")], vectors[turn : turn + 1], "model")
        (hits,) = index.search(vectors[turn : turn + 1], 1, "model")
        return int(hits[0].id)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(work, range(40))) == list(range(40))
    assert len(index) == 41


def test_a_full_disk_keeps_what_was_there(tmp_path: Path) -> None:
    index = one_product(tmp_path)
    connection = embedded(index)[0]._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(OutputError, match="the disk is full; nothing of this change was kept"):
        index.upsert([Item("large", photo=bytes(100_000))], QUERY, "model")
    assert everything(index) == ["first"]
    connection.execute("PRAGMA max_page_count = 100000")
    index.upsert([Item("large", photo=bytes(100_000))], QUERY, "model")
    assert everything(ProductIndex.open(index.path)) == ["first", "large"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OutputError("no space")])
def test_a_graph_that_cannot_be_written_takes_nothing_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    graph_soon(monkeypatch)
    index = one_product(tmp_path)

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(GraphBuilder, "save", fail)
        with pytest.raises(OutputError, match=r"all products are in .* cannot be written \(.*pace"):
            add(index, unit(np.random.default_rng(0), 20))
    assert len(everything(index)) == len(everything(ProductIndex.open(index.path))) == 21
    assert not list(folder_of(index).glob("*snapshot*"))
    add(index, QUERY, "next")  # and the next change tries again
    assert len(list(folder_of(index).glob("snapshot-*"))) == 1
    assert len(everything(index)) == 22


def test_what_a_killed_process_left_of_a_graph_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph_soon(monkeypatch)
    index = one_product(tmp_path)
    (folder_of(index) / ".snapshot-7.item-partial").mkdir()
    (folder_of(index) / "snapshot-1").mkdir()
    (folder_of(index) / "snapshot of mine").mkdir()
    add(index, unit(np.random.default_rng(0), 20))
    (name,) = (folder.name for folder in folder_of(index).glob("*snapshot-*"))
    assert name not in {"snapshot-1", ".snapshot-7.item-partial"}
    assert (folder_of(index) / "snapshot of mine").exists()


@pytest.mark.parametrize("file", ["graph.faiss", "rows.npy", "ties.npy"])
@pytest.mark.parametrize("how", ["missing", "cut", "empty"])
def test_a_damaged_graph_is_done_without_and_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, how: str
) -> None:
    graph_soon(monkeypatch)
    index = one_product(tmp_path)
    vectors = unit(np.random.default_rng(0), 20)
    add(index, vectors)
    right = index.search(vectors, 5, "model")
    index.close()
    (snapshot,) = folder_of(index).glob("snapshot-*")
    whole = (snapshot / file).read_bytes()
    (snapshot / file).unlink()
    if how != "missing":
        (snapshot / file).write_bytes(whole[: len(whole) // 2] if how == "cut" else b"")
    again = ProductIndex.open(index.path)
    assert again.search(vectors, 5, "model") == right
    again.delete(["first"])
    (new,) = folder_of(again).glob("snapshot-*")
    assert new != snapshot
    assert len(ProductIndex.open(index.path)) == 20


def test_a_vector_of_another_dimension_in_the_file_is_damage(tmp_path: Path) -> None:
    index = one_product(tmp_path)
    with sqlite3.connect(folder_of(index) / database.FILE) as connection:
        connection.execute("UPDATE vectors SET vector = x'0000803f'")
    with pytest.raises(VectorError, match="is damaged or incomplete; build it again"):
        ProductIndex.open(index.path)


def test_mistakes_of_ours_are_no_damage(tmp_path: Path) -> None:
    index = one_product(tmp_path)
    index.close()
    with pytest.raises(sqlite3.ProgrammingError):
        len(index)


def only_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is to somebody without the right to write, of which the tests may have too much."""
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and access(path, mode))


def contents(folder: Path) -> dict[str, bytes]:
    """Its files, but for what SQLite's readers share."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if not file.name.endswith("-shm")}


@pytest.mark.parametrize("beside", ["nobody", "a writer"])
def test_who_may_only_read_an_index_searches_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: str) -> None:
    index = one_product(tmp_path / "an index: 100% of it?")
    add(index, QUERY)
    if beside == "nobody":
        index.close()
    there = contents(folder_of(index))
    only_readable(monkeypatch)
    reader = ProductIndex.open(index.path)
    assert everything(reader) == ["first", "id 0"]
    assert next(reader.scan())[0] == ["first", "id 0"]
    for change in (lambda: add(reader, QUERY, "new"), lambda: reader.delete(["first"])):
        with pytest.raises(OutputError, match="may only be read; get the right to write it and its folder"):
            change()
    assert everything(reader) == ["first", "id 0"]
    reader.close()
    assert there == contents(folder_of(index))


@pytest.mark.parametrize("graph", [False, True])
def test_who_may_only_read_sees_what_others_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, graph: bool
) -> None:
    if graph:
        graph_soon(monkeypatch)
    path = one_product(tmp_path).path
    ProductIndex.open(path).close()
    with monkeypatch.context() as patch:
        only_readable(patch)
        reader = ProductIndex.open(path)
        assert everything(reader) == ["first"]
    for night in range(3):
        writer = ProductIndex.open(path)
        ids = add(writer, unit(np.random.default_rng(night), 20))
        with monkeypatch.context() as patch:
            only_readable(patch)
            assert everything(reader) == sorted(["first", *ids])  # beside the writer, by its log
        writer.delete(ids[:night])
        writer.close()
        with monkeypatch.context() as patch:
            only_readable(patch)
            assert everything(reader) == sorted(["first", *ids[night:]])
            assert sorted(next(reader.scan())[0]) == sorted(["first", *ids[night:]])
            assert len(reader) == 21 - night


def test_what_changes_while_it_is_read_is_refused_to_who_may_only_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = one_product(tmp_path)
    add(index, unit(np.random.default_rng(0), 20))
    index.close()
    only_readable(monkeypatch)
    reader = ProductIndex.open(index.path)
    scan = reader.scan(block=5)
    next(scan)
    os.utime(folder_of(index) / database.FILE, (1, 1))  # as another process leaves it behind
    with pytest.raises(OutputError, match="was changed by another process while it was read; ask again"):
        list(scan)
    assert len(everything(reader)) == 21
    with pytest.raises(OutputError, match="was changed by another process"), embedded(reader)[0].reading():
        os.utime(folder_of(index) / database.FILE, (2, 2))
    (folder_of(index) / database.FILE).unlink()
    with pytest.raises(VectorError, match="is not an index"):
        everything(reader)


def test_a_log_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = one_product(tmp_path)
    add(index, QUERY)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in (database.FILE, f"{database.FILE}-wal"):
        (copy / name).write_bytes((folder_of(index) / name).read_bytes())
    error = sqlite3.OperationalError("unable to open database file")
    error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN  # what somebody gets who may not make the -shm

    def refuse(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", refuse)
        with pytest.raises(OutputError, match=r"a index.sqlite-wal and no index.sqlite-shm, somebody who may write it"):
            ProductIndex.open(copy)
    assert everything(ProductIndex.open(copy)) == ["first", "id 0"]


def test_an_index_that_is_closed_is_one_file(tmp_path: Path) -> None:
    index = one_product(tmp_path)
    assert [file.name for file in folder_of(index).iterdir() if "-" not in file.name] == [database.FILE]
    with index:
        add(index, QUERY)
    assert [file.name for file in folder_of(index).iterdir()] == [database.FILE]


def test_what_is_committed_is_on_the_disk(tmp_path: Path) -> None:
    one_product(tmp_path)
    code = (
        "import sys, pathlib\n"
        "from item_embed.search.database import connect\n"
        "c = connect(pathlib.Path(sys.argv[1]), 1)\n"
        "print(*c.execute('PRAGMA synchronous').fetchone(), *c.execute('PRAGMA journal_mode').fetchone())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "index")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["2", "wal"]  # 2: FULL
