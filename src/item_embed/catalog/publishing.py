"""A finished catalogue copied to an object store: the manifest last, so that a catalogue with one is whole."""

import hashlib
from pathlib import Path

from item_embed.catalog.feeds.places import file_system, reason, shown
from item_embed.errors import CatalogError
from item_embed.progress import OnProgress, silent

_MANIFEST = "manifest.json"
_COPIED_FIRST = {"rejected.parquet", "report.html", "rows"}  # all that a run which died while it copied may have left


def staging(url: str, cache: Path) -> Path:
    """The local folder in which a catalogue for a URL is made; the same for every run."""
    return cache / "outputs" / hashlib.sha256(url.encode()).hexdigest()[:16]


def check_free_url(url: str, overwrite: bool) -> None:
    """Refuse a URL where something else than a catalogue to be replaced stands.

    Raises:
        CatalogError: saying what is wrong with it.
        FeedError: when the URL's file system cannot be used.
    """
    fs, root = file_system(url), _root(url)
    try:
        found = (
            {name.rstrip("/").rsplit("/", 1)[-1] for name in fs.ls(root, detail=False)} if fs.exists(root) else set()
        )
    except Exception as error:
        raise CatalogError(f"{shown(url)} cannot be reached: {reason(error, url)}.") from None
    if found <= _COPIED_FIRST:
        return
    if not overwrite:
        raise CatalogError(f"{shown(url)} exists already; choose another name, or replace it with --overwrite.")
    if _MANIFEST not in found:
        raise CatalogError(f"{shown(url)} is not a catalogue, so --overwrite leaves it alone; choose another name.")


def publish(folder: Path, url: str, on_progress: OnProgress = silent) -> None:
    """Copy a catalogue's folder to a URL, where it replaces another one.

    Raises:
        CatalogError: when the copy cannot be made.
    """
    fs, root = file_system(url), _root(url)
    files = [folder / "rejected.parquet", folder / "report.html", *sorted((folder / "rows").iterdir())]
    try:
        if fs.exists(f"{root}/{_MANIFEST}"):
            fs.rm(f"{root}/{_MANIFEST}")  # until the new one is there, this is no catalogue
            fs.rm(root, recursive=True)
        fs.makedirs(root, exist_ok=True)
        for number, file in enumerate([*files, folder / _MANIFEST], start=1):
            place = f"{root}/{file.relative_to(folder).as_posix()}"
            fs.makedirs(place.rsplit("/", 1)[0], exist_ok=True)
            fs.put_file(str(file), place)
            on_progress(number, len(files) + 1)
    except Exception as error:
        raise CatalogError(
            f"{shown(url)} cannot be written: {reason(error, url)}; run the same command again."
        ) from None


def _root(url: str) -> str:
    root: str = file_system(url)._strip_protocol(url)
    return root.rstrip("/")
