import re
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from item_embed.catalog.photos.reasons import NOT_VALID, NOT_WEB, OUTSIDE, USER_NAME, DownloadError
from item_embed.catalog.photos.urls import StoredUrl, WebUrl, photo_url, redirected, stored_roots

_ROOTS = stored_roots(
    ["s3://bucket/feed", "memory://shop/", "file:///srv/", "https://shop.example/", "zip://a::s3://b/"]
)


def reason(text: str) -> str:
    with pytest.raises(DownloadError) as caught:
        photo_url(text, _ROOTS)
    return caught.value.reason


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("http://Shop.Example/a.jpg", "http://shop.example/a.jpg"),
        (" https://shop.example:443/a.jpg#top\n", "https://shop.example/a.jpg"),
        ("HTTP://shop.example:8080", "http://shop.example:8080/"),
        ("//cdn.example/a.jpg", "https://cdn.example/a.jpg"),
        ("http://shop.example./a.jpg", "http://shop.example/a.jpg"),
        ("http://shop.example/red mug.jpg?size=big one", "http://shop.example/red%20mug.jpg?size=big%20one"),
        ("http://shop.example/a%20b%.jpg", "http://shop.example/a%20b%.jpg"),
        ("http://shop.example/häkeln.jpg?ä=1", "http://shop.example/h%C3%A4keln.jpg?%C3%A4=1"),
        ("http://bücher.example/a.jpg", "http://xn--bcher-kva.example/a.jpg"),
        ("http://shop.example/a.jpg?w=1&amp;h=2", "http://shop.example/a.jpg?w=1&h=2"),
        ("http://shop.example/a.jpg?w=1&#038;h=2&#x26;q=3", "http://shop.example/a.jpg?w=1&h=2&q=3"),
        ("http://shop.example\\a\\b.jpg?c=\\", "http://shop.example/a/b.jpg?c=\\"),
        ("http://shop.example/a\r\nHost: other", "http://shop.example/aHost:%20other"),
        ("http://shop.example/a\x00b", "http://shop.example/a%00b"),
        ("http://2130706433/", "http://2130706433/"),
        ("http://[::FFFF:127.0.0.1]:81/", "http://[::ffff:7f00:1]:81/"),
        ("http://under_score.example/a", "http://under_score.example/a"),
        ("http://shop.example/\ud800.jpg", "http://shop.example/%3F.jpg"),
    ],
)
def test_addresses_are_read_as_browsers_read_them(text: str, meant: str) -> None:
    assert photo_url(text) == photo_url(meant)
    url = photo_url(text)
    assert isinstance(url, WebUrl)
    assert url.text == meant


@pytest.mark.parametrize(
    "text",
    [
        *("", "mug.jpg", "images/mug.jpg", "http://", "http:///a.jpg", "http:/shop.example/a.jpg", "//", "http://?x"),
        *(
            "http://[::1/",
            "http://::1/",
            "http://[fe80::1%25eth0]/",
            "http://[127.0.0.1]/",
            "http://a b/",
            "http://ex%61mple.com/",
        ),
        *("http://shop.example:0/", "http://shop.example:99999/", "http://shop.example:x/", "http://shop..example/"),
        *(
            f"http://shop.example/{'a' * 9000}",
            f"http://{'a' * 64}.example/",
            f"http://{'ä' * 300}.example/",
            "http://℀.example/",
        ),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    assert reason(text) == NOT_VALID


@pytest.mark.parametrize(
    "text", ["ftp://shop.example/a.jpg", "file:///etc/passwd", "gs://bucket/a.jpg", "mailto:a@b", "data:x"]
)
def test_only_the_web_is_read_by_default(text: str) -> None:
    assert reason(text) == NOT_WEB


@pytest.mark.parametrize(
    "text", ["http://user:secret@shop.example/a.jpg", "http://user@shop.example/", "//@shop.example/"]
)
def test_names_and_passwords_are_refused(text: str) -> None:
    assert reason(text) == USER_NAME


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("s3://bucket/feed/a.jpg", "s3://bucket/feed/a.jpg"),
        ("S3://bucket/feed/x/../a b.jpg", "s3://bucket/feed/a b.jpg"),
        ("s3://bucket/feed/./100%.jpg", "s3://bucket/feed/100%.jpg"),
        ("memory://shop/x/y.jpg", "memory://shop/x/y.jpg"),
    ],
)
def test_files_below_a_root_are_read(text: str, meant: str) -> None:
    url = photo_url(text, _ROOTS)
    assert isinstance(url, StoredUrl)
    assert url.text == meant
    assert meant.startswith(url.root)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "s3://bucket/other/a.jpg",
            "s3://bucket/feeding/a.jpg",
            "s3://bucket/feed",
            "s3://bucket/feed/",
            "s3://other/feed/a.jpg",
        ),
        *("s3://bucket/feed/../a.jpg", "s3://bucket/feed/x/../../a.jpg", "s3://../../etc", "memory://shop/../x"),
        *("s3://bucket/feed/%2e%2e/a.jpg", "s3://bucket/feed/%252E%252e/a.jpg", "s3://bucket/feed/x%2f..%2f../a.jpg"),
        *("s3://bucket/feed/..\\..\\a.jpg", "s3://bucket/feed/.%2e/a.jpg", "s3://bucket/feed/a::file:///etc/passwd"),
    ],
)
def test_nothing_outside_the_roots_is_read(text: str) -> None:
    assert reason(text) == OUTSIDE


