"""Where a feed's files lie: on this machine, or wherever fsspec reads; each is opened as a stream of bytes."""

import csv
import io
import lzma
import re
import secrets
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote

import fsspec
import fsspec.asyn
import pyarrow as pa

from item_embed.errors import FeedError

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_CREDENTIALS = re.compile(r"(?<=://)[^/?#]*@")
# What object stores and servers say of a file that changes with it; none says all of it.
_TELLING = "etag ETag checksum md5 md5Hash content_md5 Content-MD5 crc32c generation LastModified last_modified mtime "
_TELLING += "updated modify created blob_id sha size"
_INSTALL = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "http": "aiohttp",
    "https": "aiohttp",
    "sftp": "paramiko",
    "ssh": "paramiko",
    "hf": "huggingface_hub",
}


class UnreachableError(OSError):
    """A remote file that could not be opened or read to its end."""


@dataclass(frozen=True)
class FeedFile:
    """One file of a feed.

    Attributes:
        url: the path as given, or the URL without password and query; for people, and the same on every run.
        stamp: changes whenever the file does.
        is_local: whether it is a file of this machine's file system, so that `path` may be used.
    """

    url: str
    stamp: str
    is_local: bool = True
    reached: tuple[str, str] | None = field(default=None, repr=False)  # for fsspec, with what `url` must not show

    @property
    def path(self) -> Path:
        """A local file's path."""
        if not self.is_local:
            raise ValueError(f"{self.url} is no local file")
        return Path(self.url)

    @property
    def name(self) -> str:
        """The last part of the path or URL."""
        return self.url.rsplit("/", 1)[-1]

    @property
    def folder(self) -> Path | str:
        """What the paths of photos in it are relative to: a folder, or a URL prefix that ends in "/"; may be ""."""
        if self.is_local:
            return Path(self.url).parent
        return "" if self.reached is None else self.url.rsplit("/", 1)[0] + "/"


def local_file(path: Path) -> FeedFile:
    """A file of this machine, stamped with its size and time."""
    status = path.stat()
    return FeedFile(str(path), f"{status.st_size}-{status.st_mtime_ns}")


def remote_file(source: str, address: str, about: Mapping[str, Any]) -> FeedFile:
    """A file that fsspec reads.

    Args:
        source: the URL that the user gave, which may be a pattern or a folder.
        address: the file, as its file system names it.
        about: what the file system says about it.
    """
    fs = file_system(source)
    if address.lower().startswith("http"):
        about = {**about, **_headers(fs, address)}
    told = {key: str(about[key]) for key in _TELLING.split() if about.get(key) is not None}
    if told.keys() <= {"size"}:  # too little to say that it is the same, so it never is
        told["asked"] = secrets.token_hex(8)
    stamp = " ".join(f"{key}={value}" for key, value in told.items())
    return FeedFile(shown(_full(source, fs.unstrip_protocol(address))), stamp, False, (source, address))


def _headers(fs: Any, url: str) -> dict[str, str]:
    """What a web server says of a file: fsspec asks for the size, and seldom for the time."""

    async def ask() -> dict[str, str]:
        session = await fs.set_session()
        for method in (session.head, session.get):  # some servers know no HEAD
            async with method(fs.encode_url(url), allow_redirects=True) as answer:
                if answer.status == 200:
                    return {name.lower(): value for name, value in answer.headers.items()}
        return {}

    try:
        told = fsspec.asyn.sync(fs.loop, ask)
    except Exception:  # reading will tell what is wrong
        return {}
    names = {"etag": "etag", "last-modified": "last_modified", "content-length": "size"}
    return {ours: told[theirs] for theirs, ours in names.items() if theirs in told}


def is_url(source: str) -> bool:
    """Whether fsspec is to read it; `file://` means a local path.

    Example:
        >>> is_url("s3://bucket/feed.csv"), is_url("feed.csv")
        (True, False)
    """
    return bool(_URL.match(source))


def local_path(source: str) -> str:
    """A `file://` URL as the path it means; anything else as it is.

    Example:
        >>> local_path("file:///shop/my%20feed.csv"), local_path("s3://shop/feed.csv")
        ('/shop/my feed.csv', 's3://shop/feed.csv')
    """
    if not source.lower().startswith("file://"):
        return source
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
    bare = _CREDENTIALS.sub("", url)
    return re.split("[?#]", bare, maxsplit=1)[0] if bare.lower().startswith("http") else bare


