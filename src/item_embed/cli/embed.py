"""`item embed`: the vectors of a whole catalogue."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Modalities(StrEnum):
    """What the model sees of a product."""

    BOTH = "both"
    IMAGE = "image"
    TITLE = "title"


def command(
    model: Annotated[Path, typer.Argument(help="Folder of a trained model, such as RUN/model.")],
    catalog: Annotated[Path, typer.Argument(help="Catalogue made by `item prepare`.")],
    *,
    out: Annotated[Path, typer.Option(help="Parquet file to write; it must not exist.")],
    modalities: Annotated[Modalities, typer.Option(help="What the model sees.")] = Modalities.BOTH,
    batch_size: Annotated[int, typer.Option(min=1, help="Products embedded at once.")] = 256,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, mps …; by default the best there is.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Embed every row of a catalogue: Parquet with id, vector and the model's fingerprint."""
    from item_embed.catalog.store import Catalog
    from item_embed.cli.console import print_json, progress, say
    from item_embed.errors import VectorError

    if out.exists():
        raise VectorError(f"{out} exists already; choose another --out or remove it first.")
    rows = Catalog(catalog)

    from item_embed.embedding.bulk import embed_catalog
    from item_embed.embedding.embedder import Embedder
    from item_embed.embedding.vectors import write_vectors

    embedder = Embedder.from_pretrained(model, device=device)
    with progress("embedding") as on_progress:
        vectors = embed_catalog(
            embedder, rows, modalities.value, batch_size=batch_size, on_progress=on_progress
        )
    write_vectors(out, vectors)
    empty = int((~vectors.vectors.any(axis=1)).sum())
    if as_json:
        print_json(
            {
                "out": str(out),
                "rows": len(vectors),
                "empty": empty,
                "dimension": vectors.dimension,
                "modalities": modalities.value,
                "fingerprint": vectors.fingerprint,
            }
        )
    lacking = f" ({empty:,} rows have no {modalities.value} and got zeros)" if empty else ""
    say(f"{len(vectors):,} vectors of {vectors.dimension} numbers in {out}{lacking}.")
