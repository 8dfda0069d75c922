import hashlib
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from socket import create_server, socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from item_embed.catalog.photos import downloading
from item_embed.catalog.photos.downloading import Downloader, DownloadLimits
from item_embed.catalog.photos.images import PhotoError
from item_embed.catalog.photos.reasons import is_download_reason
from item_embed.catalog.photos.web import Web
from item_embed.files import OutputError
from tests.catalog.photos.shop import Shop, answer, redirect

_PHOTO = b"\xff\xd8\xff a photo"
_LIMITS = DownloadLimits(seconds=2.0, attempts=2, backoff=0.005, per_host_rate=5000, connections=8, allow_private=True)


@pytest.fixture(autouse=True, scope="module")
def no_certificates() -> Iterator[None]:
    """Nothing here is encrypted, and reading the system's certificates takes most of a test's time."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpcore2.default_ssl_context", lambda: context)
        yield


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop({f"/{number}.jpg": answer(_PHOTO + bytes([number])) for number in range(100)}) as shop:
        yield shop


def reason(future: Future[Path]) -> str:
    error = future.exception(10)
    assert isinstance(error, PhotoError)
    assert is_download_reason(str(error))
    return str(error).removeprefix("download: ")


def test_photos_are_downloaded_into_the_cache_as_served(tmp_path: Path, shop: Shop) -> None:
    with Downloader(tmp_path, _LIMITS) as photos:
        futures = [photos.submit(f"{shop.url}/{number}.jpg") for number in range(100)]
        for number, future in enumerate(futures):
            assert future.result(10).read_bytes() == _PHOTO + bytes([number])
    assert len(shop.asked) == 100
    assert shop.robots == ["/robots.txt"]
    assert shop.most_at_once <= _LIMITS.per_host_connections
    name = hashlib.sha256(f"private {shop.url}/7.jpg".encode()).hexdigest()
    assert futures[7].result() == tmp_path / name[:2] / name


def test_what_is_in_the_cache_is_not_asked_for_again(tmp_path: Path, shop: Shop) -> None:
    for _ in range(3):
        with Downloader(tmp_path, _LIMITS) as photos:
            photos.submit(f"{shop.url}/1.jpg").result(10)
            assert photos.submit(f" {shop.url.upper()}/1.jpg#top").done()
    assert shop.asked == ["/1.jpg"]
    assert shop.connections == 1


def test_an_address_asked_for_twice_at_a_time_is_asked_once(tmp_path: Path, shop: Shop) -> None:
    with Downloader(tmp_path, _LIMITS) as photos:
        futures = [photos.submit(f"{shop.url}/1.jpg") for _ in range(50)]
        assert not futures[0].cancel()
        assert len({future.result(10) for future in futures}) == 1
    assert shop.asked == ["/1.jpg"]


def test_a_failure_is_remembered_in_this_run_and_not_on_disk(tmp_path: Path, shop: Shop) -> None:
    for _ in range(2):
        with Downloader(tmp_path, _LIMITS) as photos:
            for _ in range(5):
                assert reason(photos.submit(f"{shop.url}/none.jpg")) == "HTTP 404"
    assert shop.asked == ["/none.jpg"] * 2


def test_few_failures_are_remembered(tmp_path: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "_MOST_REMEMBERED", 2)
    with Downloader(tmp_path, _LIMITS) as photos:
        for path in ("/none/1", "/none/2", "/none/3", "/none/3", "/none/2", "/none/1"):
            reason(photos.submit(shop.url + path))
    assert shop.asked == ["/none/1", "/none/2", "/none/3", "/none/1"]


def test_a_redirect_is_kept_under_the_address_that_was_asked_for(tmp_path: Path, shop: Shop) -> None:
    shop.answers["/go"] = redirect("/on")
    shop.answers["/on"] = redirect(f"http://localhost:{shop.port}/1.jpg")  # another host: its own line
    with Downloader(tmp_path, _LIMITS) as photos:
        path = photos.submit(f"{shop.url}/go").result(10)
        assert path.read_bytes() == _PHOTO + b"\x01"
        assert photos.submit(f"{shop.url}/go").done()
        assert not photos.submit(f"{shop.url}/1.jpg").done()
    assert len(shop.robots) == 2


def test_a_redirect_goes_before_what_still_waits(tmp_path: Path, shop: Shop) -> None:
    def slowly(connection: socket) -> None:
        time.sleep(0.05)
        connection.sendall(answer(b"", "404 Not Found", connection="close"))

    shop.answers |= {"/robots.txt": slowly, "/go": redirect("/1.jpg")}
    with Downloader(tmp_path, replace(_LIMITS, per_host_connections=1)) as photos:
        for future in [photos.submit(shop.url + path) for path in ("/go", "/2.jpg", "/3.jpg")]:
            future.result(10)
    assert shop.asked == ["/go", "/1.jpg", "/2.jpg", "/3.jpg"]


def test_pauses_between_attempts_grow(tmp_path: Path, shop: Shop) -> None:
    asked: list[float] = []

    def fail(connection: socket) -> None:
        asked.append(time.monotonic())
        connection.sendall(answer(b"", "500 Oh", connection="close"))

    shop.answers["/a.jpg"] = fail
    with Downloader(tmp_path, replace(_LIMITS, attempts=3, backoff=0.04)) as photos:
        assert reason(photos.submit(f"{shop.url}/a.jpg")) == "HTTP 500"
    assert asked[1] - asked[0] >= 0.03
    assert asked[2] - asked[1] >= 0.06


def test_a_rate_is_kept(tmp_path: Path, shop: Shop) -> None:
    began = time.monotonic()
    with Downloader(tmp_path, replace(_LIMITS, per_host_rate=50.0)) as photos:
        for future in [photos.submit(f"{shop.url}/{number}.jpg") for number in range(10)]:
            future.result(10)
    assert time.monotonic() - began >= 10 / 50


def test_a_crawl_delay_is_kept_up_to_a_limit(tmp_path: Path, shop: Shop) -> None:
    shop.answers["/robots.txt"] = answer(b"User-agent: *\nCrawl-delay: 20")
    began = time.monotonic()
    with Downloader(tmp_path, replace(_LIMITS, crawl_delay=0.1)) as photos:
        for future in [photos.submit(f"{shop.url}/{number}.jpg") for number in range(3)]:
            future.result(10)
    assert 0.3 <= time.monotonic() - began < 5


def test_robots_txt_is_left_alone_where_its_delay_would_not_count(tmp_path: Path, shop: Shop) -> None:
    with Downloader(tmp_path, replace(_LIMITS, crawl_delay=0.0)) as photos:
        photos.submit(f"{shop.url}/1.jpg").result(10)
    assert shop.robots == []


def test_a_host_that_wants_a_pause_gets_it(tmp_path: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("item_embed.catalog.photos.web.LONGEST_PAUSE", 0.2)
    shop.answers["/busy.jpg"] = [answer(b"", "429 Many", retry_after="120"), answer(_PHOTO)]
    with Downloader(tmp_path, replace(_LIMITS, per_host_connections=1)) as photos:
        photos.submit(f"{shop.url}/0.jpg").result(10)
        began = time.monotonic()
        busy, other = photos.submit(f"{shop.url}/busy.jpg"), photos.submit(f"{shop.url}/1.jpg")
        other.result(10)
        assert time.monotonic() - began >= 0.2
        busy.result(10)


def test_a_dead_host_is_given_up_and_holds_nobody_up(tmp_path: Path, shop: Shop) -> None:
    accepted: list[socket] = []

    def listen() -> None:
        while True:
            try:
                accepted.append(silent.accept()[0])  # and never a word
            except OSError:
                return

    with create_server(("127.0.0.1", 0), backlog=100) as silent:
        dead = f"http://localhost:{silent.getsockname()[1]}"
        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        with Downloader(tmp_path, replace(_LIMITS, seconds=0.1, connections=6)) as photos:
            began = time.monotonic()
            doomed = [photos.submit(f"{dead}/{number}.jpg") for number in range(2000)]
            for future in [photos.submit(f"{shop.url}/{number}.jpg") for number in range(100)]:
                future.result(10)
            reasons = [reason(future) for future in doomed]
            assert time.monotonic() - began < 15  # each by itself would take 33 s
            assert reasons.count("took too long") < 20
            assert set(reasons) == {"took too long", "host given up after failures in a row"}
            assert photos.submit(f"{dead}/more.jpg").done()
        silent.shutdown(2)
        thread.join(5)
        for connection in accepted:
            connection.close()
    assert len(accepted) < 20


def test_a_host_that_refuses_connections_is_given_up(tmp_path: Path) -> None:
    with create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with Downloader(tmp_path, _LIMITS) as photos:
        reasons = {reason(photos.submit(f"http://127.0.0.1:{port}/{number}.jpg")) for number in range(30)}
    assert reasons == {"no connection", "host given up after failures in a row"}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # threads may outlast our patience
def test_closing_ends_what_is_under_way_and_what_waits(tmp_path: Path, shop: Shop) -> None:
    shop.answers["/slow.jpg"] = lambda _: print(shop.over.wait(10))
    photos = Downloader(tmp_path, replace(_LIMITS, seconds=10.0))
    slow = photos.submit(f"{shop.url}/slow.jpg")
    waiting = [photos.submit(f"{shop.url}/slow.jpg?{number}") for number in range(100)]
    while "/slow.jpg" not in shop.asked:
        time.sleep(0.001)
    began = time.monotonic()
    photos.close()
    assert time.monotonic() - began < 3
    assert reason(slow) == "stopped"
    assert {reason(future) for future in waiting} <= {"stopped", "HTTP 404"}
    assert reason(photos.submit(f"{shop.url}/2.jpg")) == "stopped"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("download-")]


def test_what_came_from_a_private_address_is_nothing_for_a_run_that_may_not_ask_there(
    tmp_path: Path, shop: Shop
) -> None:
    with Downloader(tmp_path, _LIMITS) as photos:
        photos.submit(f"{shop.url}/1.jpg").result(10)
    with Downloader(tmp_path, replace(_LIMITS, allow_private=False)) as photos:
        assert reason(photos.submit(f"{shop.url}/1.jpg")) == "private or local address, refused"


def test_a_disk_that_refuses_is_no_fault_of_the_photo(tmp_path: Path, shop: Shop) -> None:
    with Downloader(tmp_path / "cache", _LIMITS) as photos:
        photos.submit(f"{shop.url}/0.jpg").result(10)
        (tmp_path / "cache" / "partial").rmdir()
        error = photos.submit(f"{shop.url}/1.jpg").exception(10)
    assert isinstance(error, OutputError)


def test_an_error_of_ours_leaves_nobody_waiting(tmp_path: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Web, "fetch", lambda *_: 1 / 0)
    with Downloader(tmp_path, _LIMITS) as photos:
        assert reason(photos.submit(f"{shop.url}/1.jpg")) == "unforeseen error"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.text(max_size=50),
        st.text("htps:/[]@.%2e#?&;01xä\\\x00\ud800 ", max_size=40),
        st.builds("http://127.0.0.1:{}/{}".format, st.just("9"), st.text(max_size=40)),
    )
)
def test_any_text_gives_a_photo_or_a_reason(refusing: Downloader, text: str) -> None:
    error = refusing.submit(text).exception(10)
    assert isinstance(error, PhotoError)
    assert is_download_reason(str(error))
    assert "unforeseen" not in str(error)


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Downloader]:
    """Refuses loopback; names are not looked up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("item_embed.catalog.photos.connecting.resolve", lambda *_: ["10.0.0.1"])
        with Downloader(tmp_path_factory.mktemp("cache"), DownloadLimits(backoff=0.001)) as photos:
            yield photos


