"""Files of given queries, for tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = ("query_id", "title", "image", "product_id", "item_id")


def query(item_id: str, **columns: Any) -> dict[str, Any]:
    """A second listing of one row; whatever is not given is missing."""
    return dict.fromkeys(COLUMNS) | {"query_id": f"again {item_id}", "item_id": item_id} | columns


def write_queries(path: Path, queries: Sequence[Mapping[str, Any]], without: str | None = None) -> Path:
    """Write a file of queries, if asked for without one of its columns."""
    table = pa.Table.from_pylist([dict(q) for q in queries])
    image = table.column("image").cast(pa.binary())
    table = table.set_column(table.column_names.index("image"), "image", image)
    pq.write_table(table.drop_columns([without]) if without else table, path)
    return path
