"""`Remote`: a file or folder that fsspec reaches; and what its many packages say when they fail, in sentences."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec

from item_embed.errors import ItemError, RemoteError
from item_embed.remote.urls import CREDENTIALS, is_url, local_path, shown

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
_BOTO = re.compile(r"An error occurred \(\w+\) when calling the \w+ operation[^:]*: ")


class MissingError(RemoteError):
    """There is no such file or folder."""


@dataclass(frozen=True)
class Remote:
    """A file or folder of an object store, or of any other place that fsspec reaches.

    It has what is asked of a `Path` to name things, shows no password, and can be sent to other processes: what
    reaches the store is found anew in each.

    Args:
        url: of the file or folder, such as `s3://bucket/catalog`.

    Examples:
        >>> str(Remote("s3://bucket/catalog/") / "manifest.json")
        's3://bucket/catalog/manifest.json'
    """

    url: str = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", self.url.rstrip("/"))

    def __str__(self) -> str:
        return shown(self.url)

    def __truediv__(self, below: str) -> "Remote":
        return Remote(f"{self.url}/{below}")

    @property
    def name(self) -> str:
        """The last part of it."""
        return str(self).rsplit("/", 1)[-1]

    @property
    def parent(self) -> "Remote":
        """The folder it lies in."""
        return Remote(self.url.rsplit("/", 1)[0])

    def resolve(self) -> "Remote":
        """Itself: a URL depends on no folder."""
        return self

    @property
    def system(self) -> Any:
        """The fsspec file system that reaches it; of one process, so it is not to be kept.

        Raises:
            RemoteError: when its package is missing, or it cannot be used.
        """
        return file_system(self.url)

    @property
    def address(self) -> str:
        """What the file system calls it."""
        return str(self.system._strip_protocol(self.url))

    def read_bytes(self) -> bytes:
        """The whole file.

        Raises:
            RemoteError: when it cannot be read.
        """
        with sentences(self):
            return bytes(self.system.cat_file(self.address))

    def exists(self, done: str = "read") -> bool:
        """Whether there is such a file or folder now, whatever was listed before.

        Args:
            done: what is to be done to it, for the sentence.

        Raises:
            RemoteError: when that cannot be found out.
        """
        with sentences(self, done):
            system = self.system
            system.invalidate_cache()
            try:
                system.info(self.address)
            except FileNotFoundError as error:
                if not _is_missing(error):
                    raise
                return False
            return True


def place(path: "str | Path | Remote") -> "Path | Remote":
    """What a user's path means: a `Path` on this machine, or, of a URL, a `Remote`.

    Examples:
        >>> place("catalog"), str(place("s3://bucket/catalog"))
        (PosixPath('catalog'), 's3://bucket/catalog')
    """
    if isinstance(path, str):
        path = local_path(path)
        return Remote(path) if is_url(path) else Path(path)
    return path


def size_of(file: "Path | Remote") -> int:
    """How many bytes a file has.

    Raises:
        RemoteError: when that of a `Remote` cannot be found out.
    """
    if isinstance(file, Path):
        return file.stat().st_size
    with sentences(file):
        system = file.system
        system.invalidate_cache()
        return int(system.info(file.address)["size"])


def file_system(source: str) -> Any:
    """The fsspec file system that reads a URL.

    Raises:
        RemoteError: when its package is missing, or it cannot be used.
    """
    protocol = source.split("://", 1)[0].lower()
    try:
        return fsspec.url_to_fs(source)[0]
    except ImportError:
        package = _INSTALL.get(protocol)
        mend = f"run: pip install {package}" if package else f"install the fsspec package for {protocol}"
        raise RemoteError(f"{shown(source)} needs a package that is not installed; {mend}.") from None
    except Exception as error:
        if isinstance(error, ValueError) and "rotocol not known" in str(error):
            raise RemoteError(f"{shown(source)} begins with {protocol}://, which fsspec does not know.") from None
        raise RemoteError(f"{shown(source)} cannot be read: {reason(error, source)}.") from None


@contextmanager
def sentences(remote: Remote, done: str = "read") -> Iterator[None]:
    """Turn what a store's package says when it fails into a sentence that names the place.

    Args:
        remote: the place.
        done: what was to be done to it.
    """
    try:
        yield
    except ItemError:
        raise
    except Exception as error:
        kind = MissingError if isinstance(error, FileNotFoundError) and _is_missing(error) else RemoteError
        raise kind(f"{remote} cannot be {done}: {reason(error, remote.url)}.") from None


def reason(error: BaseException, source: str = "") -> str:
    """The first line of what an error says, without what the URL `source` must not show."""
    if isinstance(error, FileNotFoundError):
        if _is_missing(error):
            return "there is no such file or folder"
        error = error.__cause__ or error  # fsspec says so of any server that does not answer well
    if hasattr(error, "status") and hasattr(error, "message"):
        return f"the server answers {error.status} {error.message}"
    text = getattr(error, "strerror", None) or str(error)
    first = (text.strip().splitlines() or [type(error).__name__])[0].rstrip(". ")
    first = _BOTO.sub("", first)
    if is_url(source):
        for hidden in filter(None, (source.partition("?")[2], *CREDENTIALS.findall(source))):
            first = first.replace(hidden, "")
        first = CREDENTIALS.sub("", first)
    return _mended(error, first or type(error).__name__)


def _is_missing(error: BaseException) -> bool:
    """Whether it is the file that is missing, rather than its bucket, or a good answer."""
    cause = error.__cause__
    if cause is None or isinstance(cause, KeyError):  # of `memory://`
        return True
    response = getattr(cause, "response", None)
    if isinstance(response, dict):  # botocore's
        return response.get("Error", {}).get("Code") in {"404", "NoSuchKey"}
    return 404 in {getattr(cause, "status", None), getattr(response, "status_code", None)}


def _mended(error: BaseException, said: str) -> str:
    """What an error says, and what to do about it: of those that stand for a wrong setting."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"NoCredentialsError", "PartialCredentialsError"}:
        return "no credentials were found; put them into the environment, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if "EndpointConnectionError" in names:
        return f"nothing answers there ({said}); is the server up, and AWS_ENDPOINT_URL right"
    if isinstance(error, PermissionError):
        return f"the server refuses ({said}); check the credentials and their rights"
    return said
