from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from item_embed.catalog import writing
from item_embed.catalog.rows import Keys, Row
from item_embed.catalog.schema import REJECTED_SCHEMA, ROW_SCHEMA
from item_embed.catalog.writing import CatalogWriter, add_splits, check_free, fingerprint
from item_embed.errors import CatalogError


def _row(number: int) -> Row:
    keys = Keys(-1, -1, -1, -1)
    return Row(f"id{number}", f"title {number}", bytes([number % 256]) * 5, None, None, "{}", ("photo: x",), keys, 0)


def _write(folder: Path, rows: int) -> dict[str, str]:
    folder.mkdir()
    with CatalogWriter(folder) as writer:
        for number in range(rows):
            writer.keep(_row(number))
            writer.set_aside(number, "feed.csv", "row: bad", "{}")
    return add_splits(folder, np.arange(rows), np.array(["train", "test"] * rows)[:rows])


def test_rows_are_spread_over_files_and_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "ROWS_PER_GROUP", 4)
    monkeypatch.setattr(writing, "ROWS_PER_FILE", 8)
    files = _write(tmp_path / "catalog", 19)
    assert list(files) == ["rejected.parquet", *(f"rows/part-0000{part}.parquet" for part in range(3))]
    parts = [pq.ParquetFile(tmp_path / "catalog" / file) for file in files][1:]
    sizes = [[part.metadata.row_group(g).num_rows for g in range(part.num_row_groups)] for part in parts]
    assert sizes == [[4, 4], [4, 4], [3]]
    assert all(part.schema_arrow.equals(ROW_SCHEMA) for part in parts)
    rows = [row for part in parts for row in part.read().to_pylist()]
    assert [row["id"] for row in rows] == [f"id{number}" for number in range(19)]
    assert [row["group"] for row in rows] == list(range(19))
    assert [row["split"] for row in rows[:3]] == ["train", "test", "train"]
    assert rows[7]["image"] == bytes([7]) * 5
    rejected = pq.read_table(tmp_path / "catalog/rejected.parquet")
    assert rejected.schema.equals(REJECTED_SCHEMA)
    assert rejected["row"].to_pylist() == list(range(19))
    assert not (tmp_path / "catalog/spool.arrow").exists()


def test_photos_are_stored_plain_and_text_compressed(tmp_path: Path) -> None:
    _write(tmp_path / "catalog", 3)
    group = pq.ParquetFile(tmp_path / "catalog/rows/part-00000.parquet").metadata.row_group(0)
    columns = {group.column(n).path_in_schema: group.column(n).compression for n in range(group.num_columns)}
    assert columns.pop("image") == "UNCOMPRESSED"
    assert set(columns.values()) == {"ZSTD"}


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    one, other = _write(tmp_path / "one", 600), _write(tmp_path / "other", 600)
    assert one == other
    assert fingerprint(one) == fingerprint(dict(reversed(other.items())))
    assert fingerprint(one) != fingerprint(_write(tmp_path / "third", 601))


@pytest.mark.parametrize("name", ["folder", "empty", "file", "link"])
def test_what_exists_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/thesis.doc").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(CatalogError, match="exists already; choose another name, or replace it with --overwrite"):
        check_free(tmp_path / name, overwrite=False)
    if name != "empty":
        with pytest.raises(CatalogError, match="is not a catalogue, so --overwrite leaves it alone"):
            check_free(tmp_path / name, overwrite=True)


def test_a_catalogue_may_be_overwritten(tmp_path: Path) -> None:
    _write(tmp_path / "catalog", 3)
    (tmp_path / "catalog/manifest.json").touch()
    check_free(tmp_path / "catalog", overwrite=True)
    check_free(tmp_path / "new", overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["catalog"]
