"""CSV and TSV feeds: the delimiter found, stray quotation marks and rows of a wrong width caught."""

import csv
import re
import sys
from collections import deque
from collections.abc import Iterator
from itertools import chain, islice

from item_embed.catalog.feeds.places import FeedFile
from item_embed.catalog.feeds.records import Record
from item_embed.catalog.feeds.text import MENDED, is_clean, mend, open_text

_DELIMITERS = ",;\t|"
_NO_DELIMITER = "\x1f"  # for a file of one column, whose text may hold commas
_EXCEL_HINT = re.compile(r"sep=(.)\s*$")
_MOST_LINES = 1000  # that one quoted field may span before its opening mark counts as stray

STRAY_QUOTE = "row: stray quotation mark"
TRAILING = "row: more fields than the header, the extra ones empty"
TOO_FEW = "row: fewer fields than the header"
TOO_MANY = "row: more fields than the header"


def columns(file: FeedFile) -> list[str]:
    """The names in the header; unnamed columns get numbers, repeated names too."""
    with open_text(file) as lines:
        _, header = _header(lines)
    return header


def read(file: FeedFile, skip: int = 0) -> Iterator[Record]:
    """Yield every row of a CSV or TSV file but the first `skip`. Empty lines are no rows.

    Args:
        file: its first line names the columns.
        skip: rows to leave out; they are still parsed, for only a parser sees where a row ends.
    """
    with open_text(file) as lines:
        delimiter, header = _header(lines)
        for fields, stray in islice(_rows(lines, delimiter, len(header)), skip, None):
            yield _record(header, fields, stray)


def tick(file: FeedFile) -> Iterator[None]:
    """Yield once for every row, without making anything of it: for counting."""
    with open_text(file) as lines:
        delimiter, header = _header(lines)
        for _ in _rows(lines, delimiter, len(header)):
            yield None


def _header(lines: Iterator[str]) -> tuple[str, list[str]]:
    csv.field_size_limit(sys.maxsize)  # the csv module's own limit would end the run on one long field
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
    """Yield the fields of each row that is not empty, and whether a quotation mark in it is stray.

    A mark that nothing closes would swallow the rows after it. So a row whose marks do not come in order, or that
    spans lines without having the header's width, is read again: its first line alone, marks taken as they are, and
    its other lines as rows.
    """
    source = _Lines(lines)
    taken = source.taken
    while not source.ended:
        for parsed in csv.reader(source, delimiter=delimiter):
            fields, stray = parsed, False
            if len(taken) > 1:
                stray = len(fields) != width or not _in_order(taken, delimiter)
            elif len(fields) != width:
                stray = taken[0].count('"') % 2 == 1
            if stray:
                source.waiting.extendleft(reversed(taken[1:]))
                line = taken[0].rstrip("\r\n")
                fields = next(csv.reader([line], delimiter=delimiter, quoting=csv.QUOTE_NONE), [])
            taken.clear()
            if len(fields) > 1 or (fields and not fields[0].isspace()):
                yield fields, stray


def _in_order(lines: list[str], delimiter: str) -> bool:
    """Whether every quoted field closes, and ends there."""
    try:
        deque(csv.reader(lines, delimiter=delimiter, strict=True), maxlen=0)
    except csv.Error:
        return False
    return True


class _Lines:
    """Lines, the waiting ones first, noted as they are taken; they pause where one row takes too many."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.waiting: deque[str] = deque()
        self.taken: list[str] = []
        self.ended = False
        self._lines = lines

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.taken) >= _MOST_LINES:
            raise StopIteration
        if self.waiting:
            line = self.waiting.popleft()
        else:
            try:
                line = next(self._lines)
            except StopIteration:
                self.ended = not self.taken
                raise
        self.taken.append(line)
        return line


def _record(header: list[str], fields: list[str], stray: bool) -> Record:
    mended = fields if is_clean("".join(fields)) else [mend(field) for field in fields]
    if len(fields) == len(header) and not stray:
        return Record(dict(zip(header, mended, strict=True)), () if mended is fields else (MENDED,))
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
