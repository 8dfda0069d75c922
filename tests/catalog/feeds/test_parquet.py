import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from item_embed.catalog.feeds import parquet


def _read(folder: Path, columns: dict[str, pa.Array]) -> list[dict[str, Any]]:
    path = folder / "feed.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=50)
    records = list(parquet.read(path))
    assert parquet.columns(path) == list(columns)
    assert parquet.count(path) == len(records)
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
