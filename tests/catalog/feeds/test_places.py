import functools
import gzip
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from item_embed.catalog.feeds.feed import open_feed
from item_embed.catalog.feeds.places import remote_file
from item_embed.catalog.schema import REJECTED_SCHEMA
from item_embed.errors import FeedError
from item_embed.remote.places import reason
from item_embed.remote.urls import shown


@pytest.fixture
def store() -> Iterator[str]:
    """A folder of fsspec's store in memory."""
    yield "memory://shop/feeds"
    fsspec.filesystem("memory").rm("/shop", recursive=True)


def _put(url: str, data: bytes) -> None:
    with fsspec.open(url, "wb") as file:
        file.write(data)


def _titles(source: str) -> list[str]:
    feed = open_feed(source)
    rows = list(feed.rows())
    assert [number for number, _, _ in rows] == list(range(1, feed.size + 1))
    return [record.values["title"] for _, _, record in rows]


def test_a_file_a_glob_and_a_folder_by_url(store: str) -> None:
    _put(f"{store}/b.csv.gz", gzip.compress(b"id,title\n2,two\n"))
    _put(f"{store}/a.csv", b"id,title\n1,one\n")
    _put(f"{store}/c.jsonl", b'{"title": "three"}\n')
    _put(f"{store}/readme.txt", b"no feed")
    _put(f"{store}/_part.csv", b"title\nno\n")
    _put(f"{store}/deeper/d.csv", b"title\nfour\n")
    with fsspec.open(f"{store}/z.parquet", "wb") as file:
        pq.write_table(pa.table({"title": ["five", "six"]}), file)
    with fsspec.open(f"{store}/catalog.rejected.parquet", "wb") as file:
        pq.write_table(REJECTED_SCHEMA.empty_table(), file)
    assert _titles(f"{store}/b.csv.gz") == ["two"]
    assert _titles(store) == _titles(f"{store}/") == ["one", "two", "three", "five", "six"]
    assert _titles(f"{store}/*.csv") == ["no", "one"]
    feed = open_feed(f"{store}/**/*.csv")
    assert [feed.name(file) for file in feed.files] == ["_part.csv", "a.csv", "deeper/d.csv"]
    assert [file.url for file in feed.files] == [f"{store}/{name}" for name in ("_part.csv", "a.csv", "deeper/d.csv")]
    assert [file.folder for file in feed.files] == [f"{store}/", f"{store}/", f"{store}/deeper/"]
    assert not any(file.is_local for file in feed.files)


def test_a_remote_stamp_changes_with_the_file(store: str) -> None:
    stamps = []
    for text in (b"title\na\n", b"title\nb\n"):
        _put(f"{store}/feed.csv", text)
        stamps.append(open_feed(f"{store}/feed.csv").stamp)
        assert open_feed(f"{store}/feed.csv").stamp == stamps[-1]
    assert stamps[0] != stamps[1]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("memory://nowhere/feed.csv", r"^memory://nowhere/feed.csv cannot be read: there is no such file or folder\.$"),
        ("memory://nowhere", r"^memory://nowhere cannot be read: there is no such file or folder\.$"),
        ("memory://nowhere/*.csv", r"^memory://nowhere/\*.csv matches no feed"),
        ("memory://shop/feeds/feed.txt", r"feed.txt is not a feed: the name of a feed ends in"),
        ("memory://shop/feeds/feed.xlsx", r"feed.xlsx is not a feed but a workbook"),
        ("memory://shop/feeds", r"the folder memory://shop/feeds holds no feed, but a workbook, feed.xlsx"),
        ("memory://shop/catalog", r"memory://shop/catalog is a prepared catalogue already"),
        ("memory://shop/bad/feed.csv.gz", r"^memory://shop/bad/feed.csv.gz is damaged or not what its name says"),
        ("memory://shop/bad/feed.parquet", r"^memory://shop/bad/feed.parquet is damaged or not what its name says"),
        ("memory://shop/empty.csv", r"^memory://shop/empty.csv holds no rows"),
        ("floppy://shop/feed.csv", r"^floppy://shop/feed.csv begins with floppy://, which fsspec does not know\.$"),
        ("https://[shop/feed.csv", r"^https://\[shop/feed.csv (cannot be read|needs)"),
    ],
)
def test_what_cannot_be_read_by_url_is_one_sentence(store: str, source: str, message: str) -> None:
    _put(f"{store}/feed.txt", b"x")
    _put(f"{store}/feed.xlsx", b"x")
    _put("memory://shop/catalog/manifest.json", b"{}")
    _put("memory://shop/catalog/rejected.parquet", b"")
    _put("memory://shop/bad/feed.csv.gz", gzip.compress(b"title\nshirt\n")[:-5])
    _put("memory://shop/bad/feed.parquet", b"PAR1")
    _put("memory://shop/empty.csv", b"")
    with pytest.raises(FeedError, match=message) as raised:
        open_feed(source)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("protocol", "package"), [("s3", "s3fs"), ("gs", "gcsfs"), ("az", "adlfs"), ("https", "aiohttp")]
)
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, protocol: str, package: str) -> None:
    def refuse(url: str) -> None:
        raise ImportError(f"Install something for {url}")

    monkeypatch.setattr(fsspec, "url_to_fs", refuse)
    with pytest.raises(
        FeedError, match=rf"^{protocol}://shop/feed.csv needs a package .*; run: pip install {package}\.$"
    ):
        open_feed(f"{protocol}://me:secret@shop/feed.csv")


