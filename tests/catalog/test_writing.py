from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from item_embed.catalog import writing
from item_embed.catalog.schema import REJECTED_SCHEMA, ROW_SCHEMA
from item_embed.catalog.settling import Settled
from item_embed.catalog.spool import Fate, Spool
from item_embed.catalog.writing import fingerprint, plan_parts, sha256, write_part, write_rejected
from tests.catalog.test_spool import spooled


def _write(folder: Path, rows: int, chunk: int = 10) -> dict[str, str]:
    """Write that many rows, every fifth set aside and every seventh a duplicate, from chunks of `chunk` rows."""
    spool = Spool(folder / "spool")
    (folder / "rows").mkdir(parents=True)
    fates = np.array([_fate(number) for number in range(rows)], np.uint8)
    for first in range(0, rows, chunk):
        numbers = range(first, min(first + chunk, rows))
        spool.write(first // chunk, [spooled(n, None if fates[n] == Fate.SET_ASIDE else f"id{n}") for n in numbers])
    kept = int((fates == Fate.KEPT).sum())
    settled = Settled(fates, np.arange(kept), np.arange(kept, dtype=np.int8) % 3, (kept, 0, 0, 0))
    keys = spool.keys(-(-rows // chunk))
    reasons = write_rejected(folder, keys, fates)
    assert reasons["row: bad"] == (fates == Fate.SET_ASIDE).sum()
    assert reasons["duplicate id, same content"] == (fates == Fate.SAME_ID_SAME_CONTENT).sum()
    written = [write_part(part) for part in plan_parts(folder / "rows", keys, settled)]
    assert sum(part.rows for part in written) == kept
    assert sum(part.repaired for part in written) == sum(part.repairs["photo: x"] for part in written)
    return {"rejected.parquet": sha256(folder / "rejected.parquet"), **{f"rows/{p.name}": p.sha256 for p in written}}


def _fate(number: int) -> Fate:
    if number % 5 == 4:
        return Fate.SET_ASIDE
    return Fate.SAME_ID_SAME_CONTENT if number % 7 == 6 else Fate.KEPT


@pytest.mark.parametrize("chunk", [1, 3, 8, 40])
def test_rows_are_spread_over_files_and_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(writing, "ROWS_PER_GROUP", 4)
    monkeypatch.setattr(writing, "ROWS_PER_FILE", 8)
    files = _write(tmp_path / "catalog", 28, chunk)
    kept = [number for number in range(28) if _fate(number) == Fate.KEPT]
    assert len(kept) == 19
    assert list(files) == ["rejected.parquet", *(f"rows/part-0000{part}.parquet" for part in range(3))]
    parts = [pq.ParquetFile(tmp_path / "catalog" / file) for file in files][1:]
    sizes = [[part.metadata.row_group(g).num_rows for g in range(part.num_row_groups)] for part in parts]
    assert sizes == [[4, 4], [4, 4], [3]]
    assert all(part.schema_arrow.equals(ROW_SCHEMA) for part in parts)
    rows = [row for part in parts for row in part.read().to_pylist()]
    assert [row["id"] for row in rows] == [f"id{number}" for number in kept]
    assert [row["group"] for row in rows] == list(range(19))
    assert [row["split"] for row in rows[:4]] == ["train", "validation", "test", "train"]
    assert {row["image"] for row in rows} == {b"photo"}
    rejected = pq.read_table(tmp_path / "catalog/rejected.parquet")
    assert rejected.schema.equals(REJECTED_SCHEMA)
    assert rejected["row"].to_pylist() == [number for number in range(28) if number not in kept]


def test_photos_are_stored_plain_and_text_compressed(tmp_path: Path) -> None:
    _write(tmp_path / "catalog", 3)
    group = pq.ParquetFile(tmp_path / "catalog/rows/part-00000.parquet").metadata.row_group(0)
    columns = {group.column(n).path_in_schema: group.column(n).compression for n in range(group.num_columns)}
    assert columns.pop("image") == "UNCOMPRESSED"
    assert set(columns.values()) == {"ZSTD"}


def test_equal_rows_give_equal_bytes_whatever_the_chunks(tmp_path: Path) -> None:
    one, other = _write(tmp_path / "one", 600), _write(tmp_path / "other", 600, chunk=77)
    assert one == other
    assert fingerprint(one) == fingerprint(dict(reversed(other.items())))
    assert fingerprint(one) != fingerprint(_write(tmp_path / "third", 601))
