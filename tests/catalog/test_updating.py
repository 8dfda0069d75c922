"""`prepare --update` and `--retry-failed`: the same catalogue as a fresh one, for a fraction of the work."""

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.catalog import checking, preparing
from item_embed.catalog.checking import Asked, Job, check_chunk
from item_embed.catalog.feeds.columns import Columns
from item_embed.catalog.feeds.records import Record
from item_embed.catalog.photos.finding import PhotoFolders
from item_embed.catalog.photos.images import Photo, PhotoError, prepare_photo
from item_embed.catalog.preparing import prepare
from item_embed.catalog.schema import Manifest, Update
from item_embed.errors import CatalogError
from tests.catalog.made import encoded, kept_rows, picture, write_csv

_PHOTOS = [encoded(picture(seed=seed), "JPEG") for seed in range(3)]


@pytest.fixture(autouse=True, scope="module")
def decoded() -> Iterator[list[bytes]]:
    """The photos that were decoded, in order."""
    seen: list[bytes] = []

    def note(data: bytes) -> Photo:
        seen.append(data)
        return prepare_photo(data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking, "prepare_photo", note)
        yield seen


def _feed(path: Path, rows: dict[str, tuple[str, str]]) -> Path:
    return write_csv(path, [{"id": name, "title": title, "image": image} for name, (title, image) in rows.items()])


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    for number, photo in enumerate(_PHOTOS):
        (tmp_path / f"{number}.jpg").write_bytes(photo)
    return tmp_path


def test_only_what_is_new_or_changed_is_processed(shop: Path, decoded: list[bytes]) -> None:
    rows = {"a": ("Red shirt", "0.jpg"), "b": ("Blue shirt", "1.jpg"), "c": ("Mug", "2.jpg"), "d": ("Cup", "gone.jpg")}
    before = prepare(_feed(shop / "feed.csv", rows), shop / "catalog")
    assert before.update is None
    decoded.clear()
    tonight = {"d": rows["d"], "new": ("Sofa", "0.jpg"), "b": rows["b"], "a": ("Red shirt, new", "0.jpg")}
    manifest = prepare(_feed(shop / "feed.csv", tonight), shop / "catalog", update=True)
    assert manifest.update == Update(previous=before.fingerprint, new=1, changed=1, unchanged=2, retried=0, gone=1)
    assert decoded == [_PHOTOS[0], _PHOTOS[0]]
    assert Manifest.read(shop / "catalog") == manifest
    fresh = prepare(shop / "feed.csv", shop / "fresh")
    assert fresh.files == manifest.files


def test_another_photo_in_the_same_file_is_a_change(shop: Path, decoded: list[bytes]) -> None:
    feed = _feed(shop / "feed.csv", {"a": ("Red shirt", "0.jpg"), "b": ("Blue shirt", "1.jpg")})
    prepare(feed, shop / "catalog")
    (shop / "1.jpg").write_bytes(_PHOTOS[2])
    decoded.clear()
    update = prepare(feed, shop / "catalog", update=True).update
    assert update is not None
    assert (update.changed, update.unchanged) == (1, 1)
    assert decoded == [_PHOTOS[2]]


def test_the_first_night_has_nothing_to_update(shop: Path) -> None:
    manifest = prepare(_feed(shop / "feed.csv", {"a": ("Red shirt", "0.jpg")}), shop / "catalog", update=True)
    assert manifest.update is None


def test_other_columns_cannot_be_updated(shop: Path) -> None:
    feed = _feed(shop / "feed.csv", {"a": ("Red shirt", "0.jpg")})
    prepare(feed, shop / "catalog")
    with pytest.raises(
        CatalogError, match=r"prepared with other columns \(id ← id, now title, title ← title, now id\)"
    ):
        prepare(feed, shop / "catalog", update=True, columns={"title": "id", "id": "title"})
    with pytest.raises(CatalogError, match="group ← None, now title"):
        prepare(feed, shop / "catalog", update=True, group_column="title")


def test_bytes_that_are_no_photo_count_too(shop: Path) -> None:
    for title in (b"Red", b"Bed"):
        pq.write_table(pa.table({"id": ["a"], "title": [title]}), shop / "feed.parquet")
        manifest = prepare(shop / "feed.parquet", shop / "catalog", update=True)
    assert [row["title"] for row in kept_rows(shop / "catalog")] == ["Bed"]
    assert manifest.update is not None
    assert manifest.update.changed == 1


