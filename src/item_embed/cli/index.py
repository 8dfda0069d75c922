"""`item index`: vectors and a catalogue made searchable."""

from pathlib import Path
from typing import Annotated

import typer

from item_embed.cli.console import print_json, progress
from item_embed.wording import number_of


def command(
    vectors: Annotated[Path, typer.Argument(help="Vectors made by `item embed`.")],
    catalog: Annotated[Path, typer.Argument(help="The catalogue they were made from.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder to write; it must not exist.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Build the index of a catalogue from its vectors."""
    from item_embed.catalog.store import Catalog
    from item_embed.embedding.vectors import read_vectors
    from item_embed.files import check_output
    from item_embed.search.index import ProductIndex

    check_output(out)
    with progress("indexing") as on_progress:
        index = ProductIndex.build(read_vectors(vectors), Catalog(catalog), out, on_progress)
    if as_json:
        print_json(
            {
                "out": str(out),
                "products": len(index),
                "dimension": index.manifest.dimension,
                "modalities": index.modalities,
                "model": index.model,
                "fingerprint": index.fingerprint,
            }
        )
    else:
        print(f"{number_of(len(index), 'product')} in {out}.")
