"""What becomes of a row: kept, kept with named repairs, or set aside with a reason."""

import datetime
import decimal
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from item_embed.catalog.feeds.columns import Columns
from item_embed.catalog.feeds.records import Record
from item_embed.catalog.photos.images import Photo
from item_embed.catalog.titles import clean_key, clean_text, clean_title, normalise_title, plain_text
from item_embed.hashing import text_hash

NO_KEY = -1  # the key of a row that joins no other
_LONGEST_CONTENT = 2000  # characters of one value that a row set aside still shows


@dataclass(frozen=True, slots=True)
class Keys:
    """What may join a row to others, as 63-bit hashes; `NO_KEY` joins nothing."""

    product_id: int
    title: int
    photo: int
    group: int


@dataclass(frozen=True, slots=True)
class Row:
    """A kept row, as the catalogue stores it, but for its group and split.

    Attributes:
        metadata: a JSON object of the feed's other columns.
        keys: what may join it to other rows.
    """

    id: str
    title: str | None
    photo: Photo | None
    category: str | None
    product_id: str | None
    metadata: str
    repairs: tuple[str, ...]
    keys: Keys


def check_row(
    number: int, record: Record, columns: Columns, photo: Photo | None, photo_repairs: Sequence[str]
) -> Row | str:
    """Clean one row.

    Args:
        number: of the row in the feed, from 1; names the row if it has no id.
        record: what the feed says.
        columns: which column plays which role.
        photo: the row's prepared photo, or None.
        photo_repairs: why there is no photo, or what was converted.

    Returns:
        The row to keep, or the reason why it is set aside.
    """
    if record.problem is not None:
        return record.problem
    values = record.values
    title, title_repairs = clean_title(values.get(columns.title or ""))
    if title is None and photo is None:
        return f"no title, and no photo ({photo_repairs[0].removeprefix('photo: ')})"
    identity, id_repairs = identity_of(number, values, columns)
    category, category_repairs = _category(values.get(columns.category or ""))
    product_id = clean_key(values.get(columns.product_id or ""))
    metadata = {name: values[name] for name in columns.other(list(values))}
    return Row(
        id=identity,
        title=title,
        photo=photo,
        category=category,
        product_id=product_id,
        metadata=as_json(metadata),
        repairs=(*record.repairs, *id_repairs, *title_repairs, *photo_repairs, *category_repairs),
        keys=keys_of(title, product_id, photo.pixels if photo else None, values.get(columns.group or "")),
    )


def keys_of(title: str | None, product_id: str | None, pixels: int | None, group: Any) -> Keys:
    """What may join a row to others.

    Args:
        title: cleaned.
        product_id: cleaned.
        pixels: the hash of its photo's pixels.
        group: the feed's value in the column that the user named for groups.
    """
    return Keys(
        product_id=_key(product_id),
        title=_key(normalise_title(title or "")),
        photo=NO_KEY if pixels is None else pixels,
        group=_key(clean_key(group)),
    )


def said(number: int, record: Record, columns: Columns, photo: bytes | str) -> int:
    """A hash of all that the feed says in a row, but for its id: equal hashes, nothing new.

    Args:
        number: of the row in the feed, from 1.
        record: what the feed says.
        columns: which column plays which role.
        photo: the photo's bytes where the feed holds them or names a file that does, or why there are none.
    """
    values = {name: value for name, value in record.values.items() if name != columns.id}
    _, id_repairs = identity_of(number, record.values, columns)
    told = [_exact(photo), *record.repairs, *id_repairs, json.dumps(values, ensure_ascii=False, default=_exact)]
    return text_hash("\0".join(told))


def identity_of(number: int, values: Mapping[str, Any], columns: Columns) -> tuple[str, list[str]]:
    """A row's id, by its number where it has none, and the repairs that took."""
    if columns.id is None:
        return f"row-{number}", []
    identity = clean_key(values.get(columns.id))
    return (identity, []) if identity else (f"row-{number}", ["id: missing, named by the row's number"])


def as_json(values: Mapping[str, Any], longest: int | None = None) -> str:
    """A row's values as JSON: numbers stay numbers, empty values are left out, bytes become their size.

    Args:
        values: column -> value.
        longest: texts beyond this many characters are cut.

    Examples:
        >>> as_json({"price": 9.5, "colour": None, "photo": b"..."})
        '{"price": 9.5, "photo": "3 bytes"}'
    """
    plain = {str(name): _plain(value, longest) for name, value in values.items()}
    kept = {name: value for name, value in plain.items() if value is not None and value != ""}
    text = json.dumps(kept, ensure_ascii=False, default=_as_text)
    return text.encode("utf-8", "replace").decode("utf-8")  # JSON feeds can hold halves of characters


def rejected_content(record: Record) -> str:
    """The row as JSON, for a person who looks why it was set aside."""
    return as_json(record.values, _LONGEST_CONTENT)


def _plain(value: Any, longest: int | None, depth: int = 20) -> Any:
    if isinstance(value, Mapping | list | tuple) and not depth:
        return "nested too deeply"
    if isinstance(value, Mapping):
        return {str(name): _plain(one, longest, depth - 1) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, longest, depth - 1) for one in value]
    if isinstance(value, float | decimal.Decimal):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str) and longest is not None and len(value) > longest:
        return f"{value[:longest]}… ({len(value)} characters)"
    return value


def _as_text(value: Any) -> str:
    """What JSON has no type for."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else str(value)


def _exact(value: Any) -> str:
    """What JSON has no type for, such that different values stay different."""
    return f"{len(value)} bytes {text_hash(value)}" if isinstance(value, bytes) else repr(value)


def _category(value: Any) -> tuple[str | None, list[str]]:
    """A category path as "A > B > C", whatever the spacing, or a list of its levels."""
    if isinstance(value, list | tuple):
        value = ">".join(filter(None, map(plain_text, value)))
    text, repairs = clean_text(value)
    levels = [level.strip() for level in (text or "").split(">")]
    return " > ".join(filter(None, levels)) or None, [f"category: {name}" for name in repairs]


def _key(text: str | None) -> int:
    return text_hash(text) if text else NO_KEY
