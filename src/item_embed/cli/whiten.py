"""`item whiten`: a trained model whose vectors are whitened by the listings of a catalogue."""

from pathlib import Path
from typing import Annotated

import typer

from item_embed.cli.console import print_json, progress, say
from item_embed.wording import number_of


def command(
    model: Annotated[Path, typer.Argument(help="Folder of a trained model, such as RUN/model; it is left as it is.")],
    catalog: Annotated[str, typer.Argument(help="Catalogue by whose training split is whitened, a path or a URL.")],
    *,
    out: Annotated[Path, typer.Option(help="The new model's folder; it must not exist.")],
    power: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Each direction is divided by this power of its spread.",
            show_default="the model's own, or 0.75",
        ),
    ] = None,
    late_fusion: Annotated[
        bool | None,
        typer.Option(
            "--late-fusion/--one-pass",
            help="Join the vectors of the whole product, of its photo, of its title and of the title's words, or not.",
            show_default="as the model does",
        ),
    ] = None,
    dimensions: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Numbers of a vector to keep.",
            show_default="the model's own, or all of one pass, at most 256 of late fusion",
        ),
    ] = None,
    rows: Annotated[int, typer.Option(min=16, help="Most rows whose vectors are looked at.")] = 4096,
    exclude_groups: Annotated[
        Path | None, typer.Option(help="Parquet file with item_id: the groups of these rows are not looked at.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps …; by default the best there is.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Whiten a model's vectors by the listings of a catalogue.

    It takes a minute; nothing is trained.
    """
    from item_embed.catalog.store import Catalog
    from item_embed.embedding.torch_backend import TorchBackend
    from item_embed.embedding.whitening import settings_of, whiten_model
    from item_embed.files import check_output
    from item_embed.model.folder import provenance

    check_output(out)
    settings = settings_of(model, power=power, late_fusion=late_fusion, dimensions=dimensions, rows=rows)
    trained = TorchBackend.from_pretrained(model, device)
    if exclude_groups is None and (left_out := provenance(model).get("exclude_groups")):
        say(
            f"note: the model was trained without the groups of {left_out}; they are looked at now, unless "
            "--exclude-groups leaves them out again"
        )
    with progress("whitening") as on_progress:
        looked_at, dimension = whiten_model(
            trained, Catalog(catalog), out, settings, exclude_groups=exclude_groups, on_progress=on_progress
        )
    if as_json:
        known = settings.model_dump(include={"power", "late_fusion"})
        told = {"rows": looked_at, **known, "dimension": dimension}
        print_json({"model": str(out), **told})
    else:
        print(f"vectors of {dimension} numbers, whitened by {number_of(looked_at, 'row')}")
        print(f"model: {out}")
