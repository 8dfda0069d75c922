"""URLs as text: what is one, and what of it people may see."""

import re
from pathlib import Path

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_ONE_SLASH = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # what a `Path` makes of it; a drive has one letter
CREDENTIALS = re.compile(r"(?<=://)[^/?#]*@")


def is_url(source: str) -> bool:
    """Whether fsspec is to read it; `file://` means a local path.

    Example:
        >>> is_url("s3://bucket/feed.csv"), is_url("feed.csv")
        (True, False)
    """
    return bool(_URL.match(source))


def was_url(path: str | Path) -> bool:
    """Whether it is a URL, or was one before it became a `Path`, which loses a slash.

    Example:
        >>> was_url(Path("s3://bucket/run")), was_url("run/s3:/bucket")
        (True, False)
    """
    return bool(_ONE_SLASH.match(str(path)))


def local_path(source: str) -> str:
    """A `file://` URL as the path it means; anything else as it is.

    Example:
        >>> local_path("file:///shop/my%20feed.csv"), local_path("s3://shop/feed.csv")
        ('/shop/my feed.csv', 's3://shop/feed.csv')
    """
    if not source.lower().startswith("file://"):
        return source
    from urllib.parse import unquote

    named = source[len("file://") :].removeprefix("localhost")
    return named if Path(named).exists() else unquote(named)


def shown(url: str) -> str:
    """A URL as people may see it: without a password, and without a query, which may hold a signature.

    Example:
        >>> shown("https://me:secret@shop.example/feed.csv?key=1234")
        'https://shop.example/feed.csv'
    """
    if not is_url(url):
        return url
    bare = CREDENTIALS.sub("", url)
    return re.split("[?#]", bare, maxsplit=1)[0] if bare.lower().startswith("http") else bare
