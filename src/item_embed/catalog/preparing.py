"""`prepare`: from a feed to a checked catalogue on disk.

The feed is cut into chunks. Workers check them, photos and all, and spool them; a run that is killed leaves its chunks
to the next. Then ids, groups and splits are settled on hashes alone, and workers write the row files.
"""

import datetime
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from item_embed import __version__
from item_embed.catalog.checking import Job, check_chunk
from item_embed.catalog.chunks import ROWS, Chunks
from item_embed.catalog.feeds.columns import Columns, choose_columns
from item_embed.catalog.feeds.feed import Feed, open_feed
from item_embed.catalog.outputs import Output
from item_embed.catalog.photos.downloading import Downloader, DownloadLimits
from item_embed.catalog.photos.finding import PhotoFolders
from item_embed.catalog.previous import Previous
from item_embed.catalog.report.gathering import gather
from item_embed.catalog.report.page import write_report
from item_embed.catalog.schema import SCHEMA_VERSION, SPLITS, Counts, Manifest, is_rejected_file
from item_embed.catalog.settling import Settled, settle
from item_embed.catalog.spool import Spool, SpooledKeys
from item_embed.catalog.titles import CLEANING
from item_embed.catalog.writing import fingerprint, plan_parts, sha256, write_part, write_rejected
from item_embed.errors import CatalogError, FeedError
from item_embed.files import discard_partial, locked, resumable_folder
from item_embed.parallel import cores, ordered_map
from item_embed.progress import Stages, silent_stages
from item_embed.remote.urls import is_url, local_path

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

    Examples:
        >>> prepare("feed.csv", "catalog").counts  # doctest: +SKIP
        Counts(input=1000, kept=950, repaired=40, set_aside=10)
    """
    kept = cache or default_cache()
    place = Output(str(out), kept)
    updating = update or retry_failed
    option = "--update" if updating else "--overwrite" if overwrite else None
    if place.remote and updating:
        raise CatalogError(f"{place.name} is a URL, and --update needs a catalogue in a local folder; copy it there.")
    with locked(place.local):
        place.check_free(option)
        with stage("counting rows") as on_progress:
            feed = open_feed(source, on_progress)
        roles = choose_columns(feed.columns, {**(columns or {}), "group": group_column})
        _refuse_feed_inside(feed, place.local, replaced=option is not None)
        previous = Previous(place.local, roles) if updating and (place.local / "manifest.json").is_file() else None
        run = _Run(
            feed=feed,
            roles=roles,
            folders=_photo_folders(feed, images, allow_outside),
            limits=downloads or DownloadLimits(),
            cache=kept,
            previous=previous,
            retry=retry_failed,
            workers=workers or (cores() if feed.size > _ENOUGH_FOR_PROCESSES else 1),
        )
        with resumable_folder(place.local, run.mark, replace=option is not None or place.remote) as work:
            keys = run.check(work.scratch, stage)
            settled = settle(keys, seed)
            if not len(settled.groups):
                raise _nothing_kept(source, place, work.whole, keys, settled)
            about = {"command": command, "seed": seed, "sources": [file.url for file in feed.files]}
            manifest = run.write(work.whole, keys, settled, about, stage)
            manifest = _report(work.whole, manifest, place.name, stage)
            place.publish(work.whole, stage)
    place.clear()
    return manifest


def default_cache() -> Path:
    """Where photos that were fetched by URL are kept if the user names no other place."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111  (Path raises without HOME)
    return Path(base) / "item-embed" / "photos"