def test_a_killed_process_leaves_only_whole_photos(tmp_path: Path) -> None:
    """The body comes in halves; the process dies between them."""
    sent = threading.Event()

    def halves(connection: socket) -> None:
        connection.sendall(answer(_PHOTO * 1000)[:-500])
        sent.set()
        server.over.wait(10)

    code = f"""
from pathlib import Path
from item_embed.catalog.photos.downloading import Downloader, DownloadLimits
with Downloader(Path({str(tmp_path)!r}), DownloadLimits(allow_private=True)) as photos:
    for future in [photos.submit("SHOP/" + name) for name in ("a.jpg", "b.jpg")]:
        future.result()
"""
    with Shop({"/a.jpg": answer(_PHOTO), "/b.jpg": halves}) as server:
        process = subprocess.Popen([sys.executable, "-c", code.replace("SHOP", server.url)])
        assert sent.wait(20)
        end = time.monotonic() + 10
        while not any((tmp_path / "partial").iterdir()) and time.monotonic() < end:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        files = [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "partial"]
        assert [path.read_bytes() for path in files] == [_PHOTO]
        server.answers["/b.jpg"] = answer(_PHOTO)
        with Downloader(tmp_path, _LIMITS) as photos:
            assert photos.submit(f"{server.url}/a.jpg").done()
            assert photos.submit(f"{server.url}/b.jpg").result(10).read_bytes() == _PHOTO
