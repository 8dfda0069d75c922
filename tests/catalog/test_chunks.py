from concurrent.futures import Future
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from item_embed.catalog import chunks
from item_embed.catalog.checking import Asked, Job
from item_embed.catalog.chunks import Chunks
from item_embed.catalog.feeds.columns import choose_columns
from item_embed.catalog.feeds.feed import open_feed
from item_embed.catalog.photos.finding import PhotoFolders
from item_embed.catalog.photos.images import PhotoError
from tests.catalog.made import write_csv


class _Fetcher:
    """Answers at once: addresses with "bad" in them fail."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def submit(self, url: str) -> Future[Path]:
        self.asked.append(url)
        future: Future[Path] = Future()
        if "bad" in url:
            future.set_exception(PhotoError("download: HTTP 404"))
        else:
            future.set_result(Path("cache") / url[-1])
        return future


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "ROWS", 3)
    monkeypatch.setattr(chunks, "_FETCHED_AHEAD", 2)


def _chunks(feed: Path, fetcher: _Fetcher) -> Chunks:
    opened = open_feed(feed)
    columns = choose_columns(opened.columns, {})
    job = Job(columns, tuple(PhotoFolders((feed.parent,)) for _ in opened.files), feed.parent / "spool")
    return Chunks(opened, job, None, False, fetcher)


def _numbers(found: list[tuple[int, list[Asked]]]) -> list[tuple[int, list[int]]]:
    return [(number, [asked.number for asked in rows]) for number, rows in found]


def test_a_feed_is_cut_into_numbered_chunks_from_any_of_them_on(tmp_path: Path) -> None:
    feed = write_csv(tmp_path / "feed.csv", [{"title": f"Shirt {n}", "image": "a.jpg"} for n in range(7)])
    cut = _chunks(feed, _Fetcher())
    assert _numbers(list(cut.after(0, 0))) == [(0, [1, 2, 3]), (1, [4, 5, 6]), (2, [7])]
    assert _numbers(list(cut.after(1, 3))) == [(1, [4, 5, 6]), (2, [7])]
    assert list(cut.after(3, 7)) == []


def test_large_photos_in_the_feed_make_chunks_shorter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_BYTES", 1000)
    rows = [{"title": "Shirt", "image": "x" * size} for size in (10, 2000, 10, 500, 500, 10)]
    found = list(_chunks(write_csv(tmp_path / "feed.csv", rows), _Fetcher()).after(0, 0))
    assert _numbers(found) == [(0, [1, 2]), (1, [3, 4, 5]), (2, [6])]


def test_whatever_a_row_carries_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_BYTES", 1000)
    large = [{"bytes": b"x" * 2000}]
    table = pa.table({"title": ["a", "b", "c"], "image": [None, large, None], "more": [None, None, b"y" * 2000]})
    pq.write_table(table, tmp_path / "feed.parquet")
    found = list(_chunks(tmp_path / "feed.parquet", _Fetcher()).after(0, 0))
    assert _numbers(found) == [(0, [1, 2]), (1, [3])]


def test_photos_by_url_are_fetched_ahead_and_failures_are_reasons(tmp_path: Path) -> None:
    urls = [f"https://shop.example/{'bad' if n % 2 else 'good'}/{n}" for n in range(12)]
    fetcher = _Fetcher()
    found = _chunks(write_csv(tmp_path / "feed.csv", [{"image": url} for url in urls]), fetcher).after(0, 0)
    number, rows = next(found)
    assert number == 0
    assert [asked.fetched for asked in rows] == [Path("cache/0"), "download: HTTP 404", Path("cache/2")]
    assert fetcher.asked == urls[:9]  # the first chunk and two ahead of it
    assert len(list(found)) == 3
    assert fetcher.asked == urls


def test_photos_at_hand_are_left_to_the_workers(tmp_path: Path) -> None:
    fetcher = _Fetcher()
    images = ["a.jpg", "", "data:image/png;base64,AAAA", "nan"]
    found = list(_chunks(write_csv(tmp_path / "feed.csv", [{"image": i} for i in images]), fetcher).after(0, 0))
    assert [asked.fetched for _, rows in found for asked in rows] == [None] * 4
    assert fetcher.asked == []
