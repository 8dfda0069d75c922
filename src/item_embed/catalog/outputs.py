"""Where a catalogue goes: a local folder, or an object store by way of one; what may be replaced there."""

import os
import re
import shutil
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from item_embed.catalog.feeds.places import file_system
from item_embed.catalog.schema import Manifest, printable
from item_embed.errors import CatalogError
from item_embed.progress import OnProgress, Stages, silent
from item_embed.remote.places import reason
from item_embed.remote.urls import is_url, local_path, shown

_MANIFEST = "manifest.json"
_WRITTEN = {_MANIFEST, "rejected.parquet", "report.html", "rows"}
_MARK = ".item-partial"  # stands where a copy is being made, or one broke off
_ROWS = re.compile(r"part-\d+\.parquet")


class Output:
    """The place of a catalogue.

    Args:
        out: a path, or an fsspec URL.
        cache: where a catalogue that goes to a URL is made first.

    Attributes:
        name: the place, as people may see it.
        remote: whether it is a URL.
        local: the folder in which the catalogue is made.
    """

    def __init__(self, out: str, cache: Path) -> None:
        out = local_path(out)
        self.remote = is_url(out)
        self.name = shown(out)
        self.local = cache / "outputs" / sha256(out.encode()).hexdigest()[:16] if self.remote else Path(out)
        self._store = _Store(out) if self.remote else None

    @property
    def beside(self) -> Path:
        """What the list of rejected rows is named after where there is nothing else to write."""
        return Path(PurePosixPath(self.name).name) if self.remote else self.local

    def check_free(self, option: str | None) -> None:
        """Refuse a place where something else than a catalogue to be replaced stands, or where none can be written.

        Args:
            option: by which the user lets a catalogue be replaced, or None.

        Raises:
            CatalogError: saying what is wrong with it.
            FeedError: when a URL's file system cannot be used.
        """
        if self._store is None:
            _check_free_folder(self.local, option)
        else:
            self._store.check_free(option)

    def publish(self, folder: Path, stage: Stages) -> None:
        """Copy the finished folder to the URL, if there is one.

        Raises:
            CatalogError: when it cannot be written.
        """
        if self._store is not None:
            with stage("copying the catalogue") as on_progress:
                self._store.publish(folder, on_progress)

    def clear(self) -> None:
        """Remove the local folder of a catalogue that went to a URL."""
        if self.remote:
            shutil.rmtree(self.local, ignore_errors=True)


def _check_free_folder(out: Path, option: str | None) -> None:
    real = Path(os.path.realpath(out))
    if printable(str(real)) != str(real):
        raise CatalogError(f"{printable(str(out))} has a name that is not UTF-8 in its path; choose another.")
    if not real.exists() or (real.is_dir() and not any(real.iterdir())):
        return
    if option is None:
        raise CatalogError(f"{out} exists already; choose another name, or replace it with --overwrite.")
    names = {entry.name for entry in real.iterdir()} if real.is_dir() else set()
    if not names or not names <= _WRITTEN or not (real / _MANIFEST).is_file():
        raise CatalogError(f"{out} is not a catalogue, so {option} leaves it alone; choose another name.")


class _Store:
    """A folder of an object store.

    Nothing there can be renamed, so a reader may meet a copy under way: it has no manifest.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._fs: Any = file_system(url)
        self._root = str(self._fs._strip_protocol(url)).rstrip("/")
        if "/" not in self._root.strip("/") and not self._root.startswith("/"):
            raise CatalogError(f"{shown(url)} names no folder; give one, as {shown(url).rstrip('/')}/catalog.")

    def check_free(self, option: str | None) -> None:
        try:
            found = self._names()
            stands = found - {_MARK}
            catalogue = stands <= _WRITTEN and (_MARK in found or self._is_manifest())
            if not stands or (catalogue and (option is not None or _MARK in found)):
                self._fs.pipe_file(f"{self._root}/{_MARK}", b"")  # may we write here, before hours of work?
                if _MARK not in found:
                    self._fs.rm_file(f"{self._root}/{_MARK}")
                return
        except Exception as error:
            why = reason(error, self._url)
            raise CatalogError(f"{shown(self._url)} cannot be written to: {why}; check its name and rights.") from None
        if option is None:
            raise CatalogError(
                f"{shown(self._url)} exists already; choose another name, or replace it with --overwrite."
            )
        raise CatalogError(f"{shown(self._url)} is not a catalogue, so {option} leaves it alone; choose another name.")

    def publish(self, folder: Path, on_progress: OnProgress = silent) -> None:
        rows = sorted((folder / "rows").iterdir())
        files = [folder / "rejected.parquet", folder / "report.html", *rows, folder / _MANIFEST]
        try:
            self._fs.pipe_file(f"{self._root}/{_MARK}", b"")
            if _MANIFEST in self._names():
                self._fs.rm_file(f"{self._root}/{_MANIFEST}")  # until the new one is there, this is no catalogue
            for name in self._names("/rows") - {file.name for file in rows}:
                if _ROWS.fullmatch(name):
                    self._fs.rm_file(f"{self._root}/rows/{name}")
            for number, file in enumerate(files, start=1):
                place = f"{self._root}/{file.relative_to(folder).as_posix()}"
                self._fs.makedirs(place.rsplit("/", 1)[0], exist_ok=True)
                self._fs.put_file(str(file), place)
                on_progress(number, len(files))
            self._fs.rm_file(f"{self._root}/{_MARK}")
        except Exception as error:
            why = reason(error, self._url)
            raise CatalogError(f"{shown(self._url)} cannot be written: {why}; the same command goes on here.") from None

    def _names(self, below: str = "") -> set[str]:
        folder = self._root + below
        if not self._fs.exists(folder):
            return set()
        return {str(name).rstrip("/").rsplit("/", 1)[-1] for name in self._fs.ls(folder, detail=False, refresh=True)}

    def _is_manifest(self) -> bool:
        place = f"{self._root}/{_MANIFEST}"
        if not self._fs.exists(place):
            return False
        try:
            Manifest.model_validate_json(self._fs.cat_file(place))
        except ValueError:
            return False
        return True
