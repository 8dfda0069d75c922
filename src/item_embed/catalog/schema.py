"""The layout of a catalogue on disk, and its manifest.

CATALOG/manifest.json       counts, hashes, schema version, the command
CATALOG/rows/*.parquet      the kept rows, `ROW_SCHEMA`
CATALOG/rejected.parquet    the rows set aside, `REJECTED_SCHEMA`
"""

from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel, ValidationError

from item_embed.errors import CatalogError

SCHEMA_VERSION = 1
SPLITS = ("train", "validation", "test")

ROW_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("title", pa.string()),  # null: no title
        pa.field("image", pa.binary()),  # JPEG or WebP, short side at most 256 px; null: no photo
        pa.field("category", pa.string()),
        pa.field("product_id", pa.string()),
        pa.field("metadata", pa.string(), nullable=False),  # a JSON object of the feed's other columns
        pa.field("repairs", pa.list_(pa.string()), nullable=False),
        pa.field("group", pa.int64(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
    ]
)
REJECTED_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),  # number of the row in the feed, from 1, headers not counted
        pa.field("source", pa.string(), nullable=False),  # the file it came from
        pa.field("reason", pa.string(), nullable=False),
        pa.field("content", pa.string(), nullable=False),  # the row as JSON, bytes replaced by their size
    ]
)


class Counts(BaseModel):
    """Rows by fate; `kept + repaired + set_aside == input`."""

    input: int
    kept: int
    repaired: int
    set_aside: int


class Manifest(BaseModel):
    """What `manifest.json` holds."""

    schema_version: int = SCHEMA_VERSION
    command: str
    created: str
    sources: list[str]
    columns: dict[str, str | None]  # role (id, title, image, ...) -> the feed's column
    seed: int
    counts: Counts
    splits: dict[str, int]
    reasons: dict[str, int]  # repair or reason -> rows
    files: dict[str, str]  # Parquet file, relative to the catalogue -> SHA-256
    fingerprint: str  # SHA-256 over `files`: equal for equal content

    @classmethod
    def read(cls, catalog: Path) -> "Manifest":
        """Read the manifest of a catalogue folder.

        Raises:
            CatalogError: when the folder holds no readable manifest of this schema version.
        """
        path = catalog / "manifest.json"
        if not path.is_file():
            raise CatalogError(f"{catalog} is not a catalogue: it has no manifest.json; make one with `item prepare`.")
        try:
            manifest = cls.model_validate_json(path.read_text(encoding="utf8"))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise CatalogError(f"{path} is damaged ({where}: {first['msg']}); prepare the catalogue again.") from None
        if manifest.schema_version != SCHEMA_VERSION:
            raise CatalogError(
                f"{catalog} has schema version {manifest.schema_version}, and this item-embed reads "
                f"{SCHEMA_VERSION}; prepare the catalogue again."
            )
        return manifest
