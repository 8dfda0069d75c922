"""URLs as text: what is one, and what of it people may see."""

import re
from pathlib import Path

from item_embed.errors import RemoteError

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_ONE_SLASH = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # what a `Path` makes of it; a drive has one letter
CREDENTIALS = re.compile(r"(?<=://)[^/?#]*@")


def is_url(source: str) -> bool:
    """Whether fsspec is to read it; `file://` means a local path.

    Examples:
        >>> is_url("s3://bucket/feed.csv"), is_url("feed.csv")
        (True, False)
    """
    return bool(_URL.match(source))


def url_in(path: str | Path) -> str | None:
    """The URL that a path is, or was before it became a `Path`, which loses a slash; None of any other.

    Examples:
        >>> url_in(Path("s3://bucket/run")), url_in("run/s3:/bucket")
        ('s3://bucket/run', None)
    """
    scheme = _ONE_SLASH.match(str(path))
    return None if scheme is None else shown(f"{scheme[0]}/{str(path)[scheme.end() :].lstrip('/')}")


def refuse_url(path: str | Path, what: str) -> None:
    """Refuse the URL of what is read from a local disk only.

    Args:
        path: as the user gave it.
        what: it is, as "a model".

    Raises:
        RemoteError: naming both.
    """
    if url := url_in(path):
        raise RemoteError(f"{url} is a URL, and {what} is read from a local disk only; copy it there first.")


def local_path(source: str) -> str:
    """A `file://` URL as the path it means; anything else as it is.

    Examples:
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

    Examples:
        >>> shown("https://me:secret@shop.example/feed.csv?key=1234")
        'https://shop.example/feed.csv'
    """
    if not is_url(url):
        return url
    bare = CREDENTIALS.sub("", url)
    return re.split("[?#]", bare, maxsplit=1)[0] if bare.lower().startswith("http") else bare
