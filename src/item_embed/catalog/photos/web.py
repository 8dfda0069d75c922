"""One request to a web server: the photo into a file, or the reason why not. Nothing that a server does can do harm.

Proxy variables of the environment are not followed: a proxy resolves names itself, so no address could be checked.
"""

import email.utils
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import BinaryIO
from urllib.robotparser import RobotFileParser

import httpcore2
from httpcore2 import NetworkError, ProtocolError, TimeoutException

from item_embed import __version__
from item_embed.catalog.photos.bodies import PhotoWriter, decompressed
from item_embed.catalog.photos.connecting import CheckedNetwork
from item_embed.catalog.photos.reasons import (
    CUT_OFF,
    HTTP_STATUS,
    NO_ANSWER,
    NO_CONNECTION,
    TOO_LARGE,
    TOO_LONG,
    DownloadError,
)
from item_embed.catalog.photos.urls import WebUrl, redirected

AGENT = f"item-embed/{__version__}"
LONGEST_PAUSE = 60.0  # seconds; a host that wants to be left alone for longer is asked earlier, or given up
_ACCEPT = "image/jpeg, image/png, image/webp, image/gif, */*;q=0.5"
_REDIRECTS = {301, 302, 303, 307, 308}
_PHOTOS = {200, 203}
_AGAIN = {408, 425, 429}
_OVERLOADED = {429, 503}
_KEEP_ALIVE = 15.0  # seconds
_LARGEST_ROBOTS = 500 << 10  # bytes, as RFC 9309 has it
_LONGEST_REST = 1.0  # seconds for it
_LARGEST_REST = 64 << 10  # bytes of an answer that nobody wants, read to keep the connection


class Web:
    """Requests to web servers, over connections that are kept while they are of use.

    Args:
        connections: at most this many are open.
        largest_bytes: of a photo, also when decompressed.
        allow_private: also connect to addresses that are not public.
    """

    def __init__(self, connections: int, largest_bytes: int, allow_private: bool = False) -> None:
        self._largest = largest_bytes
        self._network = CheckedNetwork(connections, allow_private)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=httpcore2.default_ssl_context(),  # made once; the pool would make one for each connection
            max_connections=connections,
            keepalive_expiry=_KEEP_ALIVE,
            network_backend=self._network,
        )

    def fetch(self, url: WebUrl, file: Callable[[], BinaryIO], end: float) -> WebUrl | None:
        """Ask for a photo.

        Args:
            url: its address.
            file: opens the file to write it to; called only when there is something to write.
            end: the moment of `time.monotonic` at which the attempt is over.

        Returns:
            None when the photo is in the file, or the address that the server redirects to.

        Raises:
            DownloadError: whatever went wrong.
        """
        with self._asked(url, end) as answer:
            if location := answer.location:
                answer.read_rest()
                return redirected(url, location)
            if answer.status not in _PHOTOS:
                answer.read_rest()
                raise _status_error(answer)
            if answer.length > self._largest:
                raise DownloadError(TOO_LARGE)
            kind = answer.header(b"content-type").lower().lstrip()
            writer = PhotoWriter(file, self._largest, kind.startswith((b"text/html", b"application/xhtml")))
            for part in decompressed(answer.body(), answer.header(b"content-encoding")):
                writer.write(part)
            writer.finish()
        return None

    def crawl_delay(self, url: WebUrl, redirects: int, end: float) -> float:
        """The seconds between requests that a host's robots.txt asks of us; 0 if it has none, or none that can be read.

        Only the delay is read. What `Disallow` says is for those who follow links: these addresses were named by the
        shop itself.

        Raises:
            DownloadError: only when the host failed, so that it would fail at a photo too.
        """
        url = WebUrl(url.scheme, url.host, url.port, "/robots.txt")
        for _ in range(redirects + 1):
            try:
                with self._asked(url, end) as answer:
                    if answer.status in _PHOTOS and answer.header(b"content-encoding") in {b"", b"identity"}:
                        return _delay(_start_of(answer.body(), _LARGEST_ROBOTS))
                    answer.read_rest()
                if not answer.location:
                    return 0.0
                following = redirected(url, answer.location)
            except DownloadError as error:
                if error.host_failed or error.host_refused:
                    raise
                return 0.0
            if following.host != url.host:
                return 0.0
            url = following
        return 0.0

    def close(self) -> None:
        """End all connections, those in use too."""
        self._network.close()
        self._pool.close()

    @contextmanager
    def _asked(self, url: WebUrl, end: float) -> Iterator["_Answer"]:
        """Send a request; in the block, the answer's head is there and its body can be read."""
        # `CheckedNetwork` takes moments; only the pool itself, which has a place for every worker, takes a duration.
        times = {"connect": end, "write": end, "read": end, "pool": max(0.0, end - time.monotonic())}
        request = httpcore2.Request(
            "GET",
            httpcore2.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target),
            headers=[
                ("Host", url.authority),
                ("User-Agent", AGENT),
                ("Accept", _ACCEPT),
                ("Accept-Encoding", "identity"),
            ],
            extensions={"timeout": times},
        )
        with _reasons(NO_ANSWER, host_failed=True):
            response = self._pool.handle_request(request)
        with closing(response):
            yield _Answer(response, times)