def test_a_file_of_which_too_little_is_known_is_never_the_same(store: str) -> None:
    _put(f"{store}/feed.csv", b"title\n")
    stamps = [remote_file(store, "/shop/feeds/feed.csv", {"size": 6, "type": "file"}).stamp for _ in range(2)]
    assert stamps[0] != stamps[1]
    known = [remote_file(store, "/shop/feeds/feed.csv", {"size": 6, "ETag": "1"}).stamp for _ in range(2)]
    assert known[0] == known[1]


class _Forgetful(MemoryFileSystem):  # type: ignore[misc]
    """A store that fails with an exception of its own."""

    protocol = "forgetful"

    def info(self, path: str, **options: object) -> dict[str, object]:
        return {"name": path, "size": 100_000, "type": "file"}

    def open(self, path: str, mode: str = "rb", **options: object) -> object:
        return self

    def read(self, size: int) -> bytes:
        raise LookupError("the token of ftp://me:secret@shop?sig=1234 is too old\nsecond line")

    def seekable(self) -> bool:
        return False

    def close(self) -> None: ...


def test_an_error_in_the_middle_is_one_sentence_without_the_password() -> None:
    fsspec.register_implementation("forgetful", _Forgetful, clobber=True)
    with pytest.raises(
        FeedError, match=r"^forgetful://shop/feed.csv cannot be read: the token of .* is too old\.$"
    ) as no:
        open_feed("forgetful://me:secret@shop/feed.csv")
    assert "secret" not in str(no.value)


def test_passwords_and_signatures_are_not_shown() -> None:
    assert shown("https://me:secret@shop.example:8080/a/feed.csv?sig=1#x") == "https://shop.example:8080/a/feed.csv"
    assert shown("s3://key:secret@bucket/a?b.csv") == "s3://bucket/a?b.csv"
    assert shown("https://shop.example/a@b.csv") == "https://shop.example/a@b.csv"
    assert shown("me:secret@feed.csv") == "me:secret@feed.csv"  # a local name
    said = reason(
        ValueError("no https://me:secret@shop/feed.csv?sig=1234!"), "https://me:secret@shop/feed.csv?sig=1234"
    )
    assert said == "no https://shop/feed.csv?!"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None: ...

    def send_head(self):  # type: ignore[no-untyped-def]
        if "closed" in self.path:
            self.send_error(403)
            return None
        return super().send_head()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A web server on this machine that serves the test's folder, with the credentials that a URL may hold."""
    pytest.importorskip("aiohttp")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=tmp_path)) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://me:secret@127.0.0.1:{web.server_port}"
        web.shutdown()
        thread.join()


def test_feeds_of_a_web_server(tmp_path: Path, server: str) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"title\none\n"))
    pq.write_table(pa.table({"title": [str(n) for n in range(500)]}), tmp_path / "b.parquet", row_group_size=100)
    assert _titles(f"{server}/a.csv.gz") == ["one"]
    assert _titles(f"{server}/") == ["one", *map(str, range(500))]
    feed = open_feed(f"{server}/a.csv.gz?key=hidden")
    assert feed.files[0].url == f"{server}/a.csv.gz".replace("me:secret@", "")
    assert "secret" not in repr(feed)
    assert "hidden" not in repr(feed)
    assert feed.name(feed.files[0]) == "a.csv.gz"
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"title\nno one at all\n"))
    assert open_feed(f"{server}/a.csv.gz?key=hidden").stamp != feed.stamp


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/nowhere.csv", r"/nowhere.csv cannot be read: there is no such file or folder\.$"),
        ("/closed.csv", r"/closed.csv cannot be read: the server answers 403 Forbidden\.$"),
        ("/export", r"/export is not a feed: the name of a feed ends in"),
    ],
)
def test_what_a_web_server_refuses_is_one_sentence(server: str, path: str, message: str) -> None:
    with pytest.raises(FeedError, match=message) as raised:
        open_feed(f"{server}{path}?key=hidden")
    assert "secret" not in str(raised.value)
    assert "hidden" not in str(raised.value)


def test_a_server_that_is_not_there(server: str) -> None:
    with pytest.raises(FeedError, match=r"^http://127.0.0.1:1/feed.csv cannot be read: .*onnect"):
        open_feed("http://me:secret@127.0.0.1:1/feed.csv")
