import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from item_embed.catalog.photos import connecting
from item_embed.catalog.photos.downloading import Downloader, DownloadLimits
from tests.catalog.photos.shop import Shop, answer, redirect

_PHOTO = b"\xff\xd8\xff a photo"
_REFUSED = "download: private or local address, refused"
_PUBLIC = "93.184.216.34"


class Names:
    """A resolver that says what it is told, and a net in which the public address leads to the test's own server."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, port: int) -> None:
        self.answers: dict[str, list[list[str]]] = {}
        self.looked_up: list[str] = []
        self.connected: list[str] = []
        really = socket.create_connection

        def resolve(host: str, port: int) -> list[str]:
            self.looked_up.append(host)
            said = self.answers[host]
            return said.pop(0) if len(said) > 1 else said[0]

        def connect(address: tuple[str, int], *rest: Any, **named: Any) -> socket.socket:
            self.connected.append(address[0])
            return really(("127.0.0.1", port) if address[0] == _PUBLIC else address, *rest, **named)

        monkeypatch.setattr(connecting, "resolve", resolve)
        monkeypatch.setattr(socket, "create_connection", connect)


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop({"/a.jpg": answer(_PHOTO), "/secret": answer(_PHOTO)}) as shop:
        yield shop


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch, shop: Shop) -> Names:
    names = Names(monkeypatch, shop.port)
    names.answers["shop.example"] = [[_PUBLIC]]
    return names


def said(cache: Path, *urls: str, allow_private: bool = False, seconds: float = 2.0) -> list[str]:
    limits = DownloadLimits(
        allow_private=allow_private, seconds=seconds, attempts=2, backoff=0.01, per_host_rate=1000, connections=4
    )
    found = []
    with Downloader(cache, limits) as photos:
        for url in urls:
            error = photos.submit(url).exception(10)
            found.append(str(error) if error else "")
    return found


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
        "127.1",
        "0",
        "0177.0.0.1",
        "\uff11\uff12\uff17.0.0.1",
    ],
)
def test_loopback_is_refused_however_it_is_written(tmp_path: Path, shop: Shop, host: str) -> None:
    assert said(tmp_path, f"http://{host}:{shop.port}/secret") == [_REFUSED]
    assert shop.connections == 0


def test_a_flag_allows_it(tmp_path: Path, shop: Shop) -> None:
    assert said(tmp_path, f"http://127.1:{shop.port}/a.jpg", allow_private=True) == [""]


def test_a_public_host_is_connected_to_at_the_address_that_was_checked(
    tmp_path: Path, shop: Shop, names: Names
) -> None:
    names.answers["shop.example"] = [[_PUBLIC], ["127.0.0.1"]]  # rebinding: another answer the second time
    assert said(tmp_path, f"http://shop.example:{shop.port}/a.jpg") == [""]
    assert names.looked_up == ["shop.example"]
    assert names.connected == [_PUBLIC]
    assert f"Host: shop.example:{shop.port}" in shop.heads[0]


def test_every_connection_is_checked_anew(tmp_path: Path, shop: Shop, names: Names) -> None:
    names.answers["shop.example"] = [[_PUBLIC], ["127.0.0.1"]]
    closing = answer(_PHOTO, connection="close")
    shop.answers["/robots.txt"] = answer(b"", "404 Not Found", connection="close")
    shop.answers["/a.jpg"] = closing
    assert said(tmp_path, f"http://shop.example:{shop.port}/a.jpg") == [_REFUSED]
    assert names.connected == [_PUBLIC]
    assert shop.asked == []


def test_one_local_address_among_public_ones_is_enough_to_refuse(tmp_path: Path, shop: Shop, names: Names) -> None:
    names.answers["shop.example"] = [[_PUBLIC, "10.0.0.1"]]
    assert said(tmp_path, f"http://shop.example:{shop.port}/a.jpg") == [_REFUSED]
    assert names.connected == []


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:{port}/secret", "http://inside.example:{port}/secret", "//2130706433:{port}/secret"]
)
def test_a_redirect_inside_is_refused(tmp_path: Path, shop: Shop, names: Names, target: str) -> None:
    names.answers["inside.example"] = names.answers["2130706433"] = [["127.0.0.1"]]
    shop.answers["/go"] = redirect(target.format(port=shop.port))
    assert said(tmp_path, f"http://shop.example:{shop.port}/go") == [_REFUSED]
    assert shop.asked == ["/go"]
    assert set(names.connected) == {_PUBLIC}


def test_a_refused_host_is_not_looked_up_for_every_photo(tmp_path: Path, names: Names) -> None:
    names.answers["inside.example"] = [["192.168.0.1"]]
    assert said(tmp_path, *(f"http://inside.example/{number}.jpg" for number in range(20))) == [_REFUSED] * 20
    assert len(names.looked_up) == 1


def test_an_unknown_host_has_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert said(tmp_path, "http://nowhere.example/a.jpg") == ["download: host not found"]


def test_a_lookup_that_hangs_ends_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "resolve", lambda *_: time.sleep(1.0))
    monkeypatch.setattr(connecting, "LONGEST_CONNECT", 0.1)
    began = time.monotonic()
    assert said(tmp_path, "http://slow.example/a.jpg") == ["download: took too long"]
    assert time.monotonic() - began < 0.95


def test_the_next_address_is_tried_where_one_does_not_answer(tmp_path: Path, shop: Shop, names: Names) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    names.answers["shop.example"] = [["127.0.0.9", _PUBLIC]]
    assert said(tmp_path, f"http://shop.example:{port}/a.jpg", allow_private=True) == [""]
    assert names.connected == ["127.0.0.9", _PUBLIC]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def tls_shop(authority: trustme.CA, *hosts: str) -> Shop:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*hosts).configure_cert(context)
    return Shop({"/a.jpg": answer(_PHOTO)}, tls=context)


def test_a_certificate_must_be_trusted_and_of_the_host(
    tmp_path: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tls_shop(authority, "shop.example") as shop:
        names = Names(monkeypatch, shop.port)
        for host in ("shop.example", "other.example"):
            names.answers[host] = [[_PUBLIC]]
        right, wrong = (f"https://{host}:{shop.port}/a.jpg" for host in ("shop.example", "other.example"))
        assert said(tmp_path, right) == ["download: certificate not valid"]
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert said(tmp_path, right, wrong) == ["", "download: certificate not valid"]
        assert shop.asked == ["/a.jpg"]


def test_a_server_that_speaks_no_tls_has_its_reason(tmp_path: Path, shop: Shop) -> None:
    url = f"https://127.0.0.1:{shop.port}/a.jpg"
    assert said(tmp_path, url, allow_private=True, seconds=0.1) == ["download: took too long"]  # it waits for more
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert said(tmp_path, f"https://127.0.0.1:{port}/a.jpg", allow_private=True) == ["download: no connection"]
