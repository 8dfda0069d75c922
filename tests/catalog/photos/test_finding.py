import base64
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.catalog.photos import finding
from item_embed.catalog.photos.finding import PhotoFolders, refer
from item_embed.catalog.photos.images import Photo, PhotoError, prepare_photo
from tests.catalog.made import encoded, picture

_PHOTO = encoded(picture(), "JPEG")
_OUTSIDE = "photo: outside the feed's folder, refused without --allow-outside"
_ABSOLUTE = "photo: absolute path, refused without --allow-outside"


def _fetch(folders: PhotoFolders, value: Any) -> tuple[Photo | None, list[str]]:
    """What becomes of a value of the image column; a URL is named, not fetched."""
    try:
        reference = refer(value)
        url = folders.url_of(reference)
        if url is not None:
            return None, [f"url: {url}"]
        photo = prepare_photo(folders.load(reference))
    except PhotoError as error:
        return None, [f"photo: {error}"]
    return photo, [*reference.repairs, *(f"photo: {repair}" for repair in photo.repairs)]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with a feed's photos in `feed/` and something else beside it."""
    (tmp_path / "feed/images").mkdir(parents=True)
    (tmp_path / "feed/images/shirt 1.jpg").write_bytes(_PHOTO)
    (tmp_path / "private.jpg").write_bytes(_PHOTO)
    return tmp_path


@pytest.mark.parametrize(
    "value",
    [
        _PHOTO,
        "images/shirt 1.jpg",
        " images/shirt 1.jpg ",
        "./images/../images/shirt 1.jpg",
        "images\\shirt 1.jpg",
        {"bytes": _PHOTO, "path": None},
        {"bytes": None, "path": "images/shirt 1.jpg"},
        ["images/shirt 1.jpg"],
        ["", "images/shirt 1.jpg"],
        f"data:image/jpeg;base64,{base64.b64encode(_PHOTO).decode()}",
        f"data:image/jpeg;name=a.jpg;base64,{base64.encodebytes(_PHOTO).decode()}",
        f"data:image/jpeg,{quote_from_bytes(_PHOTO)}",
        base64.b64encode(_PHOTO).decode(),
    ],
)
def test_where_a_photo_may_be(shop: Path, value: Any) -> None:
    photo, repairs = _fetch(PhotoFolders((shop / "feed",)), value)
    assert photo is not None
    assert photo.data == _PHOTO
    assert repairs == []


def test_of_several_photos_the_first_is_taken(shop: Path) -> None:
    photo, repairs = _fetch(PhotoFolders((shop / "feed",)), ["images/shirt 1.jpg", "images/back.jpg"])
    assert photo is not None
    assert repairs == ["photo: several given, the first taken"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "photo: absent"),
        ("", "photo: absent"),
        ("nan", "photo: absent"),
        (float("nan"), "photo: absent"),
        ([], "photo: absent"),
        ({"bytes": None, "path": None}, "photo: absent"),
        (17, "photo: neither bytes nor a path"),
        ("images/missing.jpg", "photo: file not found"),
        ("images", "photo: not a file"),
        ("images/pipe.jpg", "photo: not a file"),
        ("x" * 5000, "photo: not a valid path"),
        ("images/\0.jpg", "photo: not a valid path"),
        ("images/loop.jpg", "photo: not a valid path"),
        ("https://shop.example/1.jpg", "url: https://shop.example/1.jpg"),
        ("//cdn.example/1.jpg", "url: //cdn.example/1.jpg"),
        ("s3://bucket/1.jpg", "url: s3://bucket/1.jpg"),
        ("data:image/png;base64,####", "photo: not valid base64"),
        ("../private.jpg", _OUTSIDE),
        ("images/../../private.jpg", _OUTSIDE),
        ("../missing.jpg", _OUTSIDE),
        ("images/link.jpg", _OUTSIDE),
        ("linked/private.jpg", _OUTSIDE),
        ("/etc/passwd", _ABSOLUTE),
        ("file:///etc/passwd", _ABSOLUTE),
        ("file://[x", "photo: not a valid path"),
        ({"path": {"path": ["file://[x"]}}, "photo: not a valid path"),
        ("C:\\photos\\1.jpg", _ABSOLUTE),
        (b"", "photo: empty file"),
        (b"no image", "photo: not a readable image"),
    ],
)
def test_why_there_is_no_photo(shop: Path, value: Any, reason: str) -> None:
    os.mkfifo(shop / "feed/images/pipe.jpg")
    (shop / "feed/images/link.jpg").symlink_to(shop / "private.jpg")
    (shop / "feed/images/loop.jpg").symlink_to(shop / "feed/images/loop.jpg")
    (shop / "feed/linked").symlink_to(shop)
    assert _fetch(PhotoFolders((shop / "feed",)), value) == (None, [reason])


