import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from item_embed.catalog.feeds import parquet
from item_embed.catalog.feeds.places import local_file


def _read(folder: Path, columns: dict[str, pa.Array]) -> list[dict[str, Any]]:
    path = folder / "feed.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=50)
    records = list(parquet.read(local_file(path)))
    assert parquet.columns(local_file(path)) == list(columns)
    assert parquet.count(local_file(path)) == len(records)
    assert all(record.problem is None and not record.repairs for record in records)
    return [record.values for record in records]


def test_rows_come_in_order_over_batches_and_row_groups(tmp_path: Path) -> None:
    rows = _read(tmp_path, {"id": pa.array(range(333)), "image": pa.array([bytes([n % 256]) for n in range(333)])})
    assert rows == [{"id": n, "image": bytes([n % 256])} for n in range(333)]


def test_images_as_hugging_face_stores_them(tmp_path: Path) -> None:
    rows = _read(tmp_path, {"image": pa.array([{"bytes": b"x", "path": None}, None])})
    assert rows == [{"image": {"bytes": b"x", "path": None}}, {"image": None}]


def test_values_that_python_cannot_hold_become_text(tmp_path: Path) -> None:
    times = pa.array([1, None], pa.timestamp("ns"))
    days = pa.array([datetime.date(2024, 5, 1), None])
    far = pa.array([10**15, None], pa.timestamp("s"))
    rows = _read(tmp_path, {"time": times, "day": days, "far": far})
    assert rows[0]["day"] == datetime.date(2024, 5, 1)
    assert str(rows[0]["time"]).startswith("1970-01-01 00:00:00.000000001")
    assert isinstance(rows[0]["far"], str)
    assert rows[1] == {"time": None, "day": None, "far": None}


def test_text_that_is_not_utf8_is_mended(tmp_path: Path) -> None:
    raw = pa.array([b"caf\xe9", "café".encode(), None], pa.binary())
    title = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    assert [row["title"] for row in _read(tmp_path, {"title": title})] == ["café", "café", None]


def test_dictionaries_and_large_strings(tmp_path: Path) -> None:
    columns = {"a": pa.array(["x", None, "x"]).dictionary_encode(), "b": pa.array(["y", "z", None], pa.large_string())}
    assert _read(tmp_path, columns) == [{"a": "x", "b": "y"}, {"a": None, "b": "z"}, {"a": "x", "b": None}]


def test_whole_nanoseconds_are_times_of_python_itself(tmp_path: Path) -> None:
    rows = _read(
        tmp_path, {"time": pa.array([1000, None], pa.timestamp("ns")), "took": pa.array([2000, 1], "duration[ns]")}
    )
    assert [type(value) for value in rows[0].values()] == [datetime.datetime, str]
    whole = _read(tmp_path, {"took": pa.array([2000], pa.duration("ns"))})
    assert whole == [{"took": datetime.timedelta(microseconds=2)}]


@pytest.mark.parametrize("skip", [0, 1, 49, 50, 63, 64, 65, 120, 200, 299, 300, 301])
def test_a_row_comes_out_the_same_however_many_were_skipped(tmp_path: Path, skip: int) -> None:
    far = [10**15 if n % 70 == 0 else n for n in range(300)]  # its batch becomes text, and no other
    pq.write_table(pa.table({"time": pa.array(far, pa.timestamp("s"))}), tmp_path / "feed.parquet", row_group_size=120)
    file = local_file(tmp_path / "feed.parquet")
    assert list(parquet.read(file, skip)) == list(parquet.read(file))[skip:]


def test_skipped_row_groups_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "feed.parquet"
    pq.write_table(pa.table({"title": [f"shirt {n}" for n in range(200)]}), path, row_group_size=100, compression=None)
    data = bytearray(path.read_bytes())
    data[10:500] = bytes(490)
    path.write_bytes(data)
    last = [record.values["title"] for record in parquet.read(local_file(path), 150)]
    assert last == [f"shirt {n}" for n in range(150, 200)]


def test_columns_of_nothing_are_still_rows(tmp_path: Path) -> None:
    path = tmp_path / "feed.parquet"
    pq.write_table(pa.table({"a": [1, 2, 3]}).select([]), path)
    file = local_file(path)
    assert len(list(parquet.read(file))) == parquet.count(file)
