"""Where a feed's files lie: on this machine, or wherever fsspec reads; each is opened as a stream of bytes."""

import csv
import io
import lzma
import secrets
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import fsspec.asyn
import pyarrow as pa

from item_embed.errors import FeedError, RemoteError
from item_embed.remote import places as remote
from item_embed.remote.places import reason
from item_embed.remote.urls import shown

# What object stores and servers say of a file that changes with it; none says all of it.
_TELLING = "etag ETag checksum md5 md5Hash content_md5 Content-MD5 crc32c generation LastModified last_modified mtime "
_TELLING += "updated modify created blob_id sha size"


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


def file_system(source: str) -> Any:
    """The fsspec file system that reads a URL.

    Raises:
        FeedError: when its package is missing, or it cannot be reached.
    """
    try:
        return remote.file_system(source)
    except RemoteError as error:
        raise FeedError(str(error)) from None


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
