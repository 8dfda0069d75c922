from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from item_embed.catalog.preparing import prepare
from item_embed.catalog.schema import Manifest
from item_embed.errors import CatalogError, FeedError
from tests.catalog.made import encoded, picture, write_csv


@pytest.fixture
def store() -> Iterator[Any]:
    """An empty object store in memory."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    yield memory
    memory.store.clear()


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    (tmp_path / "a.jpg").write_bytes(encoded(picture(), "JPEG"))
    return write_csv(tmp_path / "feed.csv", [{"id": "1", "title": "Red shirt", "image": "a.jpg"}])


def _files(store: Any) -> dict[str, bytes]:
    return {name: store.cat_file(name) for name in sorted(store.find("/catalogs"))}


def test_a_catalogue_goes_to_a_url_whole_and_nothing_stays_behind(store: Any, feed: Path, tmp_path: Path) -> None:
    manifest = prepare(feed, "memory://catalogs/shop", cache=tmp_path / "cache")
    local = prepare(feed, tmp_path / "local", cache=tmp_path / "cache")
    assert local.files == manifest.files
    found = _files(store)
    assert list(found) == [
        f"/catalogs/shop/{name}"
        for name in ("manifest.json", "rejected.parquet", "report.html", "rows/part-00000.parquet")
    ]
    assert found["/catalogs/shop/rows/part-00000.parquet"] == (tmp_path / "local/rows/part-00000.parquet").read_bytes()
    assert Manifest.model_validate_json(found["/catalogs/shop/manifest.json"]) == manifest
    assert not list((tmp_path / "cache").rglob("*.parquet"))


def test_a_url_that_holds_something_is_left_alone(store: Any, feed: Path, tmp_path: Path) -> None:
    store.pipe("/catalogs/mine/thesis.doc", b"years")
    prepare(feed, "memory://catalogs/shop", cache=tmp_path / "cache")
    before = _files(store)
    for overwrite, name, sentence in (
        (False, "shop", "exists already; choose another name, or replace it with --overwrite"),
        (False, "mine", "exists already"),
        (True, "mine", "is not a catalogue, so --overwrite leaves it alone"),
    ):
        with pytest.raises(CatalogError, match=sentence):
            prepare(feed, f"memory://catalogs/{name}", cache=tmp_path / "cache", overwrite=overwrite)
    assert _files(store) == before


def test_an_overwritten_catalogue_leaves_no_old_file(store: Any, feed: Path, tmp_path: Path) -> None:
    prepare(feed, "memory://catalogs/shop", cache=tmp_path / "cache")
    store.pipe("/catalogs/shop/rows/part-00001.parquet", b"old")
    prepare(feed, "memory://catalogs/shop/", cache=tmp_path / "cache", overwrite=True)
    assert "/catalogs/shop/rows/part-00001.parquet" not in _files(store)
    assert len(_files(store)) == 4


def test_a_copy_that_broke_off_is_no_catalogue_and_is_made_again(
    store: Any, feed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest comes last, and the old one goes first."""
    prepare(feed, "memory://catalogs/shop", cache=tmp_path / "cache")
    before = _files(store)
    real = type(store).put_file

    def fail(self: Any, source: str, place: str, **options: Any) -> None:
        if place.endswith("report.html"):
            raise OSError("the network is gone")
        real(self, source, place, **options)

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "put_file", fail)
        with pytest.raises(CatalogError, match="the network is gone; run the same command again"):
            prepare(feed, "memory://catalogs/shop", cache=tmp_path / "cache", overwrite=True)
    assert "/catalogs/shop/manifest.json" not in _files(store)
    prepare(feed, "memory://catalogs/shop", cache=tmp_path / "cache")
    assert _files(store).keys() == before.keys()


def test_an_update_needs_a_local_folder(store: Any, feed: Path, tmp_path: Path) -> None:
    prepare(feed, "memory://catalogs/shop", cache=tmp_path / "cache")
    with pytest.raises(CatalogError, match="--update needs a catalogue in a local folder"):
        prepare(feed, "memory://catalogs/shop", cache=tmp_path / "cache", update=True)


def test_a_store_that_nobody_knows_is_said_before_the_work(feed: Path, tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="nowhere://, which fsspec does not know"):
        prepare(feed, "nowhere://catalog", cache=tmp_path / "cache")


def test_a_feed_and_its_photos_in_a_store(store: Any, tmp_path: Path) -> None:
    photo = encoded(picture(), "JPEG")
    store.pipe("/shop/images/a.jpg", photo)
    store.pipe("/private/b.jpg", photo)
    rows = (
        "id,title,image\n1,Red,images/a.jpg\n2,Blue,../private/b.jpg\n3,Green,memory://private/b.jpg\n4,Grey,gone.jpg\n"
    )
    store.pipe("/shop/feed.csv", rows.encode())
    manifest = prepare("memory://shop/feed.csv", tmp_path / "catalog", cache=tmp_path / "cache")
    assert manifest.reasons == {
        "photo: download: outside the feed's folder": 2,
        "photo: download: file not found": 1,
    }
    assert manifest.counts.kept == 1
