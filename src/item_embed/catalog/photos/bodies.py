"""The body of an answer on its way into a file: decompressed with a bound, measured, and refused if it is a page."""

import re
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from item_embed.catalog.photos.reasons import (
    COMPRESSION,
    CUT_OFF,
    EMPTY,
    HTML_PAGE,
    NO_ANSWER,
    TOO_LARGE,
    DownloadError,
)

_HEAD = 1024  # bytes that tell a page from a photo
_STEP = 1 << 18  # bytes decompressed at a time
_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--[^>]*-->\s*)*<(?:!doctype\s+html|html|head|body|script|meta|title)\b",
    re.IGNORECASE,
)
_PHOTO_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"RIFF", b"BM", b"II*\x00", b"MM\x00*")
_GZIP = {b"gzip", b"x-gzip", b"deflate"}
_UNREAD = {b"br", b"zstd", b"compress", b"x-compress", b"dcb", b"dcz"}


class PhotoWriter:
    """Writes a body into a file, as long as it can be a photo.

    Args:
        file: opens the file; called when the first bytes are known to be no page.
        largest: bytes.
        said_html: whether the server called it a page. Some call everything so, and then its first bytes decide.
    """

    def __init__(self, file: Callable[[], BinaryIO], largest: int, said_html: bool = False) -> None:
        self._open = file
        self._file: BinaryIO | None = None
        self._largest = largest
        self._said_html = said_html
        self._size = 0
        self._head = b""

    def write(self, part: bytes) -> None:
        """Take the next bytes.

        Raises:
            DownloadError: when there are too many, or they are a page.
        """
        self._size += len(part)
        if self._size > self._largest:
            raise DownloadError(TOO_LARGE)
        if self._file is not None:
            self._file.write(part)
            return
        self._head += part
        if len(self._head) >= _HEAD:
            self._begin()

    def finish(self) -> None:
        """Say that the body is over.

        Raises:
            DownloadError: when it is empty, or a page.
        """
        if not self._size:
            raise DownloadError(EMPTY)
        if self._file is None:
            self._begin()

    def _begin(self) -> None:
        if _PAGE.match(self._head) or (self._said_html and not self._head.startswith(_PHOTO_STARTS)):
            raise DownloadError(HTML_PAGE)
        self._file = self._open()
        self._file.write(self._head)
        self._head = b""


def decompressed(parts: Iterator[bytes], encoding: bytes) -> Iterator[bytes]:
    """Undo a compression that was not asked for, a bounded piece at a time.

    Args:
        parts: the body.
        encoding: the Content-Encoding header. What no browser knows either is taken for none.

    Raises:
        DownloadError: when it is compressed in a way that is not read, or not as it says.
    """
    names = {name.strip() for name in encoding.lower().split(b",")}
    if names & _UNREAD or len(names & _GZIP) > 1:
        raise DownloadError(COMPRESSION)
    if not names & _GZIP:
        yield from parts
        return
    inflate = zlib.decompressobj(wbits=47)  # 47: gzip or zlib, as its first bytes say
    empty = True
    try:
        for part in parts:
            empty &= not part
            left = part
            while left and not inflate.eof:
                yield inflate.decompress(left, _STEP)
                left = inflate.unconsumed_tail
    except zlib.error:
        raise DownloadError(NO_ANSWER, again=True) from None
    if not inflate.eof and not empty:
        raise DownloadError(CUT_OFF, again=True)
