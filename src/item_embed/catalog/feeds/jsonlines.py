"""JSONL feeds: one JSON object on each line; a bad line costs that line."""

import json
from collections.abc import Iterator
from itertools import islice

from item_embed.catalog.feeds.places import FeedFile
from item_embed.catalog.feeds.records import Record
from item_embed.catalog.feeds.text import MENDED, mend, open_text

NOT_JSON = "row: not valid JSON"
NOT_AN_OBJECT = "row: JSON, but not an object"


def read(file: FeedFile, skip: int = 0) -> Iterator[Record]:
    """Yield a record for every line of a JSONL file but the first `skip`. Empty lines are no rows."""
    with open_text(file) as lines:
        rows = (line for line in lines if line.strip())
        for line in islice(rows, skip, None):
            yield _record(line)


def _record(line: str) -> Record:
    text = mend(line)
    repairs = (MENDED,) if text != line else ()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # RecursionError: brackets nested thousands deep
        return Record({"line": text.strip()}, repairs, NOT_JSON)
    if not isinstance(value, dict):
        return Record({"line": text.strip()}, repairs, NOT_AN_OBJECT)
    return Record(value, repairs)