class _Answer:
    """The head of an answer, and its body as it comes."""

    def __init__(self, response: httpcore2.Response, times: dict[str, float]) -> None:
        self.status = response.status
        self._response = response
        self._headers = {name.lower(): value for name, value in response.headers}
        self._times = times

    @property
    def location(self) -> bytes:
        """Where it redirects to, if it does."""
        return self.header(b"location") if self.status in _REDIRECTS else b""

    @property
    def length(self) -> int:
        """Bytes of the body, or -1 if it does not say."""
        value = self.header(b"content-length")
        return int(value[:18]) if value.isdigit() else -1

    def header(self, name: bytes) -> bytes:
        return self._headers.get(name, b"")

    def body(self) -> Iterator[bytes]:
        with _reasons(CUT_OFF, host_failed=False):
            yield from self._response.iter_stream()

    def read_rest(self) -> None:
        """Read a short body that nobody wants, if it comes at once: then the connection can be used again."""
        if self.length <= _LARGEST_REST:
            self._times["read"] = min(self._times["read"], time.monotonic() + _LONGEST_REST)
            with suppress(DownloadError):  # the answer is known already
                _start_of(self.body(), _LARGEST_REST)


def retry_after(value: bytes) -> float:
    """The seconds that a Retry-After header asks for, as a number or a date, between 0 and `LONGEST_PAUSE`."""
    text = value.decode("latin1").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_PAUSE)
    try:
        seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), LONGEST_PAUSE)


def _status_error(answer: _Answer) -> DownloadError:
    overloaded = answer.status in _OVERLOADED
    return DownloadError(
        f"{HTTP_STATUS}{answer.status}",
        again=answer.status in _AGAIN or answer.status >= 500,
        host_failed=overloaded,
        pause=retry_after(answer.header(b"retry-after")) if overloaded else 0.0,
    )


def _start_of(parts: Iterator[bytes], largest: int) -> bytes:
    data = bytearray()
    for part in parts:
        data += part
        if len(data) >= largest:
            break
    return bytes(data[:largest])


@contextmanager
def _reasons(garbled: str, host_failed: bool) -> Iterator[None]:
    """Turn what httpcore2 and h11 raise into reasons."""
    try:
        yield
    except TimeoutException:
        raise DownloadError(TOO_LONG, again=True, host_failed=True) from None
    except ProtocolError:
        raise DownloadError(garbled, again=True, host_failed=host_failed) from None
    except NetworkError:
        reason = NO_CONNECTION if host_failed else CUT_OFF
        raise DownloadError(reason, again=True, host_failed=host_failed) from None


def _delay(text: bytes) -> float:
    robots = RobotFileParser()
    try:
        robots.parse(text.decode("utf8", "replace").splitlines())
        delay = robots.crawl_delay(AGENT)
        return float(delay or 0)
    except Exception:  # a file made to confuse is as good as none
        return 0.0