@dataclass(frozen=True)
class _Run:
    """What decides a catalogue's rows, and the work on them."""

    feed: Feed
    roles: Columns
    folders: tuple[PhotoFolders, ...]
    limits: DownloadLimits
    cache: Path
    previous: Previous | None
    retry: bool
    workers: int

    @property
    def mark(self) -> str:
        """Equal for a run that goes on where this one ends, should it be killed."""
        folders = [[*map(os.path.realpath, one.folders), one.allow_outside, one.remote] for one in self.folders]
        before = None if self.previous is None else [self.previous.fingerprint, self.retry]
        told = [self.feed.stamp, self.roles.by_role(), folders, asdict(self.limits), before]
        return json.dumps([__version__, SCHEMA_VERSION, ROWS, *told])

    def check(self, scratch: Path, stage: Stages) -> SpooledKeys:
        """Check all rows that no earlier run has checked, and spool them."""
        spool = Spool(scratch / "rows")
        job = Job(self.roles, self.folders, spool.folder, None if self.previous is None else self.previous.identity)
        roots = sorted({folder.remote for folder in self.folders if folder.remote})
        with (
            stage("checking rows") as on_progress,
            Downloader(self.cache, self.limits, roots, scratch / "photos") as fetcher,
        ):
            chunks = Chunks(self.feed, job, self.previous, self.retry, fetcher)
            number, done = spool.whole_chunks()
            on_progress(done, self.feed.size)
            with closing(ordered_map(partial(check_chunk, job), chunks.after(number, done), self.workers)) as checked:
                for rows in checked:
                    number, done = number + 1, done + rows
                    on_progress(done, self.feed.size)
        return spool.keys(number)

    def write(
        self, folder: Path, keys: SpooledKeys, settled: Settled, about: dict[str, Any], stage: Stages
    ) -> Manifest:
        """Write the row files and the rejected rows."""
        rows = folder / "rows"
        shutil.rmtree(rows, ignore_errors=True)  # of a run that was killed here
        rows.mkdir()
        reasons = write_rejected(folder, keys, settled.fates)
        files = {"rejected.parquet": sha256(folder / "rejected.parquet")}
        kept, size = len(settled.groups), int(keys.counts.sum())
        repaired = done = 0
        with (
            stage("writing rows") as on_progress,
            closing(ordered_map(write_part, plan_parts(rows, keys, settled), self.workers)) as parts,
        ):
            for part in parts:
                files[f"rows/{part.name}"] = part.sha256
                reasons.update(part.repairs)
                repaired, done = repaired + part.repaired, done + part.rows
                on_progress(done, kept)
        return Manifest(
            **about,
            version=__version__,
            cleaning=CLEANING,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            columns=self.roles.by_role(),
            fields=self.roles.other(self.feed.columns),
            counts=Counts(input=size, kept=kept - repaired, repaired=repaired, set_aside=size - kept),
            update=None if self.previous is None else self.previous.beside(settled.changes),
            splits={split: int((settled.splits == number).sum()) for number, split in enumerate(SPLITS)},
            reasons=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
            files=files,
            fingerprint=fingerprint(files),
        )


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


def _refuse_feed_inside(feed: Feed, out: Path, replaced: bool) -> None:
    inside = [file for file in feed.files if file.is_local and file.path.resolve().is_relative_to(out.resolve())]
    if replaced and inside:
        raise CatalogError(f"the feed {inside[0].url} lies inside {out}, which would be replaced; choose another name.")


def _photo_folders(feed: Feed, images: str | Path | None, allow_outside: bool) -> tuple[PhotoFolders, ...]:
    """Where the photos of each feed file are looked up."""
    named = "" if images is None else local_path(str(images))
    if is_url(named):
        return tuple(PhotoFolders((), allow_outside, named.rstrip("/") + "/") for _ in feed.files)
    if images is not None and not Path(named).is_dir():
        raise FeedError(f"there is no folder {images} to look up images in; correct --images.")
    first = () if images is None else (Path(named),)
    return tuple(
        PhotoFolders((*first, file.folder), allow_outside)
        if isinstance(file.folder, Path)
        else PhotoFolders(first, allow_outside, "" if first else file.folder)
        for file in feed.files
    )


def _nothing_kept(source: str | Path, place: Output, folder: Path, keys: SpooledKeys, settled: Settled) -> FeedError:
    beside = _free_name(place.beside)
    counted = write_rejected(folder, keys, settled.fates)
    shutil.move(folder / "rejected.parquet", beside)
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
