import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from item_embed.errors import VectorError
from item_embed.search.duplicates import snapshot as module
from item_embed.search.duplicates.snapshot import cosines, open_vectors, take_snapshot
from item_embed.search.index import ProductIndex
from tests.catalogs import Row
from tests.search.duplicates.made import at, groups, make_index, unit


def test_equal_vectors_are_one_and_the_vector_zero_is_none(tmp_path: Path) -> None:
    vectors = np.concatenate([at(0, 50, 0), np.zeros((2, 2), np.float32), at(50, 90)])
    index = make_index(tmp_path, vectors)
    taken = take_snapshot(index)
    assert taken.ids == [f"id {number}" for number in range(7)]
    assert taken.vector.tolist() == [0, 1, 0, -1, -1, 1, 2]
    assert taken.first.tolist() == [0, 1, 6]
    distinct = open_vectors(index, taken, tmp_path / "vectors.npy")
    assert np.allclose(distinct, at(0, 50, 90), atol=1e-7)


def test_what_differs_in_the_last_digits_only_is_equal_as_a_rule(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal((200, 192)) * 1e-7
    vectors = unit(np.repeat(groups(1, 1, d=192), 200, axis=0) + noise)
    assert len({vector.tobytes() for vector in vectors}) > 150
    assert len(take_snapshot(make_index(tmp_path, vectors)).first) < 20


def test_no_two_vectors_that_count_as_equal_are_far_apart(tmp_path: Path) -> None:
    vectors = groups(3, 100, spread=0.003)
    taken = take_snapshot(make_index(tmp_path, vectors))
    lowest = (vectors * vectors[taken.first[taken.vector]]).sum(axis=1).min()
    assert len(taken.first) < 300
    assert lowest > 0.99995 - 1e-6


def test_blocks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = groups(10, 3, spread=0)
    index = make_index(tmp_path, vectors)
    whole = take_snapshot(index)
    monkeypatch.setattr(module, "_BLOCK", 7)
    told: list[int] = []
    taken = take_snapshot(index, lambda done, total: told.append(done))
    assert told == [7, 14, 21, 28, 30]
    assert taken.content == whole.content
    assert open_vectors(index, taken, tmp_path / "v.npy").tolist() == vectors[taken.first].tolist()


def test_vectors_are_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = make_index(tmp_path, at(0, 10, 20))
    taken = take_snapshot(index)
    first = open_vectors(index, taken, tmp_path / "v.npy")
    monkeypatch.setattr(ProductIndex, "scan", None)
    assert open_vectors(index, taken, tmp_path / "v.npy").tolist() == first.tolist()


def test_the_content_is_of_ids_and_vectors(tmp_path: Path) -> None:
    contents = []
    for number, (angles, ids) in enumerate([((0, 10), "ab"), ((0, 11), "ab"), ((0, 10), "ac"), ((0, 10), "ab")]):
        rows = [Row(key, "a title") for key in ids]
        contents.append(take_snapshot(make_index(tmp_path / str(number), at(*angles), rows)).content)
    assert contents[0] == contents[3]
    assert len(set(contents)) == 3


def test_an_index_that_changed_meanwhile_is_refused(tmp_path: Path) -> None:
    taken = take_snapshot(make_index(tmp_path / "a", at(0, 10, 20)))
    with pytest.raises(VectorError, match="changed while it was read"):
        open_vectors(make_index(tmp_path / "b", at(0, 10)), taken, tmp_path / "v.npy")
    assert not (tmp_path / "v.npy").exists()


def test_a_vector_that_is_not_finite_is_named(tmp_path: Path) -> None:
    index = make_index(tmp_path, at(0, 10, 20))
    index.close()
    with closing(sqlite3.connect(tmp_path / "index" / "index.sqlite")) as connection, connection:  # no index takes one
        (row,) = connection.execute("SELECT row FROM items WHERE id = 'id 1'").fetchone()
        broken = np.array([np.nan, 0], np.float32).tobytes()
        connection.execute("UPDATE vectors SET vector = ? WHERE row = ?", (broken, row))
    with pytest.raises(VectorError, match="not finite, of 'id 1'"):
        take_snapshot(ProductIndex.open(index.path))


def test_an_empty_index_has_no_vectors(tmp_path: Path) -> None:
    index = make_index(tmp_path, np.zeros((0, 4), np.float32), [])
    taken = take_snapshot(index)
    assert len(taken) == len(open_vectors(index, taken, tmp_path / "v.npy")) == 0


def test_cosines_do_not_depend_on_what_is_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = groups(20, 2)
    first, second = np.triu_indices(40, 1)
    whole = cosines(vectors, first, second)
    assert whole == pytest.approx((vectors @ vectors.T)[first, second], abs=1e-6)
    monkeypatch.setattr(module, "_BLOCK", 1)
    assert cosines(vectors, second, first).tolist() == whole.tolist()
    assert cosines(vectors, first[:1], first[:1]).tolist() <= [1.0]
