"""`prepare`: from a feed to a checked catalogue on disk."""

import datetime
import logging
import os
import warnings
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field, fields
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image

from item_embed.catalog.feeds.columns import Columns, choose_columns
from item_embed.catalog.feeds.feed import Feed, open_feed
from item_embed.catalog.feeds.records import Record
from item_embed.catalog.grouping import group_rows, split_groups
from item_embed.catalog.photos.finding import PhotoFolders
from item_embed.catalog.photos.images import Photo
from item_embed.catalog.rows import Keys, Row, check_row, rejected_content
from item_embed.catalog.schema import SPLITS, Counts, Manifest, is_rejected_file
from item_embed.catalog.writing import CatalogWriter, add_splits, check_free, fingerprint
from item_embed.errors import CatalogError, FeedError
from item_embed.files import whole_folder
from item_embed.progress import OnProgress, silent

_WORKERS = 2  # Pillow decodes outside Python's lock
_AHEAD = 64  # rows whose photos may be in work at once


def prepare(
    source: str | Path,
    out: str | Path,
    *,
    columns: Mapping[str, str | None] | None = None,
    group_column: str | None = None,
    images: str | Path | None = None,
    allow_outside: bool = False,
    seed: int = 0,
    overwrite: bool = False,
    command: str = "",
    on_progress: OnProgress = silent,
) -> Manifest:
    """Check every row of a feed and write a catalogue.

    Each row is kept, kept with named repairs, or set aside in `OUT/rejected.parquet` with its number and the
    reason. When no row can be kept, no catalogue is written, and `OUT.rejected.parquet` lists the rows.

    Args:
        source: a CSV, TSV, JSONL or Parquet file, a glob pattern, or a folder of such files.
        out: the catalogue's folder; written aside and renamed when complete.
        columns: role (`id`, `title`, `image`, `category`, `product_id`) -> the feed's column; a role that is
            left out, or None, is guessed.
        group_column: rows with equal values in it are never parted by the splits.
        images: a folder in which image paths are looked up before the feed's own.
        allow_outside: also read images outside these folders, and absolute paths.
        seed: of the splits.
        overwrite: replace a catalogue that exists.
        command: noted in the manifest.
        on_progress: told the rows counted, without a total, then the rows checked and their total.

    Returns:
        The manifest, as written to `OUT/manifest.json`.

    Raises:
        FeedError: when the feed cannot be read, lacks a column, or none of its rows can be kept.
        CatalogError: when `out` exists and must not be replaced.
        OutputError: when it cannot be written.

    Example:
        >>> prepare("feed.csv", "catalog").counts  # doctest: +SKIP
        Counts(input=1000, kept=950, repaired=40, set_aside=10)
    """
    out = Path(out)
    check_free(out, overwrite)
    feed = open_feed(source, on_progress)
    roles = choose_columns(feed.columns, {**(columns or {}), "group": group_column})
    if overwrite and any(file.resolve().is_relative_to(out.resolve()) for file in feed.files):
        raise CatalogError(f"the feed {source} lies inside {out}, which --overwrite would delete; choose another name.")
    folders = _photo_folders(feed, images, allow_outside)
    with whole_folder(out, replace=overwrite) as folder:
        tally = _spool(feed, roles, folders, folder, on_progress)
        if not tally.contents:
            raise _nothing_kept(source, out, folder, tally)
        ids = list(tally.contents)
        groups = group_rows(ids, *(np.asarray(keys, np.int64) for keys in tally.keys))
        splits = split_groups(ids, groups, seed)
        files = add_splits(folder, groups, splits)
        manifest = Manifest(
            command=command,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            sources=[str(file) for file in feed.files],
            columns=roles.by_role(),
            seed=seed,
            counts=tally.counts,
            splits={split: int((splits == split).sum()) for split in SPLITS},
            reasons=dict(sorted(tally.reasons.items(), key=lambda item: (-item[1], item[0]))),
            files=files,
            fingerprint=fingerprint(files),
        )
        (folder / "manifest.json").write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf8")
    return manifest