@pytest.mark.parametrize(("name", "before"), [("__version__", "0.0.1"), ("CLEANING", 1)])
def test_a_catalogue_of_another_version_is_processed_anew(
    name: str, before: object, shop: Path, decoded: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = _feed(shop / "feed.csv", {"a": ("Red shirt", "0.jpg")})
    with monkeypatch.context() as patch:
        patch.setattr(preparing, name, before)
        prepare(feed, shop / "catalog")
    decoded.clear()
    update = prepare(feed, shop / "catalog", update=True).update
    assert decoded == [_PHOTOS[0]]
    assert update is not None
    assert (update.new, update.unchanged, update.gone) == (0, 0, 0)


def test_a_catalogue_that_is_replaced_meanwhile_is_not_read(shop: Path) -> None:
    prepare(_feed(shop / "feed.csv", {"a": ("Red shirt", "0.jpg")}), shop / "catalog")
    before = (shop / "catalog", "the fingerprint of another one", True)
    job = Job(Columns("id", "title", "image"), (PhotoFolders((shop,)),), shop / "spool", before)
    with pytest.raises(CatalogError, match="was replaced while it was read; run the same command again"):
        check_chunk(job, (0, [Asked(1, 0, "feed.csv", Record({"id": "a", "title": "Red shirt"}), previous=0)]))


class _Web:
    """Stands in for the downloads: what each address gives, and which were asked for."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.gives: dict[str, bytes] = {}
        self.asked: list[str] = []

    def __call__(self, *_: object) -> "_Web":
        return self

    def __enter__(self) -> "_Web":
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, url: str) -> Future[Path]:
        self.asked.append(url)
        future: Future[Path] = Future()
        if url not in self.gives:
            future.set_exception(PhotoError("download: HTTP 404"))
            return future
        path = self.cache / str(len(self.asked))
        path.write_bytes(self.gives[url])
        future.set_result(path)
        return future


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Web:
    (tmp_path / "cache").mkdir()
    web = _Web(tmp_path / "cache")
    monkeypatch.setattr(preparing, "Downloader", web)
    return web


def test_photos_by_url_are_asked_for_once_and_failures_again_on_demand(shop: Path, web: _Web) -> None:
    one, other, third = (f"https://shop.example/{n}.jpg" for n in range(3))
    web.gives = {one: _PHOTOS[0]}
    rows = {"a": ("Red shirt", one), "b": ("Blue shirt", other), "c": ("", third)}
    manifest = prepare(_feed(shop / "feed.csv", rows), shop / "catalog")
    assert manifest.reasons == {"no title, and no photo (download: HTTP 404)": 1, "photo: download: HTTP 404": 1}

    web.asked.clear()
    prepare(shop / "feed.csv", shop / "catalog", update=True)
    assert web.asked == [third]  # what was set aside is not in the catalogue, and asked for each time

    web.asked.clear()
    web.gives = {other: _PHOTOS[1], third: _PHOTOS[2]}
    update = prepare(shop / "feed.csv", shop / "catalog", retry_failed=True).update
    assert web.asked == [other, third]
    assert update is not None
    assert (update.new, update.unchanged, update.retried) == (1, 1, 1)
    assert [row["image"] for row in kept_rows(shop / "catalog")] == _PHOTOS


def test_an_answer_that_is_no_photo_is_asked_for_again(shop: Path, web: _Web) -> None:
    url = "https://shop.example/1.jpg"
    web.gives = {url: b"try again later"}
    feed = _feed(shop / "feed.csv", {"a": ("Red shirt", url)})
    manifest = prepare(feed, shop / "catalog")
    assert manifest.reasons == {"photo: download: not a photo that can be read": 1}
    assert [path for path in web.cache.iterdir() if path.is_file()] == []
    web.gives = {url: _PHOTOS[0]}
    assert prepare(feed, shop / "catalog", retry_failed=True).reasons == {}


def test_a_photo_that_vanished_from_the_cache_costs_one_photo(
    shop: Path, web: _Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.gives = {"https://shop.example/1.jpg": _PHOTOS[0]}
    real = web.submit

    def submit(url: str) -> Future[Path]:
        future = real(url)
        future.result().unlink()
        return future

    monkeypatch.setattr(web, "submit", submit)
    manifest = prepare(_feed(shop / "feed.csv", {"a": ("Red shirt", "https://shop.example/1.jpg")}), shop / "catalog")
    assert manifest.reasons == {"photo: download: gone from the cache": 1}


_ROW = st.fixed_dictionaries(
    {"id": st.sampled_from(["a", "b", "c", "d", ""])},
    optional={
        "title": st.sampled_from(["Red shirt", "Blue &amp; shirt", "", "x" * 600]),
        "image": st.sampled_from(["0.jpg", "1.jpg", "gone.jpg", ""]),
        "product": st.sampled_from(["p", "q"]),
    },
)
_NIGHT = st.lists(_ROW, min_size=1, max_size=8)


@settings(max_examples=25, deadline=None)
@given(nights=st.lists(_NIGHT, min_size=2, max_size=3))
def test_an_updated_catalogue_is_a_fresh_one(
    tmp_path_factory: pytest.TempPathFactory, nights: list[list[dict[str, Any]]]
) -> None:
    shop = tmp_path_factory.mktemp("shop")
    for number in range(2):
        (shop / f"{number}.jpg").write_bytes(_PHOTOS[number])
    always = {"id": "always", "title": "Always", "image": "", "product": ""}
    for night in nights:
        write_csv(shop / "feed.csv", [always, *(dict.fromkeys(always, "") | row for row in night)])
        updated = prepare(shop / "feed.csv", shop / "catalog", update=True)
    fresh = prepare(shop / "feed.csv", shop / "fresh")
    assert updated.files == fresh.files
    assert updated.counts == fresh.counts
    assert updated.reasons == fresh.reasons
