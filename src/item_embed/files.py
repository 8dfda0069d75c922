"""Files and folders that are whole or not there: written aside under a hidden name, synced, then renamed.

A single file may also go to an object store, which has other ways to the same end: see `remote.writing`.
"""

import errno
import fcntl
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from item_embed.errors import ItemError
from item_embed.hashing import text_hash
from item_embed.remote.urls import url_in

if TYPE_CHECKING:  # what brings fsspec waits for a URL
    from item_embed.remote.places import Remote

# Hidden, and with our own suffix: what a killed process left is recognised and replaced, nothing of the user's is.
_ASIDE = ".item-partial"
_REPLACED = ".item-replaced"
_LOCK = ".item-lock"
_WHOLE = "whole"
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}
_STORAGE_FAILS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


class OutputError(ItemError):
    """An output cannot be written: the place exists, or the file system refuses."""


def check_output(path: "str | Path | Remote", option: str = "--out") -> None:
    """Refuse an output before hours of work rather than after: it exists, or its folder cannot be made or written to.

    Args:
        path: the file or folder to be written, of a `Remote` a file; an empty folder counts as free.
        option: how the user named it.

    Raises:
        OutputError: saying which, and the mend.
        RemoteError: the same of a `Remote`.
    """
    if not isinstance(path, str | Path):
        from item_embed.remote.writing import check_free

        check_free(path)
        return
    with locked(path) as real:
        _refuse_taken(real, f"{option} {path}")


@contextmanager
def locked(path: str | Path) -> Iterator[Path]:
    """Keep other processes from writing a file or folder; first, clear up what ones that died have left there.

    The lock ends with this process, however it ends. File systems without locks do without.

    Yields:
        The place that the path means, links followed.

    Raises:
        OutputError: when another process holds it, or its folder cannot be made or written to.
    """
    with _sentences(path) as real:
        _make_parent(real)
        lock = _beside(real, _LOCK)
        descriptor = _lock(lock, path)
        try:
            _recover(real)
            yield real
        finally:
            lock.unlink(missing_ok=True)
            os.close(descriptor)


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Write a file aside and rename it when it is whole; a file of that name is replaced.

    Raises:
        OutputError: when another process writes it, or the file system refuses.

    Examples:
        >>> with whole_file("answer.txt") as aside:  # doctest: +SKIP
        ...     aside.write_text("42")
    """
    with locked(path) as real:
        if real.exists() and not real.is_file():
            raise OutputError(f"{path} exists already and is not a file; choose another name.")
        aside = _beside(real, _ASIDE)
        _remove(aside)
        try:
            yield aside
            _open_to_others(aside)
            _sync(aside)
            aside.replace(real)
            _sync(real.parent)
        finally:
            _remove(aside)


@contextmanager
def whole_bytes(path: "Path | Remote") -> Iterator[io.RawIOBase | io.BufferedIOBase]:
    """The same of a file that may lie in an object store, opened to be written from its beginning to its end.

    Raises:
        OutputError: when another process writes it, or the file system refuses.
        RemoteError: when the store does not take it.

    Examples:
        >>> with whole_bytes(place("s3://bucket/answer.txt")) as file:  # doctest: +SKIP
        ...     file.write(b"42")
    """
    if isinstance(path, Path):
        with whole_file(path) as aside, aside.open("wb") as file:
            yield file
        return
    from item_embed.remote.writing import sent

    with sent(path) as sending:
        yield sending


@contextmanager
def whole_folder(path: str | Path, *, replace: bool = False, sync: bool = True) -> Iterator[Path]:
    """Fill a folder aside and rename it when it is whole.

    Args:
        path: the folder to make.
        replace: whether a folder of that name may be replaced; it stays until the new one is whole.
        sync: whether the files must be on the disk before the folder appears; it takes a while where there are
            thousands.

    Raises:
        OutputError: when the folder exists and may not be replaced, another process writes it, or the file system
            refuses.

    Examples:
        >>> with whole_folder("answers") as aside:  # doctest: +SKIP
        ...     (aside / "answer.txt").write_text("42")
    """
    with locked(path) as real:
        _refuse(real, path, replace)
        aside = _beside(real, _ASIDE)
        _remove(aside)
        aside.mkdir()
        try:
            yield aside
            _put_in_place(aside, real, replace, sync)
        finally:
            _remove(aside)
            _recover(real)


@dataclass(frozen=True)
class InProgress:
    """Where a folder is made: `whole` becomes it, `scratch` holds what a run that ends early leaves to the next."""

    whole: Path
    scratch: Path


@contextmanager
def resumable_folder(path: str | Path, job: str, *, replace: bool = False) -> Iterator[InProgress]:
    """Fill a folder aside and rename it when it is whole; what a run leaves that ends early, the next one finds.

    To be used while the path is `locked`.

    Args:
        path: the folder to make.
        job: what is being made: a later run with an equal one finds the work as it was left, others an empty one.
        replace: whether a folder of that name may be replaced; it stays until the new one is whole.

    Raises:
        OutputError: when the folder exists and may not be replaced, or the file system refuses.

    Examples:
        >>> with locked("answers"), resumable_folder("answers", "answers to 42 questions") as place:  # doctest: +SKIP
        ...     for question in range(len(list(place.whole.iterdir())), 42):
        ...         (place.whole / f"{question}.txt").write_text("42")
    """
    with _sentences(path) as real:
        _refuse(real, path, replace)
        aside = _beside(real, _ASIDE)
        # Named by the job, so that nothing of another one, removed or not, can pass for this one's.
        place = aside / f"{text_hash(job):016x}"
        for other in aside.iterdir() if aside.is_dir() else ():
            if other != place:
                _remove(other)
        work = InProgress(place / _WHOLE, place / "scratch")
        for folder in (work.whole, work.scratch):
            folder.mkdir(parents=True, exist_ok=True)
        yield work
        _put_in_place(work.whole, real, replace)
        _remove(aside)


def discard_partial(path: str | Path) -> None:
    """Remove what a `resumable_folder` that cannot succeed has left."""
    _remove(_beside(Path(os.path.realpath(path)), _ASIDE))


def _refuse(real: Path, shown: str | Path, replace: bool) -> None:
    """Refuse a place where no folder can be made."""
    if not replace:
        _refuse_taken(real, f"--out {shown}")
    elif real.exists() and not real.is_dir():
        raise OutputError(f"{shown} exists already and is not a folder; choose another name.")
    _refuse_pinned(real, str(shown))


def _refuse_taken(real: Path, shown: str) -> None:
    if _taken(real):
        raise OutputError(f"{shown} exists already; choose another name, or remove it first.")
    _refuse_pinned(real, shown)


def _lock(lock: Path, shown: str | Path) -> int:
    """Open and lock a file that its holders remove again."""
    while True:
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if lock.exists() and os.path.samestat(os.fstat(descriptor), lock.stat()):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise OutputError(f"{shown} is being written by another process; wait for it, or stop it.") from None
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return descriptor
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder removed it between our opening and locking it


def _put_in_place(aside: Path, real: Path, replace: bool, sync: bool = True) -> None:
    _open_to_others(aside)
    for file in (*aside.rglob("*"), aside) if sync else ():
        _sync(file)
    if replace and _taken(real):
        real.rename(_beside(real, _REPLACED))
    aside.rename(real)
    _sync(real.parent)
    _recover(real)


def _open_to_others(path: Path) -> None:
    """Give a file, or those of a folder, the mode of any new file: safetensors leaves them to their owner alone."""
    written = [path] if path.is_file() else [*path.rglob("*.safetensors")]
    if not written:
        return
    probe = _beside(path, ".item-mode")
    probe.touch()
    mode = probe.stat().st_mode
    probe.unlink()
    for file in written:
        file.chmod(mode)


def _recover(path: Path) -> None:
    """Put back what a process that died between two renames had moved away; drop it if the new one is in place.

    Drop what is left, too, of one that died when its work was in place: there the folder that was renamed is missing.
    """
    old, aside = _beside(path, _REPLACED), _beside(path, _ASIDE)
    if old.is_dir():
        if _taken(path):
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(path)
    if aside.is_dir() and _taken(path):
        for place in aside.glob("[0-9a-f]" * 16):
            if not (place / _WHOLE).exists():
                _remove(place)
        with suppress(OSError):  # another job's work is in it
            aside.rmdir()


def _taken(path: Path) -> bool:
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


def _refuse_pinned(path: Path, shown: str) -> None:
    """Refuse a folder that no other can take the place of, or only behind the user's back."""
    if path.exists() and (path.samefile(".") or path.is_mount()):
        what = "a mount point" if path.is_mount() else "the folder you are in"
        raise OutputError(f"{shown} is {what} and cannot be replaced; name a folder inside it.")


