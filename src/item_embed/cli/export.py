"""`item export`: a model that embeds without torch, and vectors in fewer bits."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from item_embed.cli.console import print_json, progress
from item_embed.embedding.seen import Modalities
from item_embed.wording import number_of

if TYPE_CHECKING:
    from item_embed.config import Background
    from item_embed.embedding.loss import Loss
    from item_embed.remote.places import Remote


def command(
    source: Annotated[
        str,
        typer.Argument(help="Folder of a trained model, such as RUN/model, or vectors made by `item embed`."),
    ],
    *,
    out: Annotated[
        str,
        typer.Option(help="Folder, or Parquet file of vectors, to write, this a path or a URL; it must not exist."),
    ],
    precision: Annotated[
        Literal["fp32", "half", "int8"] | None,
        typer.Option(
            help="Of a model fp32 or int8, of vectors half or int8.", show_default="fp32, for vectors to be chosen"
        ),
    ] = None,
    modalities: Annotated[
        Modalities | None, typer.Option(help="What the exported model reads of a product.", show_default="both")
    ] = None,
    background: Annotated[
        Literal["keep", "drop"] | None,
        typer.Option(
            help="Of photos: keep encodes empty patches, drop does not.", show_default="as the model was trained"
        ),
    ] = None,
    catalog: Annotated[
        str | None, typer.Option(help="Catalogue on whose rows the exported model is measured beside its source.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write a model as ONNX, or vectors in fewer bits.

    The model then embeds without torch; vectors become half precision or 8 bits.
    """
    from item_embed.files import check_output
    from item_embed.remote.places import Remote, place

    read, target = place(source), place(out)
    of_vectors = isinstance(read, Remote) or read.is_file()
    check_output(target if of_vectors else out)
    if of_vectors:
        _refuse({"--modalities": modalities, "--background": background, "--catalog": catalog})
        told, summary, loss = _vectors(read, target, precision)
    else:
        told, summary, loss = _model(
            Path(source),
            Path(out),
            precision=precision,
            modalities=modalities or "both",
            background=background,
            catalog=catalog,
        )
    if as_json:
        from dataclasses import asdict

        print_json({"out": str(target), **told, "loss": loss and asdict(loss)})
        return
    if loss:
        print(f"{loss.text()}.")
    print(summary)


def _model(
    source: Path,
    out: Path,
    *,
    precision: str | None,
    modalities: Modalities,
    background: "Background | None",
    catalog: str | None,
) -> "tuple[dict[str, object], str, Loss | None]":
    from item_embed.catalog.store import Catalog
    from item_embed.embedding.export import export_model
    from item_embed.embedding.torch_backend import TorchBackend
    from item_embed.errors import ConfigError

    if precision == "half":
        raise ConfigError("--precision half is for vectors; a model is exported in fp32 or int8.")
    opened = Catalog(catalog) if catalog else None
    trained = TorchBackend.from_pretrained(source, "cpu")
    with progress("measuring") as on_progress:
        made = export_model(
            trained,
            out,
            modalities=modalities,
            precision="int8" if precision == "int8" else "fp32",
            background=background,
            catalog=opened,
            on_progress=on_progress,
        )
    shown = background or trained.background
    told: dict[str, object] = {
        "modalities": made.modalities,
        "precision": made.precision,
        "background": shown,
        "dimension": made.dimension,
        "fingerprint": made.fingerprint,
        "source": made.source,
    }
    reads = {"both": "photos and titles", "image": "photos", "title": "titles"}[made.modalities]
    left_out = " (empty background left out)" if shown == "drop" and modalities != "title" else ""
    summary = (
        f"{made.precision} model of {reads}{left_out} in {out}: vectors of {made.dimension} numbers, without torch."
    )
    return told, summary, made.loss


def _refuse(options: dict[str, object]) -> None:
    """Options by name that only models have; None is not given.

    Raises:
        ConfigError: naming the first one that is given.
    """
    from item_embed.errors import ConfigError

    for option, given in options.items():
        if given is not None:
            raise ConfigError(f"{option} has no meaning for a file of vectors; leave it out.")


def _vectors(
    source: "Path | Remote", out: "Path | Remote", precision: str | None
) -> "tuple[dict[str, object], str, Loss | None]":
    from item_embed.embedding.export.vectors import export_vectors
    from item_embed.errors import ConfigError
    from item_embed.remote.places import size_of

    if precision not in {"half", "int8"}:
        raise ConfigError(f"{source} is a file, of vectors; choose --precision half or int8, or give a model's folder.")
    numbers: Literal["half", "int8"] = "half" if precision == "half" else "int8"
    with progress("rounding") as on_progress:
        rows, loss = export_vectors(source, out, numbers, on_progress=on_progress)
    bytes_before, bytes_after = size_of(source), size_of(out)
    told: dict[str, object] = {
        "precision": precision,
        "rows": rows,
        "bytes": bytes_after,
        "source_bytes": bytes_before,
    }
    size = f"{bytes_after / bytes_before:.0%} of the bytes"
    return told, f"{number_of(rows, 'vector')} of {precision} in {out}: {size}.", loss
