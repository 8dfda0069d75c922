from collections.abc import Iterator
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from item_embed.errors import RemoteError
from item_embed.remote import parquet
from item_embed.remote.parquet import RemoteParquet, open_files
from item_embed.remote.places import MissingError, Remote
from tests.stores import Store

_FILE = Remote("memory://parquet/file.parquet")


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    yield
    memory = fsspec.filesystem("memory")
    if memory.exists("/parquet"):
        memory.rm("/parquet", recursive=True)


def _table(rows: int = 70, wide: int = 40) -> pa.Table:
    noise = np.random.default_rng(0)
    return pa.table(
        {
            "id": [f"id {row}" for row in range(rows)],
            "photo": [noise.bytes(wide) if row % 3 else None for row in range(rows)],
            "notes": pa.array([["a"] * (row % 3) for row in range(rows)], pa.list_(pa.string())),
            "kind": ["mug" if row % 2 else "shoe" for row in range(rows)],
            "number": pa.array(range(rows), pa.int64()),
        }
    )


def _put(table: pa.Table, file: Remote = _FILE, **options: Any) -> RemoteParquet:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **{"row_group_size": 16, **options})
    file.system.pipe_file(file.address, sink.getvalue().to_pybytes())
    return next(open_files([file]))


@given(
    groups=st.lists(st.integers(0, 4), max_size=5),
    columns=st.none() | st.lists(st.sampled_from(_table(1).column_names), min_size=1, unique=True),
    gap=st.sampled_from([0, 50, 1 << 16]),
    most=st.sampled_from([1, 300, 1 << 20]),
    compression=st.sampled_from(["none", "zstd"]),
)
def test_what_is_asked_for_comes_as_from_a_whole_file(
    groups: list[int], columns: list[str] | None, gap: int, most: int, compression: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "_GAP", gap)
        patch.setattr(parquet, "_MOST", most)
        table = _table()
        file = _put(table, compression=compression)
        wanted = table if columns is None else table.select(columns)
        assert file.read(columns).select(wanted.column_names).equals(wanted)
        for group, part in zip(groups, file.read_row_groups(groups, columns), strict=True):
            assert part.select(wanted.column_names).equals(wanted.slice(16 * group, 16))


@pytest.mark.parametrize("tail", [8, 100, 1 << 19])
def test_a_footer_of_any_size_is_read_whole(monkeypatch: pytest.MonkeyPatch, tail: int) -> None:
    monkeypatch.setattr(parquet, "_TAIL", tail)
    table = _table()
    assert _put(table).schema_arrow.equals(table.schema)


def test_no_rows() -> None:
    table = _table(0)
    assert _put(table).read().equals(table)
    assert _put(table).read(["kind"]).column_names == ["kind"]
    assert _put(table).read_row_groups([]) == []


def test_stored_bytes() -> None:
    table = pa.table({"photo": [bytes(1000)] * 10})
    file = _put(table, compression="none", use_dictionary=False, write_statistics=False)
    assert 10_000 < file.stored_bytes < 10_500


def test_requests(bucket: str, s3: Store) -> None:
    """One for each footer, one for each column of a row group that lies alone, one for those that lie together."""
    files = [Remote(f"{bucket}/{number}.parquet") for number in range(3)]
    for file in files:
        _put(_table(wide=80_000), file)
    s3.requests.clear()
    opened = list(open_files(files))
    assert sorted(request.split("/")[-1] for request in s3.requests) == ["0.parquet", "1.parquet", "2.parquet"]
    for groups, columns, requests in (
        ([1], ["photo"], 1),
        ([1], ["id", "number"], 2),  # with the photos between them
        ([0, 2, 4], ["photo"], 3),
        ([0, 1, 2, 3, 4], ["id", "number", "kind"], 6),  # the first of one row group lies behind the last of another
        ([3], None, 1),
    ):
        s3.requests.clear()
        opened[2].read_row_groups(groups, columns)
        assert len(s3.requests) == requests
        assert {request.split("?")[0] for request in s3.requests} == {f"GET /{files[2].address}"}


def test_a_missing_file_is_named(bucket: str) -> None:
    there, missing = Remote(f"{bucket}/a.parquet"), Remote(f"{bucket}/b.parquet")
    _put(_table(), there)
    opened = open_files([there, missing])
    assert next(opened).place == there
    with pytest.raises(MissingError, match=rf"^{missing} cannot be read: there is no such file"):
        next(opened)


def test_a_file_that_was_replaced(bucket: str) -> None:
    file = _put(_table(), Remote(f"{bucket}/a.parquet"))
    file.place.system.pipe_file(file.place.address, b"short, or not there")
    with pytest.raises(RemoteError, match=r"a.parquet cannot be read"):
        file.read()
    file.place.system.rm_file(file.place.address)
    with pytest.raises(MissingError, match="there is no such file"):
        file.read()


@pytest.mark.parametrize("data", [b"", b"x", b"PAR1", b"no parquet file" * 100, b"\xff" * 100])
def test_no_parquet_file(data: bytes) -> None:
    _FILE.system.pipe_file(_FILE.address, data)
    with pytest.raises(pa.ArrowInvalid):
        next(open_files([_FILE]))