def _make_parent(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:  # said of a file where the folder should be
        raise _error(errno.ENOTDIR, path.parent) from None
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise _error(errno.EACCES, path.parent)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f".{path.name}{suffix}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _sentences(path: str | Path) -> Iterator[Path]:
    """Give the place that a path means, and turn what the file system says about that place into a sentence."""
    if url := url_in(path):
        raise OutputError(f"{url} is a URL, and this is written to a local disk only; name a place there.")
    try:
        real = Path(os.path.realpath(path))  # a new file goes where a link points, not in the link's place
    except FileNotFoundError:
        raise OutputError(f"{path} cannot be written: the folder you are in is gone; change to another one.") from None
    if not real.name:
        raise OutputError(f"{path} is the root of the file system; choose another name.")
    try:
        yield real
    except OSError as error:
        if not _concerns(error, real):
            raise
        raise OutputError(f"{path} cannot be written: {error.strerror or error}.") from error


def _concerns(error: OSError, path: Path) -> bool:
    """Whether an error is about the output, rather than about something that was read to fill it."""
    if not isinstance(error.filename, str | Path):
        return error.errno in _STORAGE_FAILS
    named, aside = Path(error.filename), _beside(path, _ASIDE)
    ours = {_beside(path, _REPLACED), _beside(path, _LOCK)}
    return named in {path, *path.parents, *ours} or named.is_relative_to(aside)


def _error(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), str(path))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():  # some network file systems cannot sync folders; there the rename has to be enough
            raise
    finally:
        os.close(descriptor)
