"""What workers do: a chunk of a feed's rows, photos and all, checked and written to the spool."""

import logging
import warnings
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from item_embed.catalog.feeds.columns import Columns
from item_embed.catalog.feeds.records import Record
from item_embed.catalog.photos.finding import PhotoFolders, Reference, refer
from item_embed.catalog.photos.images import Photo, PhotoError, prepare_photo
from item_embed.catalog.photos.reasons import NO_PHOTO, VANISHED, DownloadError
from item_embed.catalog.rows import Row, check_row, identity_of, keys_of, rejected_content, said
from item_embed.catalog.spool import Change, Spool, SpooledRow
from item_embed.catalog.store import Catalog
from item_embed.errors import CatalogError

_READERS = 8  # threads that read photos in each process
_AHEAD = 16  # photos that may be in memory before they are looked at


@dataclass(frozen=True)
class Job:
    """What all chunks of a run share.

    Attributes:
        columns: which column plays which role.
        folders: where the photos of each feed file lie.
        spool: the folder that takes the checked rows.
        previous: the catalogue whose rows stay where the feed says nothing new: its path, its fingerprint, and whether
            this version made it; or None.
    """

    columns: Columns
    folders: tuple[PhotoFolders, ...]
    spool: Path
    previous: tuple[Path, str, bool] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A row to be checked.

    Attributes:
        number: of the row in the feed, from 1.
        file: which feed file it is from, by place.
        name: that file's name.
        record: what the feed says.
        fetched: where a photo by URL was fetched to, or why it was not; None where the photo is no URL, or where the
            previous catalogue has it.
        previous: the row of the previous catalogue with this id, or -1.
        again: the previous row's photo failed and is tried again.
    """

    number: int
    file: int
    name: str
    record: Record
    fetched: Path | str | None = None
    previous: int = -1
    again: bool = False


def check_chunk(job: Job, chunk: tuple[int, Sequence[Asked]]) -> int:
    """Check the rows of a chunk and spool them under its number.

    Returns:
        How many rows there were.
    """
    number, rows = chunk
    before = _previous_rows(job, rows)
    with quiet_pillow(), closing(_found(job, rows)) as found:
        spooled = [_check(job, row, one, before.get(row.previous)) for row, one in zip(rows, found, strict=True)]
    Spool(job.spool).write(number, spooled)
    return len(rows)


def _found(job: Job, rows: Sequence[Asked]) -> Generator["_Found"]:
    """The photos of rows, in their order, some read ahead: a disk or a network answers many at a time."""
    waiting: deque[Future[_Found]] = deque()
    with ThreadPoolExecutor(_READERS) as readers:
        for row in rows:
            waiting.append(readers.submit(_find, job, row))
            if len(waiting) == _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def reference_of(record: Record, columns: Columns) -> Reference:
    """What a row's value in the image column stands for.

    Raises:
        PhotoError: when it stands for nothing, or the row has no values.
    """
    if record.problem is not None:
        raise PhotoError("absent")
    return refer(record.values.get(columns.image or ""))


@contextmanager
def quiet_pillow() -> Iterator[None]:
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


@dataclass(frozen=True, slots=True)
class _Found:
    """What a row's photo turned out to be.

    Attributes:
        told: what the feed says of it: bytes, a URL (whose photo counts as new when the URL is), or why there is none.
        data: its bytes, if there are any to be checked.
        cached: the file that they were fetched into.
    """

    told: bytes | str
    data: bytes | None
    repairs: tuple[str, ...]
    cached: Path | None = None


def _check(job: Job, asked: Asked, found: _Found, before: Mapping[str, Any] | None) -> SpooledRow:
    record, content = asked.record, rejected_content(asked.record)
    source = said(asked.number, record, job.columns, found.told)
    same = before is not None and job.previous is not None and job.previous[2] and before["source"] == source
    if before is not None and same and not asked.again and record.problem is None:
        group = record.values.get(job.columns.group or "")
        keys = keys_of(before["title"], before["product_id"], before["photo_pixels"], group)
        return SpooledRow(asked.number, asked.name, content, before, keys, Change.UNCHANGED)
    photo, repairs = _prepared(found)
    row = check_row(asked.number, record, job.columns, photo, repairs)
    if isinstance(row, str):
        return SpooledRow(asked.number, asked.name, content, reason=row)
    change = Change.NEW if before is None else Change.RETRIED if same else Change.CHANGED
    return SpooledRow(asked.number, asked.name, content, _stored(row, source), row.keys, change)


def _find(job: Job, asked: Asked) -> _Found:
    try:
        reference = reference_of(asked.record, job.columns)
        url = job.folders[asked.file].url_of(reference)
        if url is None:
            data = job.folders[asked.file].load(reference)
            return _Found(data, data, reference.repairs)
    except PhotoError as error:
        return _Found(str(error), None, (f"photo: {error}",))
    if isinstance(asked.fetched, Path):
        try:
            return _Found(url, asked.fetched.read_bytes(), reference.repairs, asked.fetched)
        except OSError:  # somebody emptied the cache
            return _Found(url, None, (*reference.repairs, f"photo: {DownloadError(VANISHED)}"))
    return _Found(url, None, (*reference.repairs, f"photo: {asked.fetched or DownloadError(VANISHED)}"))


def _prepared(found: _Found) -> tuple[Photo | None, tuple[str, ...]]:
    """The photo in the catalogue's form, and all that was repaired on the way or why there is none."""
    if found.data is None:
        return None, found.repairs
    try:
        photo = prepare_photo(found.data)
    except PhotoError as error:
        if found.cached is None:
            return None, (f"photo: {error}",)
        found.cached.unlink(missing_ok=True)  # what the server sends next time may be a photo
        return None, (f"photo: {DownloadError(NO_PHOTO)}",)
    return photo, (*found.repairs, *(f"photo: {repair}" for repair in photo.repairs))


def _stored(row: Row, source: int) -> dict[str, Any]:
    """A row by the columns of a catalogue, but for group and split."""
    photo = row.photo
    return {
        "id": row.id,
        "title": row.title,
        "image": photo.data if photo else None,
        "photo_width": photo.size[0] if photo else None,
        "photo_height": photo.size[1] if photo else None,
        "photo_pixels": photo.pixels if photo else None,
        "category": row.category,
        "product_id": row.product_id,
        "metadata": row.metadata,
        "repairs": row.repairs,
        "source": source,
    }


def _previous_rows(job: Job, rows: Sequence[Asked]) -> dict[int, dict[str, Any]]:
    """The rows of the previous catalogue that have these rows' ids."""
    wanted = {row.previous: row for row in rows if row.previous >= 0}
    if job.previous is None or not wanted:
        return {}
    found = _opened(*job.previous[:2]).records(wanted)
    for number, row in wanted.items():
        if found[number]["id"] != identity_of(row.number, row.record.values, job.columns)[0]:
            del found[number]  # two ids with one hash
    return found


@lru_cache(maxsize=1)
def _opened(path: Path, fingerprint: str) -> Catalog:
    """The previous catalogue, opened once in each process."""
    catalog = Catalog(path)
    if catalog.fingerprint != fingerprint:
        raise CatalogError(f"{path} was replaced while it was read; run the same command again.")
    return catalog
