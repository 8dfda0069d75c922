"""Photos by address: downloaded by several threads into a cache on disk, politely, and safely for us.

A feed is written by others, and servers answer as they like. So: only public addresses, checked after resolution and
at every redirect; bounds on bytes, time and redirects; a rate for each host, Retry-After and the Crawl-delay of
robots.txt honoured; hosts that fail again and again are given up. `Disallow` lines are not consulted, for the shop
itself named these addresses, and proxy variables of the environment are not followed (see `web.py`).
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

from item_embed.catalog.photos.cache import PhotoCache
from item_embed.catalog.photos.hosts import Hosts, Manners
from item_embed.catalog.photos.reasons import GIVEN_UP, REDIRECTS, STOPPED, UNFORESEEN, DownloadError
from item_embed.catalog.photos.stored import read_stored
from item_embed.catalog.photos.urls import StoredUrl, WebUrl, photo_url, stored_roots
from item_embed.catalog.photos.web import Web
from item_embed.errors import ItemError

_MOST_REMEMBERED = 100_000  # addresses that failed; some 200 bytes each
_LONGEST_BACKOFF = 30.0  # seconds
_LONGEST_ROBOTS = 10.0  # seconds that robots.txt may take
_PATIENCE = 2.0  # seconds that closing waits for threads in the middle of something


@dataclass(frozen=True)
class DownloadLimits:
    """What a download may cost us, and what it may cost the hosts.

    Attributes:
        largest_bytes: of a photo.
        seconds: of one attempt, redirects and all; waiting for its turn is not counted.
        redirects: followed in one attempt.
        attempts: of one address.
        per_host_rate: requests a second.
        per_host_connections: requests to a host at a time.
        connections: requests at a time in all.
        crawl_delay: seconds between requests that a host's robots.txt can ask for at most; with 0 it is not read.
        backoff: seconds before the second attempt; twice as long before each further one.
        allow_private: also read from private, local and otherwise not public addresses.
    """

    largest_bytes: int = 20 << 20
    seconds: float = 30.0
    redirects: int = 5
    attempts: int = 3
    per_host_rate: float = 10.0
    per_host_connections: int = 4
    connections: int = 32
    crawl_delay: float = 10.0
    backoff: float = 1.0
    allow_private: bool = False


@dataclass(slots=True, eq=False)
class _Job:
    """A photo on its way, or the robots.txt of a host that is new."""

    url: WebUrl | StoredUrl  # where to ask next
    first: WebUrl | StoredUrl  # what was asked for
    key: bytes = b""
    path: Path = Path()
    future: Future[Path] | None = None  # None for robots.txt
    attempts: int = 0
    redirects: int = 0
    spent: float = 0.0  # seconds of this attempt


class Downloader:
    """Downloads photos into a cache.

    A photo that is in the cache is not asked for again. An address asked for twice at a time, or that failed earlier in
    this run, is asked once. Threads start with the first download.

    Args:
        cache: a folder, made if missing; several processes may share it.
        limits: of bytes, time and requests.
        roots: fsspec addresses of folders (`s3://bucket/feed/`) whose files may be read; others are refused.
        stored: a folder for photos of object stores, which change under their names and may be secret: it should not
            outlast the run. By default a part of the cache.

    Examples:
        >>> with Downloader(Path("cache")) as photos:  # doctest: +SKIP
        ...     photos.submit("https://cdn.example/mug.jpg").result()
        PosixPath('cache/5d/5d41…')
    """

    def __init__(
        self, cache: Path, limits: DownloadLimits | None = None, roots: Sequence[str] = (), stored: Path | None = None
    ) -> None:
        self._limits = limits or DownloadLimits()
        self._cache = PhotoCache(cache)
        self._stored = PhotoCache(stored or cache / "stored")
        self._roots = stored_roots(roots)
        self._hosts: Hosts[_Job] = Hosts()
        self._web: Web | None = None
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._under_way: dict[bytes, Future[Path]] = {}
        self._failed: OrderedDict[bytes, str] = OrderedDict()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, url: str) -> Future[Path]:
        """Ask for a photo. It costs little; bounding how many are under way is the caller's part.

        Args:
            url: the address as the feed has it.

        Returns:
            A future of the file in the cache; it cannot be cancelled. Instead of a path it raises `PhotoError` with a
            reason of `reasons.py`, or `OutputError` when the cache cannot be written to.
        """
        try:
            address = photo_url(url, self._roots)
        except DownloadError as error:
            return _over(error)
        # What was fetched from a private address is nothing for a run that may not ask there.
        private = "private " if self._limits.allow_private else ""
        digest = sha256(f"{private}{address.text}".encode("utf8", "surrogatepass"))
        cache = self._stored if isinstance(address, StoredUrl) else self._cache
        key, path = digest.digest(), cache.path(digest.hexdigest())
        with self._lock:
            if (future := self._under_way.get(key)) is not None:
                return future
            if (reason := self._failed.get(key)) is not None:
                self._failed.move_to_end(key)
                return _over(DownloadError(reason))
            if cache.holds(path):
                return _over(path)
            if self._closed:
                return _over(DownloadError(STOPPED))
            self._start()
            future = self._under_way[key] = Future()
            future.set_running_or_notify_cancel()  # others may wait for the same one: nobody can cancel it
        job = _Job(address, address, key, path, future)
        if reason := self._enqueue(job):
            self._finish(job, DownloadError(reason))
        return future

    def close(self) -> None:
        """Stop. What is not downloaded yet fails with the reason `stopped`."""
        with self._lock:
            self._closed = True
        for job in self._hosts.close():
            self._finish(job, DownloadError(STOPPED))
        if self._web is not None:
            self._web.close()
        patience = time.monotonic() + _PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, patience - time.monotonic()))

    def _start(self) -> None:
        if self._web is None:
            limits = self._limits
            self._web = Web(limits.connections, limits.largest_bytes, limits.allow_private)
            for number in range(limits.connections):
                thread = threading.Thread(target=self._work, args=(self._web,), name=f"download-{number}", daemon=True)
                thread.start()
                self._threads.append(thread)

    def _enqueue(self, job: _Job, wait: float = 0.0, next_in_line: bool = False) -> str | None:
        """Put a job into its host's line; the reason if it cannot be."""
        limits, url, robots = self._limits, job.url, None
        if isinstance(url, WebUrl):
            name, manners = url.host, Manners(1 / limits.per_host_rate, limits.per_host_connections)
            robots = _Job(url, url) if limits.crawl_delay > 0 else None
        else:  # a store is made for many requests, and is the user's own
            name, manners = url.root, Manners(0.0, limits.connections)
        return self._hosts.add(name, manners, job, wait=wait, next_in_line=next_in_line, first=robots)

    def _work(self, web: Web) -> None:
        while (taken := self._hosts.take()) is not None:
            name, job = taken
            began = time.monotonic()
            try:
                delay, following = self._ask(web, job, began)
            except DownloadError as error:
                self._report(name, job, error)
            except Exception as error:
                # An error of ours must not leave a caller waiting for ever; one of the disk concerns the whole run.
                self._hosts.done(name)
                ours = DownloadError(STOPPED if self._closed else UNFORESEEN)
                self._finish(job, error if isinstance(error, ItemError) else ours)
            else:
                self._hosts.done(name, interval=delay)
                if following is None:
                    self._finish(job, job.path)
                else:
                    self._redirect(job, following, time.monotonic() - began)

    def _ask(self, web: Web, job: _Job, began: float) -> tuple[float, WebUrl | None]:
        """Make one request; gives the delay that robots.txt asks for, and where a redirect leads."""
        limits, url = self._limits, job.url
        if isinstance(url, StoredUrl):
            data = read_stored(url, limits.largest_bytes)
            with self._stored.writing(job.path) as file:
                file.write(data)
            return 0.0, None
        if job.future is None:
            delay = web.crawl_delay(url, limits.redirects, began + min(limits.seconds, _LONGEST_ROBOTS))
            return min(delay, limits.crawl_delay), None
        with ExitStack() as stack:
            end = began + limits.seconds - job.spent
            return 0.0, web.fetch(url, lambda: stack.enter_context(self._cache.writing(job.path)), end)

    def _report(self, name: str, job: _Job, error: DownloadError) -> None:
        refused = error.reason if error.host_refused else ""
        for dropped in self._hosts.done(name, failed=error.host_failed, refused=refused, pause=error.pause):
            self._finish(dropped, DownloadError(refused or GIVEN_UP))
        if job.future is None:
            return
        job.attempts += 1
        if not error.again or job.attempts >= self._limits.attempts or self._closed:
            self._finish(job, DownloadError(STOPPED) if self._closed else error)
            return
        job.url, job.redirects, job.spent = job.first, 0, 0.0
        # Spread by the address, so that what failed together does not come back together.
        backoff = self._limits.backoff * 2 ** (job.attempts - 1) * (0.75 + job.key[0] / 512)
        if self._enqueue(job, max(min(backoff, _LONGEST_BACKOFF), error.pause)):
            self._finish(job, error)

    def _redirect(self, job: _Job, following: WebUrl, took: float) -> None:
        job.redirects += 1
        job.spent += took
        job.url = following
        if job.redirects > self._limits.redirects:
            self._finish(job, DownloadError(REDIRECTS))
        elif reason := self._enqueue(job, next_in_line=True):  # its host has its own line and rate
            self._finish(job, DownloadError(reason))

    def _finish(self, job: _Job, result: Path | Exception) -> None:
        if job.future is None:
            return
        if isinstance(result, DownloadError):
            result = DownloadError(result.reason)  # without a trace that holds on to connections
        with self._lock:
            self._under_way.pop(job.key, None)
            if isinstance(result, DownloadError) and result.reason not in {GIVEN_UP, STOPPED}:
                self._failed[job.key] = result.reason
                if len(self._failed) > _MOST_REMEMBERED:
                    self._failed.popitem(last=False)
        _settle(job.future, result)


def _over(result: Path | Exception) -> Future[Path]:
    future: Future[Path] = Future()
    _settle(future, result)
    return future


def _settle(future: Future[Path], result: Path | Exception) -> None:
    if isinstance(result, Path):
        future.set_result(result)
    else:
        future.set_exception(result)
