"""Reading a feed: a file, a glob or a folder of CSV, TSV, JSONL and Parquet files, as numbered rows."""

import csv
import glob
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from item_embed.catalog.feeds import delimited, jsonlines, parquet
from item_embed.catalog.feeds.records import Record
from item_embed.catalog.schema import is_rejected_file, printable
from item_embed.errors import FeedError
from item_embed.progress import OnProgress, silent

_READERS: dict[str, Callable[[Path], Iterator[Record]]] = {
    ".csv": delimited.read,
    ".tsv": delimited.read,
    ".jsonl": jsonlines.read,
    ".ndjson": jsonlines.read,
    ".parquet": parquet.read,
    ".pq": parquet.read,
}
_TOLD_EVERY = 1000  # rows
_NAMES = "the name of a feed ends in .csv, .tsv, .jsonl, .ndjson, .parquet or .pq"


@dataclass(frozen=True)
class Feed:
    """A feed that was found and looked through once.

    Attributes:
        files: in the order in which they are read.
        columns: the names in all files, in order of appearance.
        size: how many rows there are.
    """

    files: tuple[Path, ...]
    columns: tuple[str, ...]
    size: int

    def rows(self) -> Iterator[tuple[int, Path, Record]]:
        """Yield each row with its number, from 1 over the whole feed, and its file.

        Raises:
            FeedError: when a file turns out to be unreadable.
        """
        number = 0
        for path in self.files:
            for record in _records(path):
                number += 1
                yield number, path, record

    def name(self, path: Path) -> str:
        """A file's name within the feed, the same wherever the feed lies."""
        return printable(path.relative_to(self._top).as_posix())

    @cached_property
    def _top(self) -> str:
        return os.path.commonpath([file.parent for file in self.files])


def open_feed(source: str | Path, on_progress: OnProgress = silent) -> Feed:
    """Find the files of a feed, count their rows and collect their columns.

    Args:
        source: a file, a glob pattern, or a folder whose top level holds feed files.
        on_progress: told the rows counted so far.

    Raises:
        FeedError: when there is no such file, nothing in it, or it cannot be read.
    """
    files = _find(str(source))
    columns: dict[str, None] = {}
    size = 0
    for path in files:
        found, rows = _look_through(path, size, on_progress)
        columns.update(dict.fromkeys(found))
        size += rows
    if not size:
        raise FeedError(f"{source} holds no rows; export the feed again, with a header and at least one row.")
    return Feed(tuple(files), tuple(columns), size)


def _find(source: str) -> list[Path]:
    path = Path(source)
    if path.is_file():
        if path.suffix.lower() not in _READERS:
            raise FeedError(f"{source} is not a feed: {_NAMES}.")
        return [path]
    if path.is_dir():
        if (path / "manifest.json").is_file() and (path / "rejected.parquet").is_file():
            raise FeedError(f"{source} is a prepared catalogue already; give the feed that it was made from.")
        found = [file for file in path.iterdir() if file.is_file() and not file.name.startswith((".", "_"))]
        missing = f"the folder {source} holds no feed directly: {_NAMES}."
    else:
        found = [Path(match) for match in glob.glob(source, recursive=True)]  # noqa: PTH207  (patterns may be absolute)
        pattern = any(mark in source for mark in "*?[")
        missing = f"{source} matches no feed: {_NAMES}." if pattern else f"there is no file {source}."
    feeds = sorted(file for file in found if file.suffix.lower() in _READERS and file.is_file())
    feeds = [file for file in feeds if not is_rejected_file(file)]
    if not feeds:
        raise FeedError(missing)
    return feeds


def _look_through(path: Path, before: int, on_progress: OnProgress) -> tuple[list[str], int]:
    """The columns and the number of rows of one file, after so many rows in the files before it."""
    if path.suffix.lower() in {".parquet", ".pq"}:
        with _named_errors(path):
            return parquet.columns(path), parquet.count(path)
    names: dict[str, None] = {}
    size = 0
    delimited_file = path.suffix.lower() in {".csv", ".tsv"}
    if delimited_file:
        with _named_errors(path):
            names.update(dict.fromkeys(delimited.columns(path)))
    for record in _records(path):
        size += 1
        if record.problem is None and not delimited_file:
            names.update(dict.fromkeys(record.values))
        if (before + size) % _TOLD_EVERY == 0:
            on_progress(before + size, None)
    return list(names), size


def _records(path: Path) -> Iterator[Record]:
    with _named_errors(path):
        yield from _READERS[path.suffix.lower()](path)


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Turn what a library says about a broken file into a sentence that names the file."""
    try:
        yield
    except OSError as error:
        raise FeedError(f"{path} cannot be read: {_first_line(error)}.") from None
    except (pa.ArrowException, csv.Error, UnicodeError) as error:
        raise FeedError(f"{path} is damaged or not what its name says: {_first_line(error)}.") from None


def _first_line(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return (text.splitlines() or [type(error).__name__])[0].rstrip(". ")
