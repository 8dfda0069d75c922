"""From the text in a feed to the address of a photo: read as browsers read it, and refused where no photo can be.

What is mended silently: `//host/…` is https; blanks around and line breaks inside go; `&amp;` (also `&#38;` and
`&#038;`, as shop systems write it) is `&`; backslashes before the query are slashes; blanks and letters outside ASCII
are quoted; host names outside ASCII become IDNA; the fragment is dropped.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote, urljoin, urlsplit

import idna

from item_embed.catalog.photos.reasons import NOT_VALID, NOT_WEB, OUTSIDE, USER_NAME, DownloadError

PORTS = {"http": 80, "https": 443}
_LONGEST = 8192  # characters; servers refuse longer ones
_CONTROLS = "".join(map(chr, range(0x20)))
_LINE_BREAKS = str.maketrans("", "", "\t\r\n")
_AMPERSAND = re.compile(r"&(?:amp|#0*38|#x0*26);", re.IGNORECASE)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_SCHEME_ONLY = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_SAFE_IN_PATH = "%/:@!$&'()*+,;=[]|\\^~"
_SAFE_IN_QUERY = "%/:@!$&()*+,;=[]|\\^~?`{}"


@dataclass(frozen=True, slots=True)
class WebUrl:
    """A photo on the web.

    Attributes:
        scheme: `http` or `https`.
        host: a name in lower-case ASCII, or an IP address without brackets.
        port: the scheme's own where none was given.
        target: path and query, quoted.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Host and port as the Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def text(self) -> str:
        """The whole address; equal for texts that mean the same photo."""
        return f"{self.scheme}://{self.authority}{self.target}"


@dataclass(frozen=True, slots=True)
class StoredUrl:
    """A photo in an object store, or another file system that fsspec knows.

    Attributes:
        text: the whole address.
        root: the folder that it was found to lie in.
    """

    text: str
    root: str


def photo_url(text: str, roots: Sequence[str] = ()) -> WebUrl | StoredUrl:
    """Read the address of a photo.

    Args:
        text: what the feed says.
        roots: folders outside the web whose files may be read, each ending in a slash; see `stored_roots`.

    Raises:
        DownloadError: when it is no address, or one that is refused.

    Examples:
        >>> photo_url("//cdn.example/red mug.jpg?w=9&amp;h=9").text
        'https://cdn.example/red%20mug.jpg?w=9&h=9'
    """
    text = text.strip(_CONTROLS + " ").translate(_LINE_BREAKS)
    if len(text) > _LONGEST:
        raise DownloadError(NOT_VALID)
    if text.startswith("//"):
        text = f"https:{text}"
    scheme = _SCHEME.match(text)
    if not scheme:
        named = _SCHEME_ONLY.match(text)
        raise DownloadError(NOT_WEB if named and named[1].lower() not in PORTS else NOT_VALID)
    if scheme[1].lower() in PORTS:
        return _web(_AMPERSAND.sub("&", text))
    return _stored(scheme[1].lower(), text[scheme.end() :], roots)


def redirected(url: WebUrl, location: bytes) -> WebUrl:
    """The address that a redirect leads to, by the same rules.

    Raises:
        DownloadError: when it is no address on the web.
    """
    try:
        said = location.decode("utf8")
    except UnicodeDecodeError:
        said = location.decode("latin1")
    try:
        text = urljoin(url.text, said.strip(_CONTROLS + " ").translate(_LINE_BREAKS).replace("\\", "/"))
    except ValueError:
        raise DownloadError(NOT_VALID) from None
    scheme = _SCHEME.match(text)
    if len(text) > _LONGEST:
        raise DownloadError(NOT_VALID)
    if not scheme or scheme[1].lower() not in PORTS:
        raise DownloadError(NOT_WEB)
    return _web(text)


def stored_roots(roots: Sequence[str]) -> tuple[str, ...]:
    """The folders below which addresses outside the web may be read, in the form that `photo_url` takes.

    Web addresses need no root, and local files are not read by address: both are left out.
    """
    found = []
    for root in roots:
        scheme = _SCHEME.match(root)
        if scheme and scheme[1].lower() not in {*PORTS, "file", "local"} and "::" not in root:
            found.append(f"{scheme[1].lower()}://{root[scheme.end() :].rstrip('/')}/")
    return tuple(found)


def _web(text: str) -> WebUrl:
    before = re.match(r"[^?#]*", text)
    head = before[0] if before else ""
    try:
        parts = urlsplit(head.replace("\\", "/") + text[len(head) :])
        port = parts.port
        host = _host(parts.hostname or "", parts.netloc)
    except ValueError:  # of brackets, ports and labels that no address has; UnicodeError is one too
        raise DownloadError(NOT_VALID) from None
    if "@" in parts.netloc:
        raise DownloadError(USER_NAME)
    if port == 0:
        raise DownloadError(NOT_VALID)
    query = f"?{quote(parts.query, _SAFE_IN_QUERY, errors='replace')}" if parts.query else ""
    path = quote(parts.path, _SAFE_IN_PATH, errors="replace") or "/"
    return WebUrl(parts.scheme, host, port or PORTS[parts.scheme], path + query)


def _host(host: str, netloc: str) -> str:
    if "[" in netloc:
        return ipaddress.IPv6Address(host if "%" not in host else "").compressed
    if not host.isascii():
        if len(host) > 253:
            raise ValueError
        host = idna.encode(host, uts46=True).decode("ascii").lower()
    host = host.removesuffix(".")
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise ValueError
    return host


def _stored(scheme: str, rest: str, roots: Sequence[str]) -> StoredUrl:
    if not any(root.startswith(f"{scheme}://") for root in roots):
        raise DownloadError(NOT_WEB)
    if any(letter < " " for letter in rest):
        raise DownloadError(NOT_VALID)
    if "::" in rest:  # fsspec chains file systems with it, which would lead anywhere
        raise DownloadError(OUTSIDE)
    kept: list[str] = []
    for part in rest.split("/"):
        if part == "..":
            if not kept:
                raise DownloadError(OUTSIDE)
            kept.pop()
        elif part != ".":
            if ".." in re.split(r"[/\\]", _unquoted(part)):  # some stores read these as a step upwards
                raise DownloadError(OUTSIDE)
            kept.append(part)
    text = f"{scheme}://{'/'.join(kept)}"
    for root in roots:
        if text.startswith(root) and not text.endswith("/"):
            return StoredUrl(text, root)
    raise DownloadError(OUTSIDE)


def _unquoted(text: str) -> str:
    while (once := unquote(text)) != text:  # each round shortens it
        text = once
    return text
