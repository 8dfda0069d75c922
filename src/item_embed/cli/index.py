"""`item index`: vectors and a catalogue made searchable."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from item_embed.cli.console import print_json, progress
from item_embed.wording import number_of

if TYPE_CHECKING:
    from item_embed.embedding.embedder import Embedder
    from item_embed.embedding.vectors import Vectors


def command(
    vectors: Annotated[
        str,
        typer.Argument(help="Vectors made by `item embed`; for --update also the model: it embeds what is new."),
    ],
    catalog: Annotated[str, typer.Argument(help="The catalogue they were made from.")],
    *,
    out: Annotated[
        str,
        typer.Option(
            help="Folder to write, or postgresql://user@host/database?schema=name; it must not exist, but for --update."
        ),
    ],
    update: Annotated[
        bool, typer.Option("--update", help="Bring the index in --out up to date, writing only what differs.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Build the index of a catalogue, or bring one up to date."""
    from dataclasses import asdict

    from item_embed.catalog.store import Catalog
    from item_embed.embedding.vectors import read_vectors
    from item_embed.errors import VectorError
    from item_embed.files import check_output
    from item_embed.search.address import is_address
    from item_embed.search.index import ProductIndex

    if not update and Path(vectors).is_dir():
        raise VectorError(
            f"{vectors} is a folder and no file of vectors; make one with `item embed`, or bring an index up to date "
            "with --update."
        )
    if not update and not is_address(out):
        check_output(out)
    index = ProductIndex.open(out) if update else None  # before the reading of the vectors
    with progress("indexing") as on_progress:
        if index is None:
            index, changes = ProductIndex.build(read_vectors(vectors), Catalog(catalog), out, on_progress), None
        else:
            changes = index.update(_vectors(vectors), Catalog(catalog), on_progress)
    if as_json:
        shown = {
            "out": str(index.path),
            "products": len(index),
            "dimension": index.manifest.dimension,
            "modalities": index.modalities,
            "model": index.model,
            "fingerprint": index.fingerprint,
        }
        print_json(shown | ({"changes": asdict(changes)} if changes else {}))
    elif changes:
        print(
            f"{number_of(len(index), 'product')} in {index.path}: {changes.added:,} added, "
            f"{changes.changed:,} changed, {changes.removed:,} removed, {changes.unchanged:,} unchanged."
        )
    else:
        print(f"{number_of(len(index), 'product')} in {index.path}.")


def _vectors(path: str) -> "Vectors | Embedder":
    """A file of vectors, or the model in a folder."""
    if Path(path).is_dir():
        from item_embed.embedding.embedder import Embedder

        return Embedder.from_pretrained(Path(path))

    from item_embed.embedding.vectors import read_vectors

    return read_vectors(path)