@dataclass
class _Tally:
    """What is remembered of the rows: what grouping and the counts need, and no photo."""

    contents: dict[str, int] = field(default_factory=dict)  # id of a kept row -> hash of its content
    keys: "tuple[array[int], ...]" = field(default_factory=lambda: tuple(array("q") for _ in fields(Keys)))
    reasons: Counter[str] = field(default_factory=Counter)
    read: int = 0
    repaired: int = 0

    def add(self, checked: Row | str) -> str | None:
        """Count a row; the reason why it is set aside, or None where it is kept."""
        self.read += 1
        reason = checked if isinstance(checked, str) else self._duplicate(checked)
        if isinstance(checked, str) or reason is not None:
            self.reasons[str(reason)] += 1
            return reason
        self.contents[checked.id] = checked.content
        for keys, key in zip(self.keys, astuple(checked.keys), strict=True):
            keys.append(key)
        self.reasons.update(set(checked.repairs))
        self.repaired += bool(checked.repairs)
        return None

    def _duplicate(self, row: Row) -> str | None:
        if row.id not in self.contents:
            return None
        return f"duplicate id, {'same' if self.contents[row.id] == row.content else 'different'} content"

    @property
    def counts(self) -> Counts:
        kept = len(self.contents)
        return Counts(input=self.read, kept=kept - self.repaired, repaired=self.repaired, set_aside=self.read - kept)


def _spool(
    feed: Feed, roles: Columns, folders: Mapping[Path, PhotoFolders], folder: Path, on_progress: OnProgress
) -> _Tally:
    """Check all rows and write them to the catalogue's folder, still without groups and splits."""
    tally = _Tally()
    with CatalogWriter(folder) as writer, _quiet_pillow():
        for number, path, record, checked in _checked(feed, roles, folders):
            reason = tally.add(checked)
            if isinstance(checked, Row) and reason is None:
                writer.keep(checked)
            else:
                writer.set_aside(number, feed.name(path), str(reason), rejected_content(record))
            if number % _AHEAD == 0:
                on_progress(number, feed.size)
    on_progress(tally.read, feed.size)
    return tally


def _checked(
    feed: Feed, roles: Columns, folders: Mapping[Path, PhotoFolders]
) -> Iterator[tuple[int, Path, Record, Row | str]]:
    """Check rows in order, while workers prepare the photos of the next ones."""
    waiting: deque[tuple[int, Path, Record, Future[tuple[Photo | None, list[str]]]]] = deque()

    def first() -> tuple[int, Path, Record, Row | str]:
        number, path, record, fetched = waiting.popleft()
        return number, path, record, check_row(number, record, roles, *fetched.result())

    with ThreadPoolExecutor(_WORKERS) as workers:
        try:
            for number, path, record in feed.rows():
                value = record.values.get(roles.image or "") if record.problem is None else None
                waiting.append((number, path, record, workers.submit(folders[path].fetch, value)))
                if len(waiting) == _AHEAD:
                    yield first()
            while waiting:
                yield first()
        finally:
            workers.shutdown(cancel_futures=True)


def _photo_folders(feed: Feed, images: str | Path | None, allow_outside: bool) -> dict[Path, PhotoFolders]:
    """Where the photos of each feed file are looked up."""
    if images is not None and not Path(images).is_dir():
        raise FeedError(f"there is no folder {images} to look up images in; correct --images.")
    named = () if images is None else (Path(images),)
    return {file: PhotoFolders((*named, file.parent), allow_outside) for file in feed.files}


def _nothing_kept(source: str | Path, out: Path, folder: Path, tally: _Tally) -> FeedError:
    beside = _free_name(out)
    (folder / "rejected.parquet").replace(beside)
    reasons = "; ".join(f"{reason}: {rows:,}" for reason, rows in tally.reasons.most_common(3))
    rows = f"none of the {tally.read:,} rows" if tally.read > 1 else "the only row"
    return FeedError(
        f"{rows} of {source} can{'not' if tally.read == 1 else ''} be kept ({reasons}); {beside} lists them all."
    )


def _free_name(out: Path) -> Path:
    """Where the list of rejected rows can stand beside `out` without replacing anything but an earlier one."""
    numbered = (f"{out.name}{f'-{number}' if number else ''}.rejected.parquet" for number in count())
    paths = (out.with_name(name) for name in numbered)
    return next(path for path in paths if not os.path.lexists(path) or is_rejected_file(path))


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Keep Pillow's remarks about odd files off the user's screen, and make an oversized header an error."""
    logger = logging.getLogger("PIL")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        logger.setLevel(level)
