import email.utils
import gzip
import random
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from item_embed import __version__
from item_embed.catalog.photos import web
from item_embed.catalog.photos.downloading import Downloader, DownloadLimits
from item_embed.catalog.photos.reasons import is_download_reason
from item_embed.catalog.photos.urls import WebUrl, photo_url
from tests.catalog.photos.shop import Answer, Shop, answer, redirect

_PHOTO = b"\xff\xd8\xff a photo"
_LIMITS = DownloadLimits(
    largest_bytes=200_000,
    seconds=0.4,
    redirects=3,
    attempts=2,
    backoff=0.005,
    per_host_rate=5000,
    connections=4,
    allow_private=True,
)


@pytest.fixture(autouse=True, scope="module")
def no_certificates() -> Iterator[None]:
    """Nothing here is encrypted, and reading the system's certificates takes most of a test's time."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpcore2.default_ssl_context", lambda: context)
        yield


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop() as shop:
        yield shop


def said(cache: Path, shop: Shop, reply: Answer | list[Answer], limits: DownloadLimits = _LIMITS) -> str:
    """What becomes of a photo for which the shop answers so; empty if it is there."""
    shop.answers["/a.jpg"] = reply
    with Downloader(cache, limits) as photos:
        error = photos.submit(f"{shop.url}/a.jpg").exception(10)
        if not error:
            assert photos.submit(f"{shop.url}/a.jpg").result().read_bytes() == _PHOTO
    return str(error).removeprefix("download: ") if error else ""


def raw(
    *parts: bytes, pause: float = 0.0, wait: bool = False, shop: Shop | None = None
) -> Callable[[socket.socket], None]:
    def send(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        if wait and shop:
            shop.over.wait(5)

    return send


def endless(head: bytes, part: bytes, pause: float = 0.0) -> Callable[[socket.socket], None]:
    def send(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:  # until the other side closes
            connection.sendall(part)
            time.sleep(pause)

    return send


_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "reply",
    [
        answer(_PHOTO),
        answer(_PHOTO, content_type="text/html"),
        answer(_PHOTO, "203 Non-Authoritative Information"),
        answer(gzip.compress(_PHOTO, mtime=0), content_encoding="gzip"),
        raw(_OK + b"\r\n" + _PHOTO),
        raw(b"HTTP/1.0 200 OK\r\n\r\n", _PHOTO),
        _CHUNKED + b"3\r\n" + _PHOTO[:3] + b"\r\n%x\r\n" % (len(_PHOTO) - 3) + _PHOTO[3:] + b"\r\n0\r\n\r\n",
        raw(*(bytes([byte]) for byte in answer(_PHOTO)), pause=0.001),
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + answer(_PHOTO),
        [answer(b"", "503 Busy"), answer(_PHOTO)],
        [answer(b"", "408 Timeout"), answer(_PHOTO)],
        [answer(b"", "425 Early"), answer(_PHOTO)],
        [answer(b"", "500 Oh"), answer(_PHOTO)],
        [answer(b"", "429 Many", retry_after="0"), answer(_PHOTO)],
        [raw(b""), answer(_PHOTO)],
        [raw(answer(_PHOTO)[:-1]), answer(_PHOTO)],
        [raw(b"garbage\r\n\r\n"), answer(_PHOTO)],
    ],
)
def test_a_photo_comes_also_by_ways_that_are_seldom(tmp_path: Path, shop: Shop, reply: Answer | list[Answer]) -> None:
    assert said(tmp_path, shop, reply) == ""


@pytest.mark.parametrize(
    ("reply", "reason", "asked"),
    [
        (answer(b"", "404 Not Found"), "HTTP 404", 1),
        (answer(b"gone", "410 Gone"), "HTTP 410", 1),
        (answer(b"", "403 Forbidden"), "HTTP 403", 1),
        (answer(b"", "401 Unauthorized"), "HTTP 401", 1),
        (answer(b"", "429 Many"), "HTTP 429", 2),
        (answer(b"", "500 Oh"), "HTTP 500", 2),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "HTTP 204", 1),
        (answer(_PHOTO, "206 Partial Content"), "HTTP 206", 1),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "HTTP 302", 1),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "no valid HTTP answer", 2),
        (answer(b"<!DOCTYPE html><p>Sorry", content_type="image/jpeg"), "an HTML page, no photo", 1),
        (answer(b"Sorry", content_type="text/html; charset=utf8"), "an HTML page, no photo", 1),
        (answer(b""), "empty answer", 1),
        (_OK + b"Content-Length: 200001\r\n\r\n", "too large", 1),
        (endless(_OK + b"\r\n", bytes(9999)), "too large", 1),
        (endless(_CHUNKED, b"270f\r\n" + bytes(9999) + b"\r\n"), "too large", 1),
        (answer(gzip.compress(bytes(200_001)), content_encoding="gzip"), "too large", 1),
        (answer(_PHOTO, content_encoding="br"), "compressed in a way that is not read", 1),
        (answer(_PHOTO, content_encoding="gzip"), "no valid HTTP answer", 2),
        (raw(answer(_PHOTO)[:-1]), "cut off", 2),
        (raw(_CHUNKED + b"ff\r\nabc"), "cut off", 2),
        (raw(_CHUNKED + b"3\r\n\xff\xd8\xff\r\n"), "cut off", 2),
        (raw(_CHUNKED + b"zz\r\nabc\r\n"), "cut off", 2),
        (raw(_CHUNKED + b"-3\r\nabc\r\n"), "cut off", 2),
        (raw(), "no valid HTTP answer", 2),
        (raw(b"220 mail.example ESMTP\r\n"), "no valid HTTP answer", 2),
        (raw(b"\x00\xff" * 500), "no valid HTTP answer", 2),
        (raw(_PHOTO), "no valid HTTP answer", 2),
        (_OK + b"Content-Length: 9\r\nContent-Length: 10\r\n\r\n", "no valid HTTP answer", 2),
        (_OK + b"Content-Length: -1\r\n\r\n", "no valid HTTP answer", 2),
        (_OK + b"Transfer-Encoding: nonsense\r\n\r\n", "no valid HTTP answer", 2),
        (_OK + b"no colon here\r\n\r\n", "no valid HTTP answer", 2),
        (endless(_OK, b"X-More: " + b"x" * 5000 + b"\r\n"), "no valid HTTP answer", 2),
        (endless(_OK + b"X-More: ", b"x" * 5000), "no valid HTTP answer", 2),
        (redirect("/a.jpg"), "too many redirects", 4),
        (redirect("file:///etc/passwd"), "neither http nor https", 1),
        (redirect("ftp://shop.example/a.jpg"), "neither http nor https", 1),
        (redirect("http://user:name@127.0.0.1/"), "user name or password in the address, refused", 1),
        (redirect("http://["), "not a valid address", 1),
    ],
)
def test_whatever_a_server_does_has_a_reason(
    tmp_path: Path, shop: Shop, reply: Answer, reason: str, asked: int
) -> None:
    assert said(tmp_path, shop, reply) == reason
    assert len(shop.asked) == asked
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.slow
@pytest.mark.parametrize(
    "drip",
    [
        endless(b"", b"H", pause=0.02),
        endless(_OK, b"X: y\r\n", pause=0.02),
        endless(_OK + b"Content-Length: 5000\r\n\r\n", b"x", pause=0.02),
        endless(_CHUNKED, b"1\r\nx\r\n", pause=0.02),
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.02),
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_a_drip_ends_in_time(tmp_path: Path, shop: Shop, drip: Answer) -> None:
    began = time.monotonic()
    assert said(tmp_path, shop, drip, replace(_LIMITS, seconds=0.15)) in {
        "took too long",
        "no valid HTTP answer",
    }
    assert time.monotonic() - began < 3


def test_a_server_that_says_nothing_ends_in_time(tmp_path: Path, shop: Shop) -> None:
    assert said(tmp_path, shop, raw(wait=True, shop=shop)) == "took too long"
    assert len(shop.asked) == 2


def test_the_time_of_an_attempt_holds_over_its_redirects(tmp_path: Path, shop: Shop) -> None:
    def slowly(location: str, connection: socket.socket) -> None:
        time.sleep(0.15)
        connection.sendall(redirect(location))

    shop.answers["/b.jpg"] = partial(slowly, "/a.jpg")
    limits = replace(_LIMITS, attempts=1, redirects=100)
    # On a busy machine the end may come while the next connection is made.
    assert said(tmp_path, shop, partial(slowly, "/b.jpg"), limits) in {"took too long", "no connection"}
    assert len(shop.asked) <= 4  # each takes .15 seconds


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    whole=st.sampled_from(
        [
            answer(_PHOTO, content_type="image/jpeg", etag='"x"'),
            _CHUNKED + b"5\r\nabcde\r\n6\r\nfghijk\r\n0\r\nTrailer: x\r\n\r\n",
            answer(gzip.compress(_PHOTO * 9, mtime=0), content_encoding="gzip"),
            redirect("/b.jpg?x=1"),
        ]
    ),
    seed=st.integers(0, 1 << 30),
    changes=st.integers(0, 6),
)
def test_mutated_answers_give_a_photo_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, mutated_shop: Shop, whole: bytes, seed: int, changes: int
) -> None:
    rng = random.Random(seed)
    data = bytearray(whole)
    for _ in range(changes):
        at = rng.randrange(len(data))
        data[at : at + rng.randrange(3)] = rng.choice([b"", b"\r\n", b"\x00", b"9", b":", b"-", b"\xff", b"HTTP/1.1 "])
    del data[rng.randrange(len(data)) if rng.random() < 0.3 else len(data) :]
    mutated_shop.answers["/a.jpg"] = raw(bytes(data))
    limits = replace(_LIMITS, attempts=1)
    with Downloader(tmp_path_factory.mktemp("cache"), limits) as photos:
        error = photos.submit(f"{mutated_shop.url}/a.jpg").exception(5)
        assert error is None or (is_download_reason(str(error)) and "unforeseen" not in str(error))


@pytest.fixture(scope="module")
def mutated_shop() -> Iterator[Shop]:
    with Shop({"/b.jpg": answer(_PHOTO)}) as shop:
        yield shop


def test_connections_are_kept_also_after_errors(tmp_path: Path, shop: Shop) -> None:
    shop.answers = {
        f"/{n}.jpg": [answer(_PHOTO), answer(b"none", "404 No"), redirect("/0.jpg")][n % 3] for n in range(30)
    }
    with Downloader(tmp_path, replace(_LIMITS, per_host_connections=1)) as photos:
        for number in range(30):
            photos.submit(f"{shop.url}/{number}.jpg").exception(10)
    assert len(shop.asked) > 30
    assert shop.connections == 1


def test_a_request_says_who_asks_and_wants_no_compression(
    tmp_path: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # not followed
    assert said(tmp_path, shop, answer(_PHOTO)) == ""
    for head in shop.heads:
        assert f"User-Agent: item-embed/{__version__}\r\n" in head
        assert "Accept-Encoding: identity\r\n" in head


@pytest.mark.parametrize(
    ("reply", "delay"),
    [
        (answer(b"User-agent: *\nCrawl-delay: 3\nDisallow: /"), 3.0),
        (answer(b"User-agent: item-embed\nCrawl-delay: 2\n\nUser-agent: *\nCrawl-delay: 9"), 2.0),
        (answer(b"User-agent: *\nCrawl-delay: 86400"), 86400.0),
        (answer(b"User-agent: other\nCrawl-delay: 5"), 0.0),
        (answer(b"User-agent: *\nCrawl-delay: " + b"9" * 5000), 0.0),
        (answer(b"User-agent: *\nCrawl-delay: \xc2\xb2"), 0.0),
        (answer(b"User-agent: *\nCrawl-delay: 3\n" + b"#" * 600_000), 3.0),
        (answer(b"", "404 Not Found"), 0.0),
        (answer(b"\x00\xff" * 500), 0.0),
        (raw(answer(b"User-agent: *")[:-3]), 0.0),
        (redirect("/other.txt"), 4.0),
        (redirect("/robots.txt"), 0.0),
        (redirect("http://elsewhere.example/robots.txt"), 0.0),
    ],
)
def test_only_a_crawl_delay_is_read_from_robots_txt(shop: Shop, reply: Answer, delay: float) -> None:
    shop.answers = {"/robots.txt": reply, "/other.txt": answer(b"User-agent: *\nCrawl-delay: 4")}
    client = web.Web(2, 1 << 20, allow_private=True)
    url = photo_url(f"{shop.url}/a.jpg")
    assert isinstance(url, WebUrl)
    assert client.crawl_delay(url, 3, time.monotonic() + 5) == delay
    client.close()


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        (b"7", 7, 7),
        (b" 0 ", 0, 0),
        (b"999999999999999999", 60, 60),
        (b"Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        (b"Fri, 31 Dec 9999 23:59:59 GMT", 60, 60),
        (b"", 0, 0),
        (b"soon", 0, 0),
        (b"-5", 0, 0),
        (b"\xb2", 0, 0),
    ],
)
def test_retry_after_is_a_number_or_a_date_within_reason(value: bytes, least: float, most: float) -> None:
    assert least <= web.retry_after(value) <= most


def test_a_date_to_retry_after_counts_from_now() -> None:
    assert 20 <= web.retry_after(email.utils.formatdate(time.time() + 30, usegmt=True).encode()) <= 31


@given(st.binary(max_size=40))
def test_any_retry_after_is_a_duration(value: bytes) -> None:
    assert 0 <= web.retry_after(value) <= 60
