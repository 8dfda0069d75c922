"""JSONL feeds: one JSON object on each line; a bad line costs that line."""

import json
from collections.abc import Iterator
from itertools import islice

from item_embed.catalog.feeds.places import FeedFile
from item_embed.catalog.feeds.records import Record
from item_embed.catalog.feeds.text import MENDED, mend, open_text

NOT_JSON = "row: not valid JSON"
NOT_AN_OBJECT = "row: JSON, but not an object"
TOO_DEEP = "row: JSON nested too deeply"
_DEEPEST = 100  # brackets in brackets; what passes a row on goes down as deep


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
    if text.count("[") + text.count("{") > _DEEPEST and _depth(value) > _DEEPEST:
        return Record({"line": text.strip()}, repairs, TOO_DEEP)
    if not isinstance(value, dict):
        return Record({"line": text.strip()}, repairs, NOT_AN_OBJECT)
    return Record(value, repairs)


def _depth(value: object) -> int:
    """How deep brackets lie in brackets; a loop, for calls cannot go as deep."""
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        held, depth = waiting.pop()
        inner = held.values() if isinstance(held, dict) else held if isinstance(held, list) else ()
        deepest = max(deepest, depth)
        waiting += [(one, depth + 1) for one in inner if isinstance(one, dict | list)]
    return deepest
