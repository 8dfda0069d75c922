"""`item pretrain`: from a catalogue to a trained model, without labels."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from item_embed.cli.console import print_json, progress, say, table
from item_embed.cli.processes import restarted
from item_embed.wording import number_of

if TYPE_CHECKING:
    from item_embed.training.run import RunSummary


def command(
    catalog: Annotated[str, typer.Argument(help="Catalogue made by `item prepare`, a path or a URL.")],
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="Settings that replace the configuration's, as training.steps=5000."
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="The run's folder; the model will be OUT/model.")],
    config: Annotated[
        str | None,
        typer.Option(
            help="search, tiny, small, base, paper, or a YAML file.",
            show_default="search; the run's own to resume; the model's own with --from",
        ),
    ] = None,
    continue_from: Annotated[
        Path | None,
        typer.Option("--from", help="Begin with this trained model, RUN/model of another run, not from nothing."),
    ] = None,
    exclude_groups: Annotated[
        Path | None,
        typer.Option(help="Parquet file with a column item_id: the groups of these rows are not trained on."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in OUT.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> None:
    """Pre-train a model on a catalogue's titles and photos. No label is read."""
    from item_embed.catalog.store import Catalog
    from item_embed.config import RunConfig
    from item_embed.remote.places import Remote

    own = out / "config.yaml"
    resume = resume or (restarted() and own.is_file())
    goes_on = resume and config is None and own.is_file()
    if continue_from is None or goes_on:
        run_config = RunConfig.load(own if goes_on else config or "search", settings or [])
    else:
        from item_embed.training.continuing import continued_config

        run_config = continued_config(continue_from, config, settings or [])
    opened = Catalog(catalog)
    if isinstance(opened.path, Remote) and not opened.keeps_photos:
        say(
            f"note: {catalog} is too large to be kept in memory, and training asks for photos one by one; it goes "
            "faster from a copy on a local disk"
        )

    from item_embed.training.optimiser import keep_few_kernels
    from item_embed.training.run import pretrain

    keep_few_kernels()
    try:
        with progress("pre-training") as on_progress:
            summary = pretrain(
                opened,
                out,
                run_config,
                exclude_groups=exclude_groups,
                continue_from=continue_from,
                resume=resume,
                on_progress=on_progress,
                on_remark=say,
            )
    except KeyboardInterrupt:
        say(f"stopped; go on with: item pretrain {catalog} --out {out} --resume")
        raise
    if as_json:
        print_json({**vars(summary), "model": str(summary.model)})
    else:
        _summarise(summary)


def _summarise(summary: "RunSummary") -> None:
    if validation := summary.validation:
        figures = {f"{name} loss": value for name, value in validation["losses"].items()} | validation["metrics"]
        rows = [[name.replace("_", " "), f"{value:.4f}"] for name, value in figures.items()]
        table("On held-out rows", ["", "mean"], rows)
    else:
        print("the catalogue has no validation split: nothing was measured on held-out rows")
    left_out = f" ({summary.excluded:,} left out by --exclude-groups)" if summary.excluded else ""
    print(
        f"{number_of(summary.samples, 'sample')} of {number_of(summary.rows, 'row')}{left_out} "
        f"in {number_of(summary.steps, 'step')}; "
        f"the encoder has {summary.parameters / 1e6:.2f} million parameters"
    )
    print(f"model: {summary.model}")
