"""`item prepare`: from a feed to a checked catalogue."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from item_embed.cli.console import print_json, progress, say, table

if TYPE_CHECKING:
    from item_embed.catalog.schema import Manifest


def command(
    source: Annotated[str, typer.Argument(help="A CSV, TSV, JSONL or Parquet file, a glob in quotes, or a folder.")],
    *,
    out: Annotated[Path, typer.Option(help="The catalogue's folder, made by this command.")],
    id_column: Annotated[str | None, typer.Option(help="The listing's id.", show_default="guessed")] = None,
    title_column: Annotated[str | None, typer.Option(help="The title.", show_default="guessed")] = None,
    image_column: Annotated[
        str | None, typer.Option(help="The photo: a path or bytes.", show_default="guessed")
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
    images: Annotated[Path | None, typer.Option(help="A folder in which image paths are looked up first.")] = None,
    allow_outside: Annotated[
        bool,
        typer.Option("--allow-outside", help="Also read images outside these folders, and absolute paths."),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the splits.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a catalogue that exists.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON instead of the summary.")] = False,
) -> None:
    """Check a feed of photos and titles, and write a catalogue."""
    from item_embed.catalog.preparing import prepare

    columns = {
        "id": id_column,
        "title": title_column,
        "image": image_column,
        "category": category_column,
        "product_id": product_column,
    }
    with progress("checking rows") as on_progress:
        manifest = prepare(
            source,
            out,
            columns=columns,
            group_column=group_column,
            images=images,
            allow_outside=allow_outside,
            seed=seed,
            overwrite=overwrite,
            command=" ".join(["item", *sys.argv[1:]]),
            on_progress=on_progress,
        )
    _remark(manifest)
    if as_json:
        print_json(manifest.model_dump())
    else:
        _summarise(manifest, out)


def _remark(manifest: "Manifest") -> None:
    if manifest.columns["id"] is None:
        say("no id column was found: rows are named row-1, row-2, …; name one with --id-column")
    for role, lacking in (("title", "a title"), ("image", "a photo")):
        if manifest.columns[role] is None:
            say(f"no {role} column was found: every row is without {lacking}; name one with --{role}-column")
    for split, number in manifest.splits.items():
        if not number:
            say(f"the {split} split is empty: the catalogue has too few groups")


def _summarise(manifest: "Manifest", out: Path) -> None:
    counts = manifest.counts
    if manifest.reasons:
        rows = [[reason, f"{number:,}"] for reason, number in manifest.reasons.items()]
        table("What was mended or set aside", ["reason", "rows"], rows)
    used = ", ".join(f"{role} ← {column}" for role, column in manifest.columns.items() if column)
    print(f"columns: {used}")
    print(f"splits: {', '.join(f'{split} {number:,}' for split, number in manifest.splits.items())}")
    print(
        f"{counts.input:,} rows: {counts.kept:,} kept, {counts.repaired:,} kept with repairs, "
        f"{counts.set_aside:,} set aside{f' ({out}/rejected.parquet)' if counts.set_aside else ''}"
    )
    print(f"catalogue: {out}")
