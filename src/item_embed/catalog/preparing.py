"""`prepare`: from a feed to a checked catalogue on disk.

The feed is cut into chunks. Workers check them, photos and all, and spool them; a run that is killed leaves its chunks
to the next. Then ids, groups and splits are settled on hashes alone, and workers write the row files.
"""

import datetime
import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from functools import partial
from itertools import count
from pathlib import Path, PurePosixPath

from item_embed.catalog.checking import Job, check_chunk
from item_embed.catalog.chunks import ROWS, Chunks
from item_embed.catalog.feeds.columns import Columns, choose_columns
from item_embed.catalog.feeds.feed import Feed, open_feed
from item_embed.catalog.feeds.places import is_url, shown
from item_embed.catalog.photos.downloading import Downloader, DownloadLimits
from item_embed.catalog.photos.finding import PhotoFolders
from item_embed.catalog.previous import Previous
from item_embed.catalog.publishing import check_free_url, publish, staging
from item_embed.catalog.report.gathering import gather
from item_embed.catalog.report.page import write_report
from item_embed.catalog.schema import SCHEMA_VERSION, SPLITS, Counts, Manifest, is_rejected_file
from item_embed.catalog.settling import Settled, settle
from item_embed.catalog.spool import Spool, SpooledKeys
from item_embed.catalog.writing import check_free, fingerprint, plan_parts, sha256, write_part, write_rejected
from item_embed.errors import CatalogError, FeedError
from item_embed.files import discard_partial, resumable_folder
from item_embed.parallel import cores, ordered_map
from item_embed.progress import OnProgress, Stages, silent_stages

_ENOUGH_FOR_PROCESSES = 4 * ROWS  # rows; fewer are done before processes have started


