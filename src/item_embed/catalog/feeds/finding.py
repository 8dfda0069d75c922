"""Finding the files of a feed: a file, a glob or a folder, local or by URL, and what to say where there is none."""

import difflib
import glob
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from item_embed.catalog.feeds.places import (
    FeedFile,
    file_system,
    local_file,
    named_errors,
    open_bytes,
    remote_file,
)
from item_embed.catalog.schema import REJECTED_SCHEMA
from item_embed.errors import FeedError
from item_embed.remote.places import reason
from item_embed.remote.urls import is_url, local_path, shown

TEXT = (".csv", ".tsv", ".jsonl", ".ndjson")
PARQUET = (".parquet", ".pq")
PACKED = (".gz", ".bz2", ".xz", ".zst")
_NAMES = (
    "the name of a feed ends in .csv, .tsv, .jsonl, .ndjson, .parquet or .pq, "
    "and a text feed may be packed (.csv.gz, .bz2, .xz, .zst)"
)
_WORKBOOKS = (".xlsx", ".xlsm", ".xls", ".ods", ".xlsb")
_EXPORT = "open it and save each sheet as CSV UTF-8"


def kind(name: str) -> str | None:
    """What a file is by its name, or None where it is no feed.

    Examples:
        >>> kind("Feed.CSV.gz"), kind("feed.parquet"), kind("feed.parquet.gz")
        ('.csv', '.parquet', None)
    """
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes[-2:]]
    if not suffixes:
        return None
    if suffixes[-1] in PACKED:
        return suffixes[0] if len(suffixes) == 2 and suffixes[0] in TEXT else None
    return suffixes[-1] if suffixes[-1] in TEXT + PARQUET else None


def find_files(source: str) -> list[FeedFile]:
    """The files of a feed, sorted by path.

    Raises:
        FeedError: when there is none, with what may have been meant.
    """
    source = local_path(source)
    return _find_remote(source) if is_url(source) else _find_local(source)


def _find_local(source: str) -> list[FeedFile]:
    path = Path(source)
    with named_errors(source):
        if path.is_file():
            _check_name(source, path.name)
            return [local_file(path)]
        if path.is_dir():
            names = sorted(entry.name for entry in path.iterdir())
            _refuse_catalog(source, names)
            feeds = [path / name for name in _of_folder(names)]
            missing = _nothing_in(source, names)
        else:
            feeds = sorted(Path(match) for match in glob.glob(source, recursive=True))  # noqa: PTH207  (may be absolute)
            missing = _no_match(source) if _is_pattern(source) else _no_file(source, path)
        found = (local_file(file) for file in feeds if kind(file.name) and file.is_file())
        return _or_refuse(found, missing)


def _find_remote(source: str) -> list[FeedFile]:
    fs = file_system(source)
    try:
        fs.invalidate_cache()  # what was listed earlier in this process may have changed
        address = fs._strip_protocol(source)
        if _is_pattern(address, url=True):
            found, missing = fs.glob(address, detail=True), _no_match(shown(source))
        elif not source.endswith("/") and kind(_last(address)) and (about := fs.info(address))["type"] == "file":
            found, missing = {address: about}, ""
        else:
            found, missing = _in_remote_folder(fs, source, address)
        files = sorted(name for name, about in found.items() if about["type"] == "file" and kind(_last(name)))
        feeds = [remote_file(source, name, found[name]) for name in files]
    except FeedError:
        raise
    except Exception as error:  # each file system has exceptions of its own
        raise FeedError(f"{shown(source)} cannot be read: {reason(error, source)}.") from None
    return _or_refuse(feeds, missing)


def _in_remote_folder(fs: Any, source: str, address: str) -> tuple[dict[str, Any], str]:
    """The feeds in a folder by address, and what to say where there are none."""
    if address.lower().startswith("http") and not source.endswith("/"):  # to list what is no folder would download it
        _check_name(shown(source), _last(address))
    listed = {str(about["name"]): about for about in fs.ls(address, detail=True)}
    if listed.keys() == {address}:
        _check_name(shown(source), _last(address))
    names = [_last(name) for name, about in listed.items() if about["type"] == "file"]
    _refuse_catalog(shown(source), names)
    feeds = set(_of_folder(names))
    return {name: about for name, about in listed.items() if _last(name) in feeds}, _nothing_in(shown(source), names)


def _or_refuse(found: Iterable[FeedFile], missing: str) -> list[FeedFile]:
    feeds = [file for file in found if not _is_rejected_file(file)]
    if not feeds:
        raise FeedError(missing)
    return feeds


def _is_rejected_file(file: FeedFile) -> bool:
    """Whether a file is the list of rows that an earlier run set aside."""
    if not file.name.endswith("rejected.parquet"):
        return False
    try:
        with open_bytes(file) as opened:
            return bool(pq.read_schema(opened).equals(REJECTED_SCHEMA))
    except (OSError, pa.ArrowException):
        return False


def _is_pattern(path: str, url: bool = False) -> bool:
    return any(mark in path for mark in ("*" if url else "*?["))  # in a URL, ? and [ have other uses


def _last(address: str) -> str:
    return address.split("?", 1)[0].rsplit("/", 1)[-1]


def _of_folder(names: Iterable[str]) -> list[str]:
    """The feeds in a folder; Spark and others begin the names of what is no data with "_" or "."."""
    return [name for name in names if kind(name) and not name.startswith((".", "_"))]


def _refuse_catalog(source: str, names: Iterable[str]) -> None:
    if {"manifest.json", "rejected.parquet"} <= set(names):
        raise FeedError(f"{source} is a prepared catalogue already; give the feed that it was made from.")


def _check_name(source: str, name: str) -> None:
    if kind(name):
        return
    if name.lower().endswith(_WORKBOOKS):
        raise FeedError(f"{source} is not a feed but a workbook: {_EXPORT}.")
    raise FeedError(f"{source} is not a feed: {_NAMES}.")


def _nothing_in(source: str, names: Iterable[str]) -> str:
    books = [name for name in names if name.lower().endswith(_WORKBOOKS) and not name.startswith((".", "~"))]
    if books:
        return f"the folder {source} holds no feed, but a workbook, {books[0]}: {_EXPORT}."
    return f"the folder {source} holds no feed directly: {_NAMES}."


def _no_match(source: str) -> str:
    return f"{source} matches no feed: {_NAMES}."


def _no_file(source: str, path: Path) -> str:
    """With the name that may have been meant, where the folder has a similar one."""
    try:
        names = [entry.name for entry in os.scandir(path.parent) if kind(entry.name) or entry.is_dir()]
    except OSError:
        names = []
    lowered = {name.lower(): name for name in sorted(names)}
    near = difflib.get_close_matches(path.name.lower(), lowered, n=1, cutoff=0.7)
    return f"there is no file {source}{f'; did you mean {path.parent / lowered[near[0]]}?' if near else '.'}"
