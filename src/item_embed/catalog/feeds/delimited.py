"""CSV and TSV feeds: the delimiter found, stray quotation marks and rows of a wrong width caught."""

import csv
import re
import sys
from collections import deque
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from item_embed.catalog.feeds.records import Record
from item_embed.catalog.feeds.text import MENDED, mend, open_text

_DELIMITERS = ",;\t|"
_NO_DELIMITER = "\x1f"  # for a file of one column, whose text may hold commas
_EXCEL_HINT = re.compile(r"sep=(.)\s*$")
_MOST_LINES = 1000  # that one quoted field may span before its opening mark counts as stray

STRAY_QUOTE = "row: stray quotation mark"
TRAILING = "row: more fields than the header, the extra ones empty"
TOO_FEW = "row: fewer fields than the header"
TOO_MANY = "row: more fields than the header"


def columns(path: Path) -> list[str]:
    """The names in the header; unnamed columns get numbers, repeated names too."""
    with open_text(path) as lines:
        _, header = _header(lines)
    return header


def read(path: Path) -> Iterator[Record]:
    """Yield every row of a CSV or TSV file. Empty lines are no rows.

    Args:
        path: the file; its first line names the columns.
    """
    csv.field_size_limit(sys.maxsize)  # the csv module's own limit would end the run on one long field
    with open_text(path) as lines:
        delimiter, header = _header(lines)
        for fields, stray in _rows(lines, delimiter, len(header)):
            if fields and (len(fields) > 1 or not fields[0].isspace()):
                yield _record(header, fields, stray)


def _header(lines: Iterator[str]) -> tuple[str, list[str]]:
    first = next((line for line in lines if line.strip()), "")
    hint = _EXCEL_HINT.match(first)
    if hint:
        first = next(lines, "")
    delimiter = hint.group(1) if hint else _delimiter(first)
    fields = next(csv.reader(chain([first], lines), delimiter=delimiter), [])
    names: list[str] = []
    for number, field in enumerate(fields, start=1):
        name = mend(field).replace("\0", "").strip() or f"column_{number}"
        names.append(name if name not in names else f"{name}_{number}")
    return delimiter, names


def _delimiter(header: str) -> str:
    """The candidate that cuts the header into the most fields."""
    widths = {candidate: len(next(csv.reader([header], delimiter=candidate), [])) for candidate in _DELIMITERS}
    best = max(widths, key=lambda candidate: widths[candidate])
    return best if widths[best] > 1 else _NO_DELIMITER


def _rows(lines: Iterator[str], delimiter: str, width: int) -> Iterator[tuple[list[str], bool]]:
    """Yield the fields of each row, and whether a quotation mark in it is stray.

    A mark that nothing closes would swallow the rows after it. So a row whose marks do not come in order, or that
    spans lines without having the header's width, is read again: its first line alone, marks taken as they are, and
    its other lines as rows.
    """
    waiting: deque[str] = deque()
    while True:
        taken: list[str] = []
        fields = next(csv.reader(_take(lines, waiting, taken), delimiter=delimiter), None)
        if fields is None:
            return
        if len(taken) > 1:
            stray = len(fields) != width or not _in_order(taken, delimiter)
        else:
            stray = len(fields) != width and taken[0].count('"') % 2 == 1
        if stray:
            waiting.extendleft(reversed(taken[1:]))
            line = taken[0].rstrip("\r\n")
            fields = next(csv.reader([line], delimiter=delimiter, quoting=csv.QUOTE_NONE), [])
        yield fields, stray


def _in_order(lines: list[str], delimiter: str) -> bool:
    """Whether every quoted field closes, and ends there."""
    try:
        deque(csv.reader(lines, delimiter=delimiter, strict=True), maxlen=0)
    except csv.Error:
        return False
    return True


def _take(lines: Iterator[str], waiting: deque[str], taken: list[str]) -> Iterator[str]:
    """Yield lines, the waiting ones first, and note them."""
    while len(taken) < _MOST_LINES:
        line = waiting.popleft() if waiting else next(lines, None)
        if line is None:
            return
        taken.append(line)
        yield line


def _record(header: list[str], fields: list[str], stray: bool) -> Record:
    mended = [mend(field) for field in fields]
    repairs = [MENDED] if mended != fields else []
    extra = mended[len(header) :]
    values: dict[str, object] = dict(zip(header, mended, strict=False))
    if extra:
        values["fields beyond the header"] = extra
    if stray and sum(field.count('"') for field in mended) > 1:  # which of them is stray, nobody can say
        return Record(values, tuple(repairs), STRAY_QUOTE)
    if len(mended) < len(header):
        return Record(values, tuple(repairs), TOO_FEW)
    if any(field.strip() for field in extra):
        return Record(values, tuple(repairs), TOO_MANY)
    if stray:
        mended = [field.replace('"', "") for field in mended]
        repairs.append(STRAY_QUOTE)
    if extra:
        repairs.append(TRAILING)
    return Record(dict(zip(header, mended, strict=False)), tuple(repairs))