def file_system(source: str) -> Any:
    """The fsspec file system that reads a URL.

    Raises:
        FeedError: when its package is missing, or it cannot be reached.
    """
    protocol = source.split("://", 1)[0].lower()
    try:
        return fsspec.url_to_fs(source)[0]
    except ImportError:
        package = _INSTALL.get(protocol)
        mend = f"run: pip install {package}" if package else f"install the fsspec package for {protocol}"
        raise FeedError(f"{shown(source)} needs a package that is not installed; {mend}.") from None
    except Exception as error:
        if isinstance(error, ValueError) and "rotocol not known" in str(error):
            raise FeedError(f"{shown(source)} begins with {protocol}://, which fsspec does not know.") from None
        raise FeedError(f"{shown(source)} cannot be read: {reason(error, source)}.") from None


def open_bytes(file: FeedFile) -> BinaryIO:
    """Open a file for reading, without loading it whole; what goes wrong with a remote one is an OSError."""
    if file.reached is None:
        return file.path.open("rb")
    source, address = file.reached
    fs = file_system(source)
    try:
        return io.BufferedReader(_Remote(fs.open(address, "rb"), source), 1 << 16)
    except Exception as error:
        raise UnreachableError(reason(error, source)) from None


@contextmanager
def named_errors(url: str) -> Iterator[None]:
    """Turn what a library says about a broken file into a sentence that names the file."""
    try:
        yield
    except OSError as error:
        raise FeedError(f"{url} cannot be read: {reason(error)}.") from None
    except (pa.ArrowException, csv.Error, UnicodeError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise FeedError(f"{url} is damaged or not what its name says: {reason(error)}.") from None


def reason(error: BaseException, source: str = "") -> str:
    """The first line of what an error says, without what the URL `source` must not show."""
    if isinstance(error, FileNotFoundError):
        if error.__cause__ is None or getattr(error.__cause__, "status", 0) == 404:
            return "there is no such file or folder"
        error = error.__cause__  # fsspec says so of any server that does not answer well
    if hasattr(error, "status") and hasattr(error, "message"):
        return f"the server answers {error.status} {error.message}"
    text = getattr(error, "strerror", None) or str(error)
    first = (text.strip().splitlines() or [type(error).__name__])[0].rstrip(". ")
    if is_url(source):
        for hidden in filter(None, (source.partition("?")[2], *_CREDENTIALS.findall(source))):
            first = first.replace(hidden, "")
        first = _CREDENTIALS.sub("", first)
    return first or type(error).__name__


def _full(source: str, url: str) -> str:
    """Some file systems (FTP, SFTP) leave the host out of what they name; memory:// adds a slash."""
    scheme, _, rest = url.partition("://")
    host = source.split("://", 1)[1].split("/", 1)[0].rpartition("@")[2]
    if scheme in {"ftp", "sftp", "ssh", "smb"} and not rest.lstrip("/").startswith(host):
        return f"{scheme}://{host}/{rest.lstrip('/')}"
    return f"memory://{rest.lstrip('/')}" if scheme == "memory" else url


class FullReads(io.RawIOBase):
    """A stream over another that fills the buffer it is given, so that a look ahead sees as much as there is."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def readable(self) -> bool:
        """It is."""
        return True

    def piece(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        data: bytes = self._inner.read(size)
        return data

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, or as much of it as is left in the stream."""
        view, filled = memoryview(buffer).cast("B"), 0
        while filled < len(view):
            data = self.piece(len(view) - filled)
            if not data:
                break
            view[filled : filled + len(data)] = data
            filled += len(data)
        return filled

    def close(self) -> None:
        """Close the stream below too."""
        if not self.closed:
            self._inner.close()
        super().close()


class _Remote(FullReads):
    """What fsspec opened; each package's own exceptions become OSErrors that show no password."""

    def __init__(self, inner: Any, source: str) -> None:
        super().__init__(inner)
        self._source = source

    def piece(self, size: int) -> bytes:
        with self._as_os_error():
            return super().piece(size)

    def seekable(self) -> bool:
        return bool(self._inner.seekable())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with self._as_os_error():
            return int(self._inner.seek(offset, whence))

    def tell(self) -> int:
        return int(self._inner.tell())

    @contextmanager
    def _as_os_error(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise UnreachableError(reason(error, self._source)) from None
