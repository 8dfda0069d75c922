"""Reading a feed: files of any usual kind, local, by URL or from the Hugging Face hub, as numbered rows."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from pathlib import Path

from item_embed.catalog.feeds import delimited, jsonlines, parquet
from item_embed.catalog.feeds.finding import PARQUET, find_files, kind
from item_embed.catalog.feeds.hub import is_hub, open_hub
from item_embed.catalog.feeds.places import FeedFile, named_errors
from item_embed.catalog.feeds.records import Record
from item_embed.catalog.schema import printable
from item_embed.errors import FeedError
from item_embed.progress import OnProgress, silent
from item_embed.remote.urls import shown

_Reader = Callable[[int], Iterator[Record]]  # of a file's rows but the first so many
_READERS: dict[str, Callable[[FeedFile, int], Iterator[Record]]] = {
    ".csv": delimited.read,
    ".tsv": delimited.read,
    ".jsonl": jsonlines.read,
    ".ndjson": jsonlines.read,
    ".parquet": parquet.read,
    ".pq": parquet.read,
}
_TOLD_EVERY = 1000  # rows


@dataclass(frozen=True)
class _Part:
    """A file that was looked through once."""

    file: FeedFile
    read: _Reader
    columns: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Feed:
    """A feed that was found and looked through once.

    Attributes:
        files: in the order in which they are read.
        columns: the names in all files, in order of appearance.
        size: how many rows there are.
    """

    files: tuple[FeedFile, ...]
    columns: tuple[str, ...]
    size: int
    parts: tuple[_Part, ...] = field(repr=False, compare=False)

    def rows(self, skip: int = 0) -> Iterator[tuple[int, FeedFile, Record]]:
        """Yield each row with its number, from 1 over the whole feed, and its file.

        Args:
            skip: rows to leave out at the start. Whole files and row groups among them are not read; the numbers of
                the others stay.

        Raises:
            FeedError: when a file turns out to be unreadable, or shorter than when it was counted.
        """
        number = 0
        for part in self.parts:
            if skip - number >= part.size:
                number += part.size
                continue
            last = number + part.size
            number = max(number, skip)
            with named_errors(part.file.url):
                for record in islice(part.read(skip - (last - part.size) if number == skip else 0), last - number):
                    number += 1
                    yield number, part.file, record
            if number < last:
                raise FeedError(f"{part.file.url} has fewer rows than when they were counted; prepare it again.")

    def name(self, file: FeedFile) -> str:
        """A file's name within the feed, the same wherever the feed lies."""
        return printable("/".join(file.url.split("/")[self._shared :]))

    @cached_property
    def stamp(self) -> str:
        """Changes whenever one of the files does, or their names within the feed."""
        digest = hashlib.blake2b(digest_size=16)
        for file in self.files:
            digest.update(f"{self.name(file)}\0{file.stamp}\0".encode("utf-8", "replace"))
        return digest.hexdigest()

    @cached_property
    def _shared(self) -> int:
        """How many folders all files lie in."""
        folders = [file.url.split("/")[:-1] for file in self.files]
        depth = 0
        for level in zip(*folders, strict=False):
            if len(set(level)) > 1:
                break
            depth += 1
        return depth


def open_feed(source: str | Path, on_progress: OnProgress = silent) -> Feed:
    """Find the files of a feed, count their rows and collect their columns.

    Args:
        source: a file, a glob pattern, or a folder whose top level holds feed files, as a path or as a URL that
            fsspec reads (`s3://…`, `https://…`); or `hf:NAME`, see `open_hub`. Text files may be packed.
        on_progress: told the rows counted so far.

    Raises:
        FeedError: when there is no such file, nothing in it, or it cannot be read.

    Examples:
        >>> open_feed("s3://shop/feeds/*.csv.gz").size  # doctest: +SKIP
        1000000
    """
    parts = []
    size = 0
    if is_hub(str(source)):
        for split in open_hub(str(source)):
            parts.append(_Part(split.file, split.read, tuple(split.columns), split.size))
            size += split.size
            on_progress(size, None)
    else:
        for file in find_files(str(source)):
            parts.append(_look_through(file, size, on_progress))
            size += parts[-1].size
    if not size:
        raise FeedError(
            f"{shown(str(source))} holds no rows; export the feed again, with a header and at least one row."
        )
    columns = dict.fromkeys(name for part in parts for name in part.columns)
    return Feed(tuple(part.file for part in parts), tuple(columns), size, tuple(parts))


def _look_through(file: FeedFile, before: int, on_progress: OnProgress) -> _Part:
    """The columns and the number of rows of one file, after so many rows in the files before it."""
    suffix = kind(file.name) or ""
    read = partial(_READERS[suffix], file)
    names: dict[str, None] = {}
    size = before
    with named_errors(file.url):
        if suffix in PARQUET:
            return _Part(file, read, tuple(parquet.columns(file)), parquet.count(file))
        if suffix in {".csv", ".tsv"}:
            names.update(dict.fromkeys(delimited.columns(file)))
            for size, _ in enumerate(delimited.tick(file), start=before + 1):
                if size % _TOLD_EVERY == 0:
                    on_progress(size, None)
            return _Part(file, read, tuple(names), size - before)
        for size, record in enumerate(read(0), start=before + 1):
            if record.problem is None and not record.values.keys() <= names.keys():
                names.update(dict.fromkeys(record.values))
            if size % _TOLD_EVERY == 0:
                on_progress(size, None)
    return _Part(file, read, tuple(names), size - before)
