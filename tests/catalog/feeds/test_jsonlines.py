from pathlib import Path

import pytest

from item_embed.catalog.feeds import jsonlines
from item_embed.catalog.feeds.jsonlines import NOT_AN_OBJECT, NOT_JSON
from item_embed.catalog.feeds.places import local_file
from item_embed.catalog.feeds.records import Record
from item_embed.catalog.feeds.text import MENDED


def _read(folder: Path, data: bytes) -> list[Record]:
    feed = folder / "feed.jsonl"
    feed.write_bytes(data)
    return list(jsonlines.read(local_file(feed)))


def test_objects_keep_their_types(tmp_path: Path) -> None:
    records = _read(tmp_path, b'{"id": 7, "title": "a", "price": 9.5, "tags": ["x"], "new": true, "old": null}\n')
    assert records == [Record({"id": 7, "title": "a", "price": 9.5, "tags": ["x"], "new": True, "old": None})]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"title": "a"', NOT_JSON),
        (b"title: a", NOT_JSON),
        (b"[" * 100_000, NOT_JSON),
        (b'{"price": ' + b"9" * 5000 + b"}", NOT_JSON),  # more digits than Python converts
        (b'["a"]', NOT_AN_OBJECT),
        (b'"a"', NOT_AN_OBJECT),
        (b"null", NOT_AN_OBJECT),
    ],
)
def test_a_bad_line_costs_that_line(tmp_path: Path, line: bytes, problem: str) -> None:
    records = _read(tmp_path, b'{"title": "before"}\n' + line + b'\n{"title": "after"}\n')
    assert [record.problem for record in records] == [None, problem, None]
    assert records[1].values == {"line": line.decode()}


def test_empty_lines_are_no_rows(tmp_path: Path) -> None:
    assert len(_read(tmp_path, b'\n{"title": "a"}\n\n  \n{"title": "b"}')) == 2


def test_encodings(tmp_path: Path) -> None:
    assert _read(tmp_path, b'{"title": "caf\xe9"}') == [Record({"title": "café"}, (MENDED,))]
    assert _read(tmp_path, '{"title": "café"}\n'.encode("utf-16")) == [Record({"title": "café"})]
