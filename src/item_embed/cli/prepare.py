"""`item prepare`: from a feed to a checked catalogue."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from item_embed.cli.console import print_json, progress, say, table
from item_embed.wording import number_of

if TYPE_CHECKING:
    from item_embed.catalog.schema import Manifest


def command(
    source: Annotated[
        str,
        typer.Argument(
            help="A CSV, TSV, JSONL or Parquet file, a glob in quotes, or a folder; a path, a URL (s3://…), or hf:NAME."
        ),
    ],
    *,
    out: Annotated[str, typer.Option(help="The catalogue's folder, made by this command; a path or a URL.")],
    id_column: Annotated[str | None, typer.Option(help="The listing's id.", show_default="guessed")] = None,
    title_column: Annotated[str | None, typer.Option(help="The title.", show_default="guessed")] = None,
    image_column: Annotated[
        str | None, typer.Option(help="The photo: a path, a URL or bytes.", show_default="guessed")
    ] = None,
    category_column: Annotated[
        str | None, typer.Option(help="The category path; training never reads it.", show_default="guessed")
    ] = None,
    product_column: Annotated[
        str | None,
        typer.Option(
            help="The product that several listings may share; training never reads it.",
            show_default="guessed",
        ),
    ] = None,
    group_column: Annotated[
        str | None, typer.Option(help="Rows with an equal value here are never parted by the splits.")
    ] = None,
    images: Annotated[str | None, typer.Option(help="A folder in which image paths are looked up first.")] = None,
    allow_outside: Annotated[
        bool,
        typer.Option("--allow-outside", help="Also read images outside these folders, and absolute paths."),
    ] = False,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Also fetch photos from private and local addresses.")
    ] = False,
    per_host_rate: Annotated[float, typer.Option(min=0.01, help="Requests a second to one host for photos.")] = 10.0,
    crawl_delay: Annotated[
        float, typer.Option(min=0, help="The most of a robots.txt's Crawl-delay that is kept, seconds; 0 ignores it.")
    ] = 10.0,
    connections: Annotated[int, typer.Option(min=1, help="Photos fetched at a time.")] = 32,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for one attempt at a photo.")] = 30.0,
    cache: Annotated[
        Path | None, typer.Option(help="Where fetched photos are kept.", show_default="in the user's cache folder")
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="OUT is an earlier catalogue of this feed: process what is new or changed.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="The same, and photos that could not be fetched are tried again.")
    ] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.", show_default="one for each core")] = None,
    seed: Annotated[int, typer.Option(help="Of the splits.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a catalogue that exists.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON instead of the summary.")] = False,
) -> None:
    """Check a feed of photos and titles, and write a catalogue."""
    from item_embed.catalog.photos.downloading import DownloadLimits
    from item_embed.catalog.preparing import prepare
    from item_embed.remote.urls import shown

    columns = {
        "id": id_column,
        "title": title_column,
        "image": image_column,
        "category": category_column,
        "product_id": product_column,
    }
    limits = DownloadLimits(
        per_host_rate=per_host_rate,
        crawl_delay=crawl_delay,
        connections=connections,
        seconds=timeout,
        allow_private=allow_private,
    )
    try:
        manifest = prepare(
            source,
            out,
            columns=columns,
            group_column=group_column,
            images=images,
            allow_outside=allow_outside,
            downloads=limits,
            cache=cache,
            update=update,
            retry_failed=retry_failed,
            seed=seed,
            overwrite=overwrite,
            workers=workers,
            command=shlex.join(["item", *map(shown, sys.argv[1:])]),  # no password, no signature
            stage=progress,
        )
    except KeyboardInterrupt:
        say("stopped: the same command goes on from here")
        raise
    _remark(manifest, update or retry_failed)
    if as_json:
        print_json(manifest.model_dump())
    else:
        _summarise(manifest, out)


def _remark(manifest: "Manifest", updating: bool) -> None:
    if manifest.columns["id"] is None:
        say("no id column was found: rows are named row-1, row-2, …; name one with --id-column")
    for role, lacking in (("title", "a title"), ("image", "a photo")):
        if manifest.columns[role] is None:
            say(f"no {role} column was found: every row is without {lacking}; name one with --{role}-column")
    if updating and manifest.update is None:
        say("there was no catalogue to update: every row is new")
    elif manifest.update is not None and not manifest.update.unchanged + manifest.update.changed:
        say("no row of the catalogue before is in this feed: is it the right one?")
    for split, number in manifest.splits.items():
        if not number:
            say(f"the {split} split is empty: the catalogue has too few groups")


def _summarise(manifest: "Manifest", out: str) -> None:
    counts = manifest.counts
    if manifest.reasons:
        rows = [[reason, f"{number:,}"] for reason, number in manifest.reasons.items()]
        table("What was mended or set aside", ["reason", "rows"], rows)
    used = ", ".join(f"{role} ← {column}" for role, column in manifest.columns.items() if column)
    print(f"columns: {used}")
    print(f"splits: {', '.join(f'{split} {number:,}' for split, number in manifest.splits.items())}")
    print(
        f"{number_of(counts.input, 'row')}: {counts.kept:,} kept, {counts.repaired:,} kept with repairs, "
        f"{counts.set_aside:,} set aside{f' ({out}/rejected.parquet)' if counts.set_aside else ''}"
    )
    if manifest.update is not None:
        found = manifest.update
        print(
            f"beside the catalogue before: {found.new:,} new, {found.changed:,} changed, "
            f"{found.unchanged:,} unchanged, {found.retried:,} tried again, {found.gone:,} gone"
        )
    for warning in manifest.findings.get("warnings", []):
        print(f"warning: {warning['sentence']} {warning['mend']}")
    print(f"catalogue: {out}, report: {out}/report.html")
