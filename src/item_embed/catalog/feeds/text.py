"""Text feeds of unknown encoding: UTF-8 or UTF-16, with single bytes of Windows-1252 mended one by one."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from item_embed.catalog.feeds.packing import unpacked
from item_embed.catalog.feeds.places import FeedFile, open_bytes
from item_embed.errors import FeedError

MENDED = "encoding: bytes that are not UTF-8, read as Windows-1252"

_ESCAPED = re.compile("[\udc80-\udcff]+")
_BINARY_STARTS = {
    b"PK\x03\x04": "a zip or Excel file",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"\x1f\x8b": "a gzip file inside another",
    b"PAR1": "a Parquet file",
}


@contextmanager
def open_text(file: FeedFile) -> Iterator[TextIO]:
    """Open a feed as text, unpacked where it is packed, line ends kept.

    It is UTF-8 unless a byte order mark or the pattern of zero bytes says UTF-16 or UTF-32. Bytes that are
    not UTF-8 arrive as lone surrogates, which `mend` turns into text: one bad line does not spoil the others.

    Raises:
        FeedError: when the file is some other kind of file under this name.
    """
    with open_bytes(file) as opened:
        stream: Any = unpacked(opened, file.name)
        head = stream.peek(4096)[:4096]
        for start, kind in _BINARY_STARTS.items():
            if head.startswith(start):
                raise FeedError(f"{file.url} is {kind}, not text; unpack it or export it as CSV, JSONL or Parquet.")
        encoding = _encoding(head)
        if head.startswith(b"\xef\xbb\xbf"):
            stream.read(3)
        errors = "surrogateescape" if encoding == "utf-8" else "replace"
        with io.TextIOWrapper(stream, encoding=encoding, errors=errors, newline="") as text:
            yield text


def is_clean(text: str) -> bool:
    """Whether `mend` would leave a text as it is."""
    return text.isascii() or not _ESCAPED.search(text)


def mend(text: str) -> str:
    """Read what was not UTF-8 as Windows-1252, where every byte means some character.

    Examples:
        >>> mend(b"caf\\xe9".decode("utf-8", "surrogateescape"))
        'café'
    """
    return text if is_clean(text) else _ESCAPED.sub(lambda match: _windows_1252(match.group()), text)


def _windows_1252(escaped: str) -> str:
    data = escaped.encode("utf-8", "surrogateescape")
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:  # five of its bytes are undefined
        return data.decode("latin-1")


def _encoding(head: bytes) -> str:
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "utf-32"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    pairs = max(len(head) // 2, 1)
    if head[1::2].count(0) > 0.4 * pairs:
        return "utf-16-le"
    if head[::2].count(0) > 0.4 * pairs:
        return "utf-16-be"
    return "utf-8"
