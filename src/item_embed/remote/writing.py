"""Files of object stores that are whole or not there: sent in parts, they appear when all of them are told to be."""

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from item_embed.errors import RemoteError
from item_embed.remote.places import MissingError, Remote, sentences

_TRIED = ".item-partial"


def check_free(remote: Remote) -> None:
    """Make sure that a file is not there and can be written, before hours of work.

    Raises:
        RemoteError: when it exists, or the store does not let us.
    """
    if remote.exists("written"):
        raise RemoteError(f"{remote} exists already; choose another name, or remove it first.")
    tried = remote.parent / f".{remote.name}{_TRIED}"
    with sentences(remote, "written"):
        tried.system.pipe_file(tried.address, b"")
        tried.system.rm_file(tried.address)


@contextmanager
def sent(remote: Remote) -> Iterator[io.RawIOBase]:
    """A file of a store, to be written from its beginning to its end; a file of that name is replaced.

    It appears when all of it was sent. Where that ends early the store forgets what it was sent; one that a killed
    process left unfinished is not seen, and the store's own rules for unfinished uploads clear it up.

    Raises:
        RemoteError: when the store does not take it.

    Examples:
        >>> with sent(Remote("s3://bucket/answer.txt")) as file:  # doctest: +SKIP
        ...     file.write(b"42")
    """
    with sentences(remote, "written"):
        file = remote.system.open(remote.address, "wb", autocommit=False)
    try:
        yield _Sending(file, remote)
        with sentences(remote, "written"):
            file.close()
            file.commit()
    except BaseException:
        for forget in (file.close, file.discard):
            with suppress(Exception):
                forget()
        raise


def names_in(folder: Remote) -> set[str]:
    """The names of what lies in a folder now; none where there is no such folder.

    Raises:
        RemoteError: when it cannot be found out.
    """
    try:
        with sentences(folder):
            system = folder.system
            system.invalidate_cache()
            return {str(name).rstrip("/").rsplit("/", 1)[-1] for name in system.ls(folder.address, detail=False)}
    except MissingError:
        return set()


def remove(remote: Remote) -> None:
    """Remove a file, if it is there.

    Raises:
        RemoteError: when it cannot be removed.
    """
    with suppress(MissingError), sentences(remote, "removed"):
        remote.system.invalidate_cache()
        remote.system.rm_file(remote.address)  # rm would take `[`, `*` and `?` in a name for a pattern


class _Sending(io.RawIOBase):
    """The file as its store's package gives it; what goes wrong is told in a sentence."""

    def __init__(self, file: Any, remote: Remote) -> None:
        self._file = file
        self._remote = remote

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        with sentences(self._remote, "written"):
            return int(self._file.write(data))
