"""Files that name items of a catalogue: queries that are second listings of rows, rows that training leaves out."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.catalog.titles import clean_key
from item_embed.errors import ConfigError

ITEM_COLUMN = "item_id"


def rows_of_items(path: Path, catalog: Catalog, option: str) -> NDArray[np.int64]:
    """The row of the catalogue that each row of a Parquet file names in its column `item_id`.

    Ids are read as `item prepare` reads those of a feed, so a column of integers, or of floats as an integer column
    with gaps becomes, names the same items as one of texts.

    Args:
        path: the file.
        catalog: whose items it names.
        option: how the user named the file, for the error's sentence.

    Returns:
        (n,) row numbers, one per row of the file, in its order; an item that is named twice comes twice.

    Raises:
        ConfigError: when the file is missing or unreadable, lacks the column, or names items that the catalogue lacks.

    Examples:
        >>> rows_of_items(Path("held_out.parquet"), Catalog("catalog"), "--exclude-groups")  # doctest: +SKIP
        array([  12, 4711])
    """
    items = [clean_key(value) for value in _column(path, option)]
    place = {key: row for row, key in enumerate(catalog.ids)}
    foreign = sorted({item or "" for item in items if item not in place})
    if foreign:
        raise ConfigError(
            f"{option} {path} names {len(foreign):,} items that {catalog.path} does not have, for example "
            f"{foreign[0]!r}; give the file that belongs to this catalogue."
        )
    return np.array([place[item] for item in items if item is not None], np.int64)


def _column(path: Path, option: str) -> list[object]:
    if not path.is_file():
        raise ConfigError(f"{option} {path} does not exist or is no file; give a Parquet file.")
    try:
        file = pq.ParquetFile(path)
        if ITEM_COLUMN not in file.schema_arrow.names:
            raise ConfigError(
                f"{option} {path} is not a Parquet file with a column {ITEM_COLUMN}; name the items in such a column."
            )
        values: list[object] = file.read(columns=[ITEM_COLUMN]).column(0).to_pylist()
    except (pa.ArrowInvalid, OSError):
        raise ConfigError(f"{option} {path} is damaged or is no Parquet file; give a Parquet file.") from None
    return values
