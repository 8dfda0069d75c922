"""A feed cut into chunks for workers, its photos by URL fetched ahead, what a previous catalogue holds left out."""

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from item_embed.catalog.checking import Asked, Job, reference_of
from item_embed.catalog.feeds.feed import Feed
from item_embed.catalog.photos.images import PhotoError
from item_embed.catalog.previous import Previous
from item_embed.catalog.rows import identity_of, said

ROWS = 512  # of a chunk: enough to make handing it over cheap, few enough that a killed run loses seconds
_BYTES = 32 << 20  # that a chunk may carry: photos may lie in the feed itself
_FETCHED_AHEAD = 8  # chunks whose photos are being fetched while the ones before them are checked

Chunk = tuple[int, list[Asked]]
_Row = tuple[Asked, Future[Path] | None]


class Fetcher(Protocol):
    """What fetches photos by URL."""

    def submit(self, url: str) -> Future[Path]:
        """Begin to fetch a photo; the future gives its file, or raises `PhotoError`."""


class Chunks:
    """The chunks of a feed.

    Args:
        feed: whose rows they are.
        job: what the chunks share.
        previous: the catalogue to be updated, or None.
        retry: whether to try again for photos that could not be fetched then.
        fetcher: fetches photos by URL.
    """

    def __init__(self, feed: Feed, job: Job, previous: Previous | None, retry: bool, fetcher: Fetcher) -> None:
        self._feed = feed
        self._job = job
        self._previous = previous
        self._retry = retry
        self._fetcher = fetcher
        self._places = {file: place for place, file in enumerate(feed.files)}
        self._names = [feed.name(file) for file in feed.files]

    def after(self, chunk: int, rows: int) -> Iterator[Chunk]:
        """Yield the chunks from number `chunk` on, before which `rows` rows of the feed stand."""
        waiting: deque[tuple[int, list[_Row]]] = deque()
        for number, asked in enumerate(self._cut(rows), start=chunk):
            waiting.append((number, self._begin(asked)))
            ahead = _FETCHED_AHEAD if any(future for _, begun in waiting for _, future in begun) else 0
            while len(waiting) > ahead:
                yield _settled(*waiting.popleft())
        while waiting:
            yield _settled(*waiting.popleft())

    def _cut(self, skip: int) -> Iterator[list[Asked]]:
        chunk: list[Asked] = []
        carried = 0
        for number, file, record in self._feed.rows(skip):
            place = self._places[file]
            chunk.append(Asked(number, place, self._names[place], record))
            carried += _size(record.values)
            if len(chunk) == ROWS or carried >= _BYTES:
                yield chunk
                chunk, carried = [], 0
        if chunk:
            yield chunk

    def _begin(self, chunk: list[Asked]) -> list[_Row]:
        """Note what the previous catalogue has of each row, and begin to fetch what has to be."""
        if self._previous is not None:
            ids = [identity_of(asked.number, asked.record.values, self._job.columns)[0] for asked in chunk]
            rows = self._previous.find(ids).tolist()
            chunk = [self._beside(asked, row, self._previous) for asked, row in zip(chunk, rows, strict=True)]
        return [(asked, self._fetch(asked)) for asked in chunk]

    def _beside(self, asked: Asked, row: int, previous: Previous) -> Asked:
        return replace(asked, previous=row, again=self._retry and row >= 0 and previous.failed(row))

    def _fetch(self, asked: Asked) -> Future[Path] | None:
        try:
            reference = reference_of(asked.record, self._job.columns)
        except PhotoError:
            return None
        url = self._job.folders[asked.file].url_of(reference)
        if url is None or self._is_known(asked, url):
            return None
        return self._fetcher.submit(url)

    def _is_known(self, asked: Asked, url: str) -> bool:
        if self._previous is None or asked.previous < 0 or asked.again:
            return False
        return self._previous.same(asked.previous, said(asked.number, asked.record, self._job.columns, url))


def _settled(number: int, begun: list[_Row]) -> Chunk:
    return number, [asked if future is None else replace(asked, fetched=_outcome(future)) for asked, future in begun]


def _outcome(future: Future[Path]) -> Path | str:
    try:
        return future.result()
    except PhotoError as error:
        return str(error)


def _size(value: Any) -> int:
    """About how many bytes a row carries."""
    size, waiting = 0, [value]
    while waiting:
        held = waiting.pop()
        if isinstance(held, bytes | str):
            size += len(held)
        elif isinstance(held, Mapping):
            waiting += held.values()
        elif isinstance(held, list | tuple):
            waiting += held
    return size
