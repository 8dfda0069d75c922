"""Downloaded photos on disk, one file for each address, as the server sent them.

Files are written aside and renamed, so a process that is killed leaves no half photo, and several processes may share a
folder. They are not synced: after a power cut a photo may have to be downloaded again.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

from item_embed.files import OutputError

_ASIDE = "partial"
_ABANDONED = 86400.0  # seconds after which a file aside belongs to no process any more


class PhotoCache:
    """A folder of downloaded photos.

    Args:
        folder: made with the first photo.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._aside = folder / _ASIDE
        self._numbers = count()
        self._made = False

    def path(self, digest: str) -> Path:
        """Where the photo of an address is kept, whether it is there or not.

        Args:
            digest: the SHA-256 of the address, in hexadecimal digits.
        """
        return self._folder / digest[:2] / digest

    def holds(self, path: Path) -> bool:
        """Whether the photo is there."""
        try:
            return path.stat().st_size > 0
        except OSError:
            return False

    @contextmanager
    def writing(self, path: Path) -> Iterator[BinaryIO]:
        """A file that becomes the photo when the block ends without an error.

        Raises:
            OutputError: when the file system refuses. It concerns the whole run, not one photo.
        """
        aside = self._aside / f"{os.getpid()}-{threading.get_ident()}-{next(self._numbers)}"
        with self._sentences():
            self._make()
            try:
                with aside.open("xb") as file:
                    yield file
                try:
                    aside.replace(path)
                except FileNotFoundError:
                    path.parent.mkdir(exist_ok=True)
                    aside.replace(path)
            except BaseException:
                aside.unlink(missing_ok=True)
                raise

    def _make(self) -> None:
        """Make the folder, and remove what processes that were killed long ago left behind."""
        if self._made:
            return
        self._aside.mkdir(parents=True, exist_ok=True)
        self._made = True
        for file in self._aside.iterdir():
            with suppress(OSError):  # another process may do the same
                if time.time() - file.stat().st_mtime > _ABANDONED:
                    file.unlink()

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = error.strerror or error
            raise OutputError(
                f"{self._folder} cannot be written: {why}; make room there, or name another folder with --cache."
            ) from error