def prepare(
    source: str | Path,
    out: str | Path,
    *,
    columns: Mapping[str, str | None] | None = None,
    group_column: str | None = None,
    images: str | Path | None = None,
    allow_outside: bool = False,
    downloads: DownloadLimits | None = None,
    cache: Path | None = None,
    update: bool = False,
    retry_failed: bool = False,
    seed: int = 0,
    overwrite: bool = False,
    workers: int | None = None,
    command: str = "",
    stage: Stages = silent_stages,
) -> Manifest:
    """Check every row of a feed and write a catalogue.

    Each row is kept, kept with named repairs, or set aside in `OUT/rejected.parquet` with its number and the
    reason. When no row can be kept, no catalogue is written, and `OUT.rejected.parquet` lists the rows. A run that
    was killed goes on where it was when it is started again; the catalogue is the same.

    Args:
        source: a CSV, TSV, JSONL or Parquet file, a glob pattern, or a folder of such files; by path or fsspec URL;
            or `hf:NAME`, a data set of the Hugging Face hub.
        out: the catalogue's folder, written aside and renamed when complete; or an fsspec URL, to which it is copied.
        columns: role (`id`, `title`, `image`, `category`, `product_id`) -> the feed's column; a role that is
            left out, or None, is guessed.
        group_column: rows with equal values in it are never parted by the splits.
        images: a folder in which image paths are looked up before the feed's own.
        allow_outside: also read images outside these folders, and absolute paths.
        downloads: limits on photos fetched by URL.
        cache: folder for these photos; by default `item-embed/photos` in the user's cache folder.
        update: `out` is yesterday's catalogue of this feed: only rows that are new or changed are processed.
        retry_failed: the same, and rows whose photo could not be fetched then are processed too.
        seed: of the splits.
        overwrite: replace a catalogue that exists.
        workers: processes; by default one for each core, and none beside this one for a small feed.
        command: noted in the manifest.
        stage: told of the progress of each stage.

    Returns:
        The manifest, as written to `OUT/manifest.json`.

    Raises:
        FeedError: when the feed cannot be read, lacks a column, or none of its rows can be kept.
        CatalogError: when `out` exists and must not be replaced, or cannot be updated from this feed.
        OutputError: when it cannot be written.

    Example:
        >>> prepare("feed.csv", "catalog").counts  # doctest: +SKIP
        Counts(input=1000, kept=950, repaired=40, set_aside=10)
    """
    place = _Output(str(out), cache or default_cache())
    if place.remote and (update or retry_failed):
        raise CatalogError(f"{place.name} is a URL, and --update needs a catalogue in a local folder; copy it first.")
    update = (update or retry_failed) and place.local.exists()
    replace = overwrite or update or place.remote
    place.check_free(overwrite or update)
    with stage("counting rows") as on_progress:
        feed = open_feed(source, on_progress)
    roles = choose_columns(feed.columns, {**(columns or {}), "group": group_column})
    _refuse_feed_inside(feed, place.local, replace)
    previous = Previous(place.local, roles) if update else None
    folders = _photo_folders(feed, images, allow_outside)
    options = [str(images), allow_outside, retry_failed, previous and previous.fingerprint]
    if workers is None:
        workers = cores() if feed.size > _ENOUGH_FOR_PROCESSES else 1
    with resumable_folder(place.local, _mark(feed, roles, options), replace=replace) as work:
        folder = work.whole
        job = Job(roles, folders, work.scratch, None if previous is None else previous.identity)
        with (
            stage("checking rows") as on_progress,
            Downloader(cache or default_cache(), downloads, _roots(folders)) as fetcher,
        ):
            chunks = Chunks(feed, job, previous, retry_failed, fetcher)
            keys = _spool(feed, job, chunks, workers, on_progress)
        settled = settle(keys, seed)
        if not len(settled.groups):
            raise _nothing_kept(source, place, folder, keys, settled)
        with stage("writing rows") as on_progress:
            files, reasons, repaired = _write(folder, keys, settled, workers, on_progress)
        kept, size = len(settled.groups), int(keys.counts.sum())
        manifest = Manifest(
            command=command,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            sources=[file.url for file in feed.files],
            columns=roles.by_role(),
            seed=seed,
            counts=Counts(input=size, kept=kept - repaired, repaired=repaired, set_aside=size - kept),
            update=None if previous is None else previous.beside(settled.changes),
            splits={split: int((settled.splits == place).sum()) for place, split in enumerate(SPLITS)},
            reasons=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
            files=files,
            fingerprint=fingerprint(files),
        )
        manifest = _report(folder, manifest, place.name, stage)
        place.publish(folder, stage)
    place.clear()
    return manifest