@pytest.mark.parametrize(
    ("location", "meant"),
    [
        (b"/b.jpg", "http://shop.example/b.jpg"),
        (b"b.jpg?q", "http://shop.example/x/b.jpg?q"),
        (b"//cdn.example/b.jpg", "http://cdn.example/b.jpg"),
        (b"https://cdn.example/b c.jpg", "https://cdn.example/b%20c.jpg"),
        ("/ü.jpg".encode(), "http://shop.example/%C3%BC.jpg"),
        (b"/\xfc.jpg", "http://shop.example/%C3%BC.jpg"),
    ],
)
def test_redirects_are_read_from_where_they_come(location: bytes, meant: str) -> None:
    start = photo_url("http://shop.example/x/a.jpg")
    assert isinstance(start, WebUrl)
    assert redirected(start, location).text == meant


@pytest.mark.parametrize(
    ("location", "why"),
    [
        (b"file:///etc/passwd", NOT_WEB),
        (b"ftp://shop.example/", NOT_WEB),
        (b"s3://bucket/feed/a.jpg", NOT_WEB),
        (b"javascript:alert(1)", NOT_WEB),
        (b"http://user@shop.example/", USER_NAME),
        (b"http://[", NOT_VALID),
        (b"http://" + b"a" * 9000, NOT_VALID),
    ],
)
def test_redirects_elsewhere_are_refused(location: bytes, why: str) -> None:
    start = photo_url("http://shop.example/x/a.jpg")
    assert isinstance(start, WebUrl)
    with pytest.raises(DownloadError) as caught:
        redirected(start, location)
    assert caught.value.reason == why


_TARGET = re.compile(r"/[!-~]*")
_ODD = st.one_of(
    st.text(max_size=60),
    st.builds(
        "{}{}".format,
        st.sampled_from(["http://", "https://", "//", "s3://bucket/feed/", "memory://shop/"]),
        st.text(max_size=40),
    ),
    st.text("htps:/[]@.%2e#?&;0127xä\\\x00\ud800 ", max_size=40),
)


@given(_ODD)
@example("http://[::ffff:1.2.3.4%]/")
@example("http://a\u3002b/")
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        url = photo_url(text, _ROOTS)
    except DownloadError:
        return
    if isinstance(url, StoredUrl):
        assert url.text.startswith(_ROOTS)
        assert "/../" not in unquote(url.text)
    else:
        assert _TARGET.fullmatch(url.target)
        assert re.fullmatch(r"[a-z0-9._:-]+", url.host)
        assert photo_url(url.text) == url


@given(st.binary(max_size=60))
def test_any_location_is_an_address_or_refused(location: bytes) -> None:
    start = photo_url("http://shop.example/x/a.jpg")
    assert isinstance(start, WebUrl)
    try:
        assert redirected(start, location).scheme in {"http", "https"}
    except DownloadError:
        return
