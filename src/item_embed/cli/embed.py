"""`item embed`: the vectors of a whole catalogue."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from item_embed.cli.console import print_json, progress
from item_embed.embedding.seen import Modalities
from item_embed.wording import number_of

if TYPE_CHECKING:
    from item_embed.embedding.vectors import Vectors


def command(
    model: Annotated[Path, typer.Argument(help="Folder of a trained model, such as RUN/model.")],
    catalog: Annotated[Path, typer.Argument(help="Catalogue made by `item prepare`.")],
    *,
    out: Annotated[Path, typer.Option(help="Parquet file to write; it must not exist.")],
    modalities: Annotated[Modalities, typer.Option(help="What the model sees.")] = "both",
    batch_size: Annotated[int, typer.Option(min=1, help="Products embedded at once.")] = 256,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps …; by default the best there is.")] = None,
    precision: Annotated[
        Literal["fp32", "bf16", "auto"],
        typer.Option(help="What the encoder multiplies in; auto: bf16 where that is fast."),
    ] = "fp32",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Embed every row of a catalogue: Parquet with id, vector and the model's fingerprint."""
    from item_embed.catalog.store import Catalog
    from item_embed.files import check_output

    check_output(out)
    opened = Catalog(catalog)

    from item_embed.embedding.bulk import embed_parts
    from item_embed.embedding.embedder import Embedder
    from item_embed.embedding.vectors import write_vectors

    embedder = Embedder.from_pretrained(model, device, precision)
    empty = 0

    def counted(parts: "Iterable[Vectors]") -> "Iterator[Vectors]":
        nonlocal empty
        for part in parts:
            empty += int((~part.vectors.any(axis=1)).sum())
            yield part

    with progress("embedding") as on_progress:
        parts = embed_parts(embedder, opened, modalities, batch_size=batch_size, on_progress=on_progress)
        write_vectors(out, counted(parts))
    if as_json:
        print_json(
            {
                "out": str(out),
                "rows": len(opened),
                "empty": empty,
                "dimension": embedder.dimension,
                "modalities": modalities,
                "fingerprint": embedder.fingerprint,
            }
        )
    else:
        lacking = f" ({number_of(empty, 'row has', 'rows have')} no {modalities} and got zeros)" if empty else ""
        print(f"{number_of(len(opened), 'vector')} of {embedder.dimension} numbers in {out}{lacking}.")