_TEXTS = st.text(max_size=12) | st.text(alphabet="file:/[]\\%@0\0\ud800. ", max_size=20)
_PREFIXES = st.sampled_from(["file://", "FILE:", "data:image/png;base64,", "//", "C:\\", "/9j/", "~"])
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary(max_size=40)
    | st.binary(max_size=40).map(lambda rest: _PHOTO[:300] + rest)
    | _TEXTS
    | st.tuples(_PREFIXES, _TEXTS).map("".join)
    | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["bytes", "path", "url"]), inner, max_size=3)
    ),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None)
@given(value=_VALUES | st.text("/[]@:%x ").map("file://".__add__), outside=st.booleans())
def test_whatever_stands_in_the_column_costs_one_photo_at_most(
    tmp_path_factory: pytest.TempPathFactory, value: Any, outside: bool
) -> None:
    photo, repairs = _fetch(PhotoFolders((tmp_path_factory.getbasetemp(),), outside), value)
    assert photo is not None or len(repairs) == 1
    assert all(repair.startswith(("photo: ", "url: ")) for repair in repairs)


def test_a_value_nested_deeper_than_calls_can_be(shop: Path) -> None:
    value: Any = "images/shirt 1.jpg"
    for _ in range(5000):
        value = [value]
    photo, repairs = _fetch(PhotoFolders((shop / "feed",)), value)
    assert photo is not None
    assert repairs == []


def test_an_absolute_path_is_refused_even_inside(shop: Path) -> None:
    path = str(shop / "feed/images/shirt 1.jpg")
    assert _fetch(PhotoFolders((shop / "feed",)), path) == (None, [_ABSOLUTE])


@pytest.mark.parametrize("form", ["../private.jpg", "{}/private.jpg", "file://{}/private.jpg", "link.jpg"])
def test_outside_is_read_where_allowed(shop: Path, form: str) -> None:
    (shop / "feed/link.jpg").symlink_to(shop / "private.jpg")
    photo, repairs = _fetch(PhotoFolders((shop / "feed",), allow_outside=True), form.format(shop))
    assert photo is not None
    assert repairs == []


def test_the_named_folder_comes_first(shop: Path) -> None:
    other = encoded(picture(seed=5), "JPEG")
    (shop / "photos/images").mkdir(parents=True)
    (shop / "photos/images/shirt 1.jpg").write_bytes(other)
    folders = PhotoFolders((shop / "photos", shop / "feed"))
    photo, _ = _fetch(folders, "images/shirt 1.jpg")
    assert photo is not None
    assert photo.data == other
    (shop / "photos/images/shirt 1.jpg").unlink()
    photo, _ = _fetch(folders, "images/shirt 1.jpg")
    assert photo is not None
    assert photo.data == _PHOTO


def test_a_huge_file_is_not_read(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "LARGEST_FILE", 0)
    assert _fetch(PhotoFolders((shop / "feed",)), "images/shirt 1.jpg") == (None, ["photo: file larger than 0 MB"])


def test_conversions_are_named_as_the_photos(shop: Path) -> None:
    _, repairs = _fetch(PhotoFolders((shop,)), encoded(picture().convert("CMYK"), "JPEG"))
    assert repairs == ["photo: converted from CMYK"]


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("images/1.jpg", "s3://bucket/shop/images/1.jpg"),
        ("./images/1.jpg", "s3://bucket/shop/images/1.jpg"),
        ({"path": "1.jpg"}, "s3://bucket/shop/1.jpg"),
        ("https://cdn.example/1.jpg", "https://cdn.example/1.jpg"),
        (_PHOTO, None),
    ],
)
def test_paths_of_a_feed_in_an_object_store_are_urls_beside_it(value: Any, url: str | None) -> None:
    assert PhotoFolders(remote="s3://bucket/shop/").url_of(refer(value)) == url
