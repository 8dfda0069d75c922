from pathlib import Path
from typing import Any

import fsspec
import pytest

from item_embed.catalog.photos import stored
from item_embed.catalog.photos.downloading import Downloader, DownloadLimits

_LIMITS = DownloadLimits(largest_bytes=100, attempts=3, backoff=0.005, connections=3)


@pytest.fixture
def memory() -> Any:
    files = fsspec.filesystem("memory")
    files.pipe("/shop/feed/a b.jpg", b"a photo")
    files.pipe("/shop/feed/large.jpg", bytes(101))
    files.pipe("/shop/feed/empty.jpg", b"")
    files.pipe("/shop/private.jpg", b"private")
    yield files
    files.rm("/shop", recursive=True)


def test_files_below_a_root_are_read_into_the_cache(tmp_path: Path, memory: Any) -> None:
    with Downloader(tmp_path, _LIMITS, ["memory://shop/feed"]) as photos:
        path = photos.submit("memory://shop/feed/x/../a b.jpg").result(10)
        assert path.read_bytes() == b"a photo"
        memory.rm("/shop/feed/a b.jpg")
        assert photos.submit("memory://shop/feed/a b.jpg").result(10) == path


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("memory://shop/feed/none.jpg", "file not found"),
        ("memory://shop/feed/large.jpg", "too large"),
        ("memory://shop/feed/empty.jpg", "empty answer"),
        ("memory://shop/private.jpg", "outside the feed's folder"),
        ("memory://shop/feed/../private.jpg", "outside the feed's folder"),
        ("file:///etc/hostname", "neither http nor https"),
        ("unheardof://shop/feed/a.jpg", "neither http nor https"),
    ],
)
@pytest.mark.usefixtures("memory")
def test_what_is_not_read_has_its_reason(tmp_path: Path, url: str, reason: str) -> None:
    with Downloader(tmp_path, _LIMITS, ["memory://shop/feed/", "unheardof://shop/feed/", "file:///etc/"]) as photos:
        assert str(photos.submit(url).exception(10)) == f"download: {reason}"


@pytest.mark.parametrize(
    ("error", "reason", "asked"),
    [
        (OSError("reset"), "object store failed", 3),
        (TimeoutError(), "object store failed", 3),
        (RuntimeError("no credentials"), "object store failed", 1),
        (PermissionError(), "access refused", 1),
        (FileNotFoundError(), "file not found", 1),
    ],
)
def test_only_errors_that_may_pass_are_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str, asked: int
) -> None:
    calls = []

    class Failing:
        def cat_file(self, path: str, **_: object) -> bytes:
            calls.append(path)
            raise error

    monkeypatch.setattr(stored, "_opened", lambda text: (Failing(), text))
    with Downloader(tmp_path, _LIMITS, ["s3://bucket/"]) as photos:
        assert str(photos.submit("s3://bucket/a.jpg").exception(10)) == f"download: {reason}"
    assert len(calls) == asked


def test_a_missing_package_is_named_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(text: str) -> None:
        raise ImportError

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with Downloader(tmp_path, _LIMITS, ["s3://bucket/"]) as photos:
        reason = str(photos.submit("s3://bucket/a.jpg").exception(10))
        assert reason == "download: the package for this kind of address is not installed"
