from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from item_embed.catalog.references import rows_of_items
from item_embed.catalog.store import Catalog
from item_embed.errors import ConfigError
from tests.catalogs import Row, write_catalog


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return write_catalog(tmp_path / "catalog", [Row(item, "mug") for item in ("7", "a", "12", "row-4")])


def written(path: Path, items: pa.Array | list[object], column: str = "item_id") -> Path:
    pq.write_table(pa.table({"x": range(len(items)), column: items}), path)
    return path


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.int64(), pa.int32(), pa.float64(), pa.binary()])
def test_items_are_named_by_texts_and_by_numbers(tmp_path: Path, catalog: Catalog, kind: pa.DataType) -> None:
    file = written(tmp_path / "items.parquet", pa.array(["12", "7", "12"]).cast(kind))
    assert rows_of_items(file, catalog, "--queries").tolist() == [2, 0, 2]


def test_ids_are_read_as_those_of_a_feed(tmp_path: Path, catalog: Catalog) -> None:
    file = written(tmp_path / "items.parquet", [" row-4\u200b", "a\n"])
    assert rows_of_items(file, catalog, "--queries").tolist() == [3, 1]


def test_no_item_is_no_row(tmp_path: Path, catalog: Catalog) -> None:
    rows = rows_of_items(written(tmp_path / "items.parquet", pa.array([], pa.string())), catalog, "--queries")
    assert rows.shape == (0,)
    assert rows.dtype == np.int64


@pytest.mark.parametrize(
    ("items", "sentence"),
    [(["a", "z", "y", "z"], "names 2 items that .*catalog does not have, for example 'y'"), ([None], "1 items .*''")],
)
def test_foreign_items_are_counted_and_one_is_named(
    tmp_path: Path, catalog: Catalog, items: list[object], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=f"^--queries .*{sentence}"):
        rows_of_items(written(tmp_path / "items.parquet", items), catalog, "--queries")


def test_what_is_no_such_file_is_refused(tmp_path: Path, catalog: Catalog) -> None:
    with pytest.raises(ConfigError, match=r"^--exclude-groups .*does not exist"):
        rows_of_items(tmp_path / "none.parquet", catalog, "--exclude-groups")
    (tmp_path / "text.parquet").write_text("item_id")
    with pytest.raises(ConfigError, match="no Parquet file"):
        rows_of_items(tmp_path / "text.parquet", catalog, "--exclude-groups")
    with pytest.raises(ConfigError, match="with a column item_id"):
        rows_of_items(written(tmp_path / "ids.parquet", ["a"], "id"), catalog, "--exclude-groups")