def default_cache() -> Path:
    """Where photos that were fetched by URL are kept if the user names no other place."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "item-embed" / "photos"


class _Output:
    """Where the catalogue goes: a local folder, or a URL by way of one."""

    def __init__(self, out: str, cache: Path) -> None:
        self.remote = is_url(out)
        self.name = shown(out)
        self._url = out
        self.local = staging(out, cache) if self.remote else Path(out)

    @property
    def beside(self) -> Path:
        """What the list of rejected rows is named after where there is nothing else to write."""
        return Path(PurePosixPath(self.name).name) if self.remote else self.local

    def check_free(self, overwrite: bool) -> None:
        if self.remote:
            check_free_url(self._url, overwrite)
        else:
            check_free(self.local, overwrite)

    def publish(self, folder: Path, stage: Stages) -> None:
        """Copy the finished folder to the URL."""
        if self.remote:
            with stage("copying the catalogue") as on_progress:
                publish(folder, self._url, on_progress)

    def clear(self) -> None:
        """Remove the local folder of a catalogue that went elsewhere."""
        if self.remote:
            shutil.rmtree(self.local)


def _report(folder: Path, manifest: Manifest, name: str, stage: Stages) -> Manifest:
    """Write the manifest and the report, and note in the one what the other found."""

    def write(manifest: Manifest) -> None:
        (folder / "manifest.json").write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf8")

    write(manifest)
    with stage("writing the report") as on_progress:
        facts = gather(folder, on_progress, name)
        write_report(facts, folder / "report.html")
    manifest = manifest.model_copy(update={"findings": facts.as_json()})
    write(manifest)
    return manifest


def _mark(feed: Feed, roles: Columns, options: list[object]) -> str:
    """What makes a run the same as one that was killed."""
    from item_embed import __version__

    return json.dumps([__version__, SCHEMA_VERSION, ROWS, feed.stamp, roles.by_role(), options])


def _spool(feed: Feed, job: Job, chunks: Chunks, workers: int, on_progress: OnProgress) -> SpooledKeys:
    """Check all rows that no earlier run has checked."""
    spool = Spool(job.spool)
    number, done = spool.whole_chunks()
    on_progress(done, feed.size)
    for rows in ordered_map(partial(check_chunk, job), chunks.after(number, done), workers):
        number, done = number + 1, done + rows
        on_progress(done, feed.size)
    return spool.keys(number)


def _write(
    folder: Path, keys: SpooledKeys, settled: Settled, workers: int, on_progress: OnProgress
) -> tuple[dict[str, str], Counter[str], int]:
    """Write the row files and the rejected rows.

    Returns:
        Parquet file, relative to the folder -> SHA-256; repair or reason -> rows; rows with repairs.
    """
    rows = folder / "rows"
    shutil.rmtree(rows, ignore_errors=True)  # of a run that was killed here
    rows.mkdir()
    reasons = write_rejected(folder, keys, settled.fates)
    files = {"rejected.parquet": sha256(folder / "rejected.parquet")}
    repaired = done = 0
    for written in ordered_map(write_part, plan_parts(rows, keys, settled), workers):
        files[f"rows/{written.name}"] = written.sha256
        reasons.update(written.repairs)
        repaired, done = repaired + written.repaired, done + written.rows
        on_progress(done, len(settled.groups))
    return files, reasons, repaired


def _refuse_feed_inside(feed: Feed, out: Path, replace: bool) -> None:
    inside = [file for file in feed.files if file.is_local and file.path.resolve().is_relative_to(out.resolve())]
    if replace and inside:
        raise CatalogError(f"the feed {inside[0].url} lies inside {out}, which would be replaced; choose another name.")


def _photo_folders(feed: Feed, images: str | Path | None, allow_outside: bool) -> tuple[PhotoFolders, ...]:
    """Where the photos of each feed file are looked up."""
    if images is not None and is_url(str(images)):
        remote = str(images).rstrip("/") + "/"
        return tuple(PhotoFolders((), allow_outside, remote) for _ in feed.files)
    if images is not None and not Path(images).is_dir():
        raise FeedError(f"there is no folder {images} to look up images in; correct --images.")
    named = () if images is None else (Path(images),)
    return tuple(
        PhotoFolders((*named, file.folder), allow_outside)
        if isinstance(file.folder, Path)
        else PhotoFolders(named, allow_outside, "" if named else file.folder)
        for file in feed.files
    )


def _roots(folders: tuple[PhotoFolders, ...]) -> list[str]:
    return sorted({folder.remote for folder in folders if folder.remote})


def _nothing_kept(source: str | Path, place: _Output, folder: Path, keys: SpooledKeys, settled: Settled) -> FeedError:
    beside = _free_name(place.beside)
    counted = write_rejected(folder, keys, settled.fates)
    (folder / "rejected.parquet").replace(beside)
    discard_partial(place.local)
    reasons = "; ".join(f"{reason}: {rows:,}" for reason, rows in counted.most_common(3))
    size = int(keys.counts.sum())
    rows = f"none of the {size:,} rows" if size > 1 else "the only row"
    return FeedError(
        f"{rows} of {source} can{'not' if size == 1 else ''} be kept ({reasons}); {beside} lists them all."
    )


def _free_name(out: Path) -> Path:
    """Where the list of rejected rows can stand beside `out` without replacing anything but an earlier one."""
    numbered = (f"{out.name}{f'-{number}' if number else ''}.rejected.parquet" for number in count())
    paths = (out.with_name(name) for name in numbered)
    return next(path for path in paths if not os.path.lexists(path) or is_rejected_file(path))
