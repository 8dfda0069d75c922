import gzip
import io
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from item_embed.catalog.photos.bodies import PhotoWriter, decompressed
from item_embed.catalog.photos.reasons import COMPRESSION, CUT_OFF, EMPTY, HTML_PAGE, TOO_LARGE, DownloadError
from tests.catalog.made import encoded, picture


def written(parts: list[bytes], largest: int = 1 << 20, said_html: bool = False) -> bytes:
    file = io.BytesIO()
    writer = PhotoWriter(lambda: file, largest, said_html)
    for part in parts:
        writer.write(part)
    writer.finish()
    return file.getvalue()


def reason(parts: list[bytes], largest: int = 1 << 20, said_html: bool = False) -> str:
    with pytest.raises(DownloadError) as caught:
        written(parts, largest, said_html)
    return caught.value.reason


@given(st.lists(st.binary(max_size=600), min_size=1).map(lambda parts: [b"\xff\xd8\xff", *parts]))
def test_a_body_is_written_as_it_comes(parts: list[bytes]) -> None:
    assert written(parts) == b"".join(parts)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_photo_that_the_server_calls_a_page_is_a_photo(kind: str) -> None:
    data = encoded(picture(), kind)
    assert written([data], said_html=True) == data


@pytest.mark.parametrize(
    "page",
    [
        b"<html>",
        b"<!DOCTYPE html><html>",
        b"\xef\xbb\xbf\r\n  <!doctype HTML>",
        b"<!-- a remark --><HTML lang=en>",
        b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x">',
        b"<script>location='/'</script>",
    ],
)
def test_a_page_is_no_photo(page: bytes) -> None:
    assert reason([page]) == HTML_PAGE
    assert reason([page[:3], page[3:], b"x" * 5000]) == HTML_PAGE


def test_what_is_called_a_page_and_is_no_photo_either_is_a_page() -> None:
    assert reason([b"Not found"], said_html=True) == HTML_PAGE
    assert written([b"Not found"]) == b"Not found"  # whoever decodes it will say so


def test_too_much_and_nothing_are_refused() -> None:
    assert reason([b"12345", b"67890", b"1"], largest=10) == TOO_LARGE
    assert written([b"12345", b"67890"], largest=10) == b"1234567890"
    assert reason([]) == EMPTY
    assert reason([b""]) == EMPTY


@pytest.mark.parametrize(
    ("encoding", "press"), [(b"gzip", gzip.compress), (b" X-GZIP", gzip.compress), (b"deflate", zlib.compress)]
)
@given(data=st.binary(max_size=3000), size=st.integers(1, 500))
def test_a_compression_nobody_asked_for_is_undone(encoding: bytes, press: type[bytes], data: bytes, size: int) -> None:
    packed = press(data)
    parts = [packed[i : i + size] for i in range(0, len(packed), size)]
    assert b"".join(decompressed(iter(parts), encoding)) == data
    with pytest.raises(DownloadError) as caught:
        list(decompressed(iter([packed[:-1]]), encoding))
    assert caught.value.reason == CUT_OFF
    assert caught.value.again


def test_a_bomb_is_unpacked_no_further_than_allowed() -> None:
    bomb = gzip.compress(bytes(40 << 20), 6)
    unpacked = 0

    def count() -> Iterator[bytes]:
        nonlocal unpacked
        for part in decompressed(iter([bomb]), b"gzip"):
            unpacked += len(part)
            yield part

    writer = PhotoWriter(io.BytesIO, 1 << 20)
    with pytest.raises(DownloadError) as caught:
        list(map(writer.write, count()))
    assert caught.value.reason == TOO_LARGE
    assert unpacked < 2 << 20


@pytest.mark.parametrize("encoding", [b"br", b"zstd", b"gzip, br", b"gzip, deflate"])
def test_other_compressions_are_refused(encoding: bytes) -> None:
    with pytest.raises(DownloadError) as caught:
        list(decompressed(iter([b"x"]), encoding))
    assert caught.value.reason == COMPRESSION


@pytest.mark.parametrize("encoding", [b"", b"identity", b"utf-8"])
def test_what_is_no_compression_changes_nothing(encoding: bytes) -> None:
    assert list(decompressed(iter([b"x", b"y"]), encoding)) == [b"x", b"y"]


@given(st.binary(min_size=1, max_size=300))
def test_garbage_that_is_called_compressed_has_a_reason(data: bytes) -> None:
    try:
        list(decompressed(iter([data]), b"gzip"))
    except DownloadError:
        return
