"""`item embed`: the vectors of a whole catalogue."""

import time
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from item_embed.cli.console import print_json, progress, say
from item_embed.embedding.seen import Modalities
from item_embed.errors import ConfigError
from item_embed.wording import are, number_of


def command(
    model: Annotated[Path, typer.Argument(help="Folder of a trained model, such as RUN/model.")],
    catalog: Annotated[str, typer.Argument(help="Catalogue made by `item prepare`, a path or a URL.")],
    *,
    out: Annotated[str, typer.Option(help="Parquet file to write, a path or a URL; it must not exist.")],
    modalities: Annotated[Modalities, typer.Option(help="What the model sees.")] = "both",
    batch_size: Annotated[int, typer.Option(min=1, help="Products embedded at once.")] = 256,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Processes that decode photos ahead of the model; 0: none but this one.",
            show_default="one for each core, 16 at most, none for few rows",
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps …; by default the best there is.")] = None,
    precision: Annotated[
        Literal["fp32", "bf16", "auto"],
        typer.Option(help="What the encoder multiplies in; auto: bf16 where that is fast."),
    ] = "fp32",
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="Who embeds: this process, or the actors of a Ray cluster.")
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(help="HOST:PORT of a Ray cluster's head.", show_default="RAY_ADDRESS, or else this machine alone"),
    ] = None,
    actors: Annotated[
        int | None, typer.Option(min=1, help="Processes of Ray that hold the model.", show_default="as many as fit")
    ] = None,
    gpus_per_actor: Annotated[
        float | None,
        typer.Option(min=0, help="With 0.25, four actors share a GPU.", show_default="1 where there are any"),
    ] = None,
    cpus_per_actor: Annotated[int, typer.Option(min=1, help="Cores, and threads of its model.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Embed every row of a catalogue.

    The file is Parquet, with id, vector and the model's fingerprint. A run that ends early leaves what it has finished
    in OUT.parts; the same command goes on there.
    """
    from item_embed.catalog.store import Catalog
    from item_embed.files import check_output
    from item_embed.remote.places import place

    target = place(out)
    check_output(target)
    opened = Catalog(catalog)

    from item_embed.embedding.bulk import embed_shards, enough_workers
    from item_embed.embedding.embedder import Embedder
    from item_embed.embedding.ray_engine import Cluster, check_cluster, embed_shards_with_ray
    from item_embed.embedding.shards import Job, Shards

    cluster = Cluster(ray_address, actors, gpus_per_actor, cpus_per_actor)
    by_ray = engine == "ray"
    if by_ray:
        _refuse_for_ray(workers, precision)
        check_cluster(cluster)
    elif cluster != Cluster():
        raise ConfigError("--ray-address, --actors, --gpus-per-actor and --cpus-per-actor are for --engine ray.")
    # Where actors embed, this process only has to know the model.
    embedder = Embedder.from_pretrained(model, "cpu" if by_ray else device, precision)
    shards = Shards(target, Job.of(embedder, opened, modalities))
    with shards.held():
        missing = shards.missing()
        kept, made = len(shards.job) - len(missing), sum(len(shards.job.shard(number)) for number in missing)
        if kept:
            said = f"{kept:,} of {number_of(len(shards.job), 'shard')} {are(kept)} kept"
            say(f"note: {said} from an earlier run in {shards.folder}")
        workers = enough_workers(made, modalities) if workers is None and not by_ray else workers or 0
        began, again = time.monotonic(), 0
        with progress("embedding") as on_progress:
            how: dict[str, Any] = {"batch_size": batch_size, "on_progress": on_progress}
            if by_ray:
                again = embed_shards_with_ray(model, opened, shards, cluster, device=device, **how)
            else:
                embed_shards(embedder, opened, shards, workers=workers, **how)
        rate = made / max(time.monotonic() - began, 1e-9) if made else None
        empty = shards.merge()
    if again:
        say(f"note: {number_of(again, 'shard was', 'shards were')} embedded again: a process that had begun was lost")
    if as_json:
        print_json(
            {
                "out": str(target),
                "rows": len(opened),
                "empty": empty,
                "dimension": embedder.dimension,
                "modalities": modalities,
                "fingerprint": embedder.fingerprint,
                "shards": len(shards.job),
                "kept_shards": kept,
                "engine": engine,
                "workers": workers,
                "retried_shards": again,
                "rows_per_second": rate and round(rate, 1),
            }
        )
    else:
        lacking = f" ({number_of(empty, 'row has', 'rows have')} no {modalities} and got zeros)" if empty else ""
        pace = f", {rate:,.0f} rows a second" if rate else ""
        print(f"{number_of(len(opened), 'vector')} of {embedder.dimension} numbers in {target}{lacking}{pace}.")


def _refuse_for_ray(workers: int | None, precision: str) -> None:
    """Refuse options that mean nothing where actors embed."""
    if workers is not None:
        raise ConfigError(
            "--workers is for one machine; with --engine ray each actor decodes its photos: give more --actors, or "
            "smaller --gpus-per-actor."
        )
    if precision == "auto":
        raise ConfigError("--precision auto may differ between machines; with --engine ray give fp32 or bf16.")
