"""The layout of a catalogue on disk, and its manifest.

CATALOG/manifest.json       counts, hashes, schema version, the command
CATALOG/rows/*.parquet      the kept rows, `ROW_SCHEMA`
CATALOG/rejected.parquet    the rows set aside, `REJECTED_SCHEMA`
CATALOG/report.html         what was found, for a person
"""

import re
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, BeforeValidator, ValidationError

from item_embed.errors import CatalogError, RemoteError
from item_embed.remote.places import MissingError, Remote

SCHEMA_VERSION = 2
SPLITS = ("train", "validation", "test")

ROW_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("title", pa.string()),  # null: no title
        pa.field("image", pa.binary()),  # JPEG or WebP, short side at most 256 px; null: no photo
        pa.field("photo_width", pa.int32()),  # of the photo in the feed, upright, pixels; null: no photo
        pa.field("photo_height", pa.int32()),
        pa.field("photo_pixels", pa.int64()),  # hash of the kept photo's pixels, equal for identical photos
        pa.field("category", pa.string()),
        pa.field("product_id", pa.string()),
        pa.field("metadata", pa.string(), nullable=False),  # a JSON object of the feed's other columns
        pa.field("repairs", pa.list_(pa.string()), nullable=False),
        pa.field("source", pa.int64(), nullable=False),  # hash of what the feed says, by which --update knows changes
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


_SURROGATE = re.compile("[\ud800-\udfff]")


def printable(text: str) -> str:
    """A text without lone surrogates, which is how Python reads a file name that is not UTF-8.

    Examples:
        >>> printable("caf\\udce9.csv")
        'caf\\ufffd.csv'
    """
    return _SURROGATE.sub("\ufffd", text)


def is_rejected_file(path: Path) -> bool:
    """Whether a file is the list of rows that an earlier run set aside."""
    if not path.name.endswith("rejected.parquet"):
        return False
    try:
        with path.open("rb") as file:
            return bool(pq.read_schema(file).equals(REJECTED_SCHEMA))
    except (OSError, pa.ArrowException):
        return False


def _text(file: Path | Remote) -> str:
    if isinstance(file, Remote):
        return file.read_bytes().decode("utf8")
    if not file.is_file():
        raise MissingError(f"{file} does not exist.")
    return file.read_text(encoding="utf8")


_Text = Annotated[str, BeforeValidator(lambda value: printable(value) if isinstance(value, str) else value)]


class Counts(BaseModel):
    """Rows by fate; `kept + repaired + set_aside == input`."""

    input: int
    kept: int
    repaired: int
    set_aside: int


class Update(BaseModel):
    """What `--update` found: rows by what they are beside the previous catalogue."""

    previous: str  # its fingerprint
    new: int
    changed: int
    unchanged: int
    retried: int  # as they were, but their photo had failed and was tried again
    gone: int  # rows of the previous catalogue that this one lacks


class Manifest(BaseModel):
    """What `manifest.json` holds."""

    schema_version: int = SCHEMA_VERSION
    version: str = ""  # of item-embed: another one may clean rows in other ways
    cleaning: int = 1  # the number of the rules by which rows were cleaned
    command: _Text
    created: str
    sources: list[_Text]
    columns: dict[str, _Text | None]  # role (id, title, image, ...) -> the feed's column
    fields: list[_Text] = []  # the feed's columns that are in the rows' metadata, where they are not empty
    seed: int
    counts: Counts
    update: Update | None = None
    splits: dict[str, int]
    reasons: dict[str, int]  # repair or reason -> rows
    findings: dict[str, Any] = {}  # what the report found: warnings and the main numbers
    files: dict[str, str]  # Parquet file, relative to the catalogue -> SHA-256
    fingerprint: str  # SHA-256 over `files`: equal for equal content

    @classmethod
    def read(cls, catalog: Path | Remote) -> "Manifest":
        """Read the manifest of a catalogue folder.

        Raises:
            CatalogError: when the folder holds no readable manifest of this schema version.
        """
        path = catalog / "manifest.json"
        try:
            manifest = cls.model_validate_json(_text(path))
        except MissingError:
            raise CatalogError(
                f"{catalog} is not a catalogue: it has no manifest.json; make one with `item prepare`."
            ) from None
        except RemoteError as error:
            raise CatalogError(str(error)) from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise CatalogError(f"{path} is damaged ({where}: {first['msg']}); prepare the catalogue again.") from None
        except UnicodeDecodeError:
            raise CatalogError(f"{path} is damaged (it is no text); prepare the catalogue again.") from None
        except OSError as error:
            raise CatalogError(f"{path} cannot be read: {error.strerror}.") from None
        if manifest.schema_version != SCHEMA_VERSION:
            raise CatalogError(
                f"{catalog} has schema version {manifest.schema_version}, and this item-embed reads "
                f"{SCHEMA_VERSION}; prepare the catalogue again."
            )
        return manifest
