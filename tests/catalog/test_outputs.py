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
    store.pipe("/catalogs/site/manifest.json", b'{"name": "a web page"}')
    store.pipe("/catalogs/site/rows/1", b"somebody's")
    prepare(feed, "memory://catalogs/shop", cache=tmp_path / "cache")
    before = _files(store)
    for overwrite, name, sentence in (
        (False, "shop", "exists already; choose another name, or replace it with --overwrite"),
        (False, "mine", "exists already"),
        (True, "mine", "is not a catalogue, so --overwrite leaves it alone"),
        (True, "site", "is not a catalogue"),
    ):
        with pytest.raises(CatalogError, match=sentence):
            prepare(feed, f"memory://catalogs/{name}", cache=tmp_path / "cache", overwrite=overwrite)
    assert _files(store) == before


def test_an_overwritten_catalogue_leaves_no_old_file(store: Any, feed: Path, tmp_path: Path) -> None:
    prepare(feed, "memory://catalogs/shop", cache=tmp_path / "cache")
    store.pipe("/catalogs/shop/rows/part-00001.parquet", b"old")
    store.pipe("/catalogs/shop/rows/notes.txt", b"mine")
    prepare(feed, "memory://catalogs/shop/", cache=tmp_path / "cache", overwrite=True)
    assert store.cat_file("/catalogs/shop/rows/notes.txt") == b"mine"
    store.rm_file("/catalogs/shop/rows/notes.txt")
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
        with pytest.raises(CatalogError, match="the network is gone; the same command goes on here"):
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


def test_where_nothing_can_be_written_is_said_before_the_work(feed: Path, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"https://shop\.example/catalog cannot be written to: .*check its name"):
        prepare(feed, "https://user:secret@shop.example/catalog?key=1", cache=tmp_path / "cache")


def test_a_file_url_is_a_local_folder(feed: Path, tmp_path: Path) -> None:
    manifest = prepare(feed, f"file://{tmp_path}/catalog", images=f"file://{tmp_path}", cache=tmp_path / "cache")
    assert Manifest.read(tmp_path / "catalog") == manifest
    assert manifest.counts.kept == 1


def test_a_run_that_keeps_nothing_lists_the_rows_here(
    store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    feed = write_csv(tmp_path / "feed.csv", [{"title": ""}])
    with pytest.raises(FeedError, match=r"shop\.rejected\.parquet lists them all"):
        prepare(feed, "memory://catalogs/shop", cache=tmp_path / "cache")
    assert (tmp_path / "shop.rejected.parquet").is_file()


@pytest.mark.parametrize("name", ["folder", "rows only", "web page", "file"])
def test_what_is_no_catalogue_is_left_alone(feed: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    if name == "file":
        out.touch()
    else:
        (out / "rows").mkdir(parents=True)
    if name == "folder":
        (out / "thesis.doc").touch()
    with pytest.raises(CatalogError, match="exists already; choose another name, or replace it with --overwrite"):
        prepare(feed, out)
    with pytest.raises(CatalogError, match="is not a catalogue, so --overwrite leaves it alone"):
        prepare(feed, out, overwrite=True)
    with pytest.raises(CatalogError, match="is not a catalogue, so --update leaves it alone"):
        prepare(feed, out, update=True)


@pytest.mark.parametrize("update", [False, True])
def test_empty_folders_and_links_are_places_like_others(feed: Path, tmp_path: Path, update: bool) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for name in ("empty", "link", "link"):
        prepare(feed, tmp_path / name, update=update, overwrite=not update)
    assert (tmp_path / "link").is_symlink()
    assert Manifest.read(tmp_path / "target").counts.kept == 1
    assert (Manifest.read(tmp_path / "target").update is not None) == update
