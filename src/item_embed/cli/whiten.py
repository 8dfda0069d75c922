"""`item whiten`: a trained model whose vectors are whitened by the listings of a catalogue."""

from pathlib import Path
from typing import Annotated

import typer

from item_embed.cli.console import print_json, progress, say
from item_embed.wording import number_of


def command(
    model: Annotated[Path, typer.Argument(help="Folder of a trained model, such as RUN/model; it is left as it is.")],
    catalog: Annotated[Path, typer.Argument(help="Catalogue by whose training split is whitened; no label is read.")],
    *,
    out: Annotated[Path, typer.Option(help="The new model's folder; it must not exist.")],
    power: Annotated[
        float, typer.Option(min=0, max=1, help="Each direction is divided by this power of its spread.")
    ] = 0.75,
    late_fusion: Annotated[
        bool, typer.Option("--late-fusion", help="Join the vectors of the whole product, of its photo, of its title.")
    ] = False,
    dimensions: Annotated[
        int | None, typer.Option(min=1, help="Numbers of a vector to keep; by default as many as the encoder gives.")
    ] = None,
    rows: Annotated[int, typer.Option(min=16, help="Most rows whose vectors are looked at.")] = 4096,
    exclude_groups: Annotated[
        Path | None, typer.Option(help="Parquet file with item_id: the groups of these rows are not looked at.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps …; by default the best there is.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Whiten a model's vectors by the listings of a catalogue: in a minute, nothing is trained."""
    from item_embed.catalog.store import Catalog
    from item_embed.config import WhiteningSettings
    from item_embed.embedding.embedder import Embedder
    from item_embed.embedding.whitening import whiten_model
    from item_embed.files import check_output
    from item_embed.model.storage import provenance

    check_output(out)
    settings = WhiteningSettings(power=power, late_fusion=late_fusion, dimensions=dimensions, rows=rows)
    embedder = Embedder.from_pretrained(model, device)
    if exclude_groups is None and (left_out := provenance(model).get("exclude_groups")):
        say(
            f"note: the model was trained without the groups of {left_out}; they are looked at now, unless "
            "--exclude-groups leaves them out again"
        )
    with progress("whitening") as on_progress:
        looked_at = whiten_model(
            embedder, Catalog(catalog), out, settings, exclude_groups=exclude_groups, on_progress=on_progress
        )
    dimension = dimensions or embedder.model.config.hidden_size
    if as_json:
        told = {"rows": looked_at, "power": power, "late_fusion": late_fusion, "dimension": dimension}
        print_json({"model": str(out), **told})
    else:
        print(f"vectors of {dimension} numbers, whitened by {number_of(looked_at, 'row')}")
        print(f"model: {out}")
