"""`item compare`: the paper's table on the user's catalogue."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from item_embed.cli.console import check_page, print_json, progress, say, table
from item_embed.cli.evaluating.request import Split, refuse_two_sources, show
from item_embed.wording import are, number_of

if TYPE_CHECKING:
    from item_embed.evaluation.comparison.running import Comparison
    from item_embed.evaluation.comparison.setup import Setup

_OTHERS = ["simple", "tfidf", "resnet50", "roberta", "clip", "concatenation", "supervised"]
_METHODS = [*_OTHERS, "item-local", "item", "fused:item-agreement"]


def command(
    catalog: Annotated[str, typer.Argument(help="Catalogue made by `item prepare`, a path or a URL.")],
    methods: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[METHOD|KEY=VALUE]...",
            help="Methods, such as simple, clip, item:objectives.weights.gmim=0, frozen:NAME, whitened:clip, "
            "fused:clip or hybrid:clip, and settings of all.",
            show_default=" ".join(_METHODS),
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="Folder of the comparison; begun before, it goes on.")],
    config: Annotated[
        str, typer.Option(help="tiny, search, small, base, paper, or a YAML file: the size all are matched with.")
    ] = "tiny",
    queries: Annotated[
        Path | None,
        typer.Option(help="Parquet file of second listings; their groups are left out of training."),
    ] = None,
    relist: Annotated[
        int | None, typer.Option(min=1, help="Make so many second listings of held-out rows and ask for those.")
    ] = None,
    split: Annotated[Split, typer.Option(help="Where queries come from, without --queries.")] = Split.TEST,
    reference: Annotated[
        str | None, typer.Option(help="The method that others are compared with.", show_default="item, or the last")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Train each method so often, with other seeds.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Methods trained side by side, each with one thread.")] = 1,
    leaf_category: Annotated[
        bool, typer.Option("--leaf-category/--no-leaf-category", help="Also predict categories, where there are any.")
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be trained and measured, and what is done; do nothing.")
    ] = False,
    only_table: Annotated[
        bool, typer.Option("--table", help="Print what is there; train and measure nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page here as well.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Products embedded at once.")] = 256,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps …; by default the best there is.")] = None,
) -> None:
    """Train methods of matched size on a catalogue and compare them.

    Differences are paired.
    """
    from item_embed.errors import ConfigError, ModelError

    check_page(html)
    refuse_two_sources(queries, relist, split=split is not Split.TEST)
    given = methods or []
    settings = [one for one in given if "=" in one and ":" not in one.split("=")[0]]
    names = [one for one in given if one not in settings] or _METHODS
    if dry_run and only_table:
        raise ConfigError("--dry-run tells what is to be done and --table what is there; leave one of them out.")
    if dry_run and html:
        raise ConfigError("--dry-run has no figures for a page; leave --html out.")

    from item_embed.evaluation.learners.choosing import models_of

    rows = [models_of(name)[0] for name in names]
    chosen = models_of(reference)[0] if reference else "item" if "item" in rows else rows[-1]
    if chosen not in rows:
        raise ConfigError(f"--reference {reference} is none of the methods compared: {', '.join(rows)}.")

    from item_embed.catalog.store import Catalog
    from item_embed.config import RunConfig
    from item_embed.evaluation.asked import Asked
    from item_embed.evaluation.comparison.running import compare, gather, is_trained
    from item_embed.evaluation.comparison.setup import Setup
    from item_embed.training.initial import unsaid
    from item_embed.training.optimiser import keep_few_kernels

    if split is Split.ALL and (trained := next(filter(is_trained, names), None)):
        raise ConfigError(f"--split all would ask for rows that {trained} is trained on; give validation or test.")
    keep_few_kernels()
    setup = Setup(
        out=out,
        path=Catalog(catalog).path,
        config=RunConfig.load(config, settings),
        asked=Asked(queries, relist, split.value),
        leaf_category=leaf_category,
        batch_size=batch_size,
        device=device,
    )
    if dry_run:
        _list(setup, names, seeds, as_json=as_json)
        return
    if only_table:
        found = gather(setup, names, seeds)
    else:
        found = compare(setup, names, seeds, jobs=jobs, stage=progress, on_remark=unsaid if as_json else say)
    _tell(setup, found, chosen, as_json=as_json, html=html)
    if not only_table and not found.entries:
        raise ModelError("no method could be trained and measured; see why each was left out.")


def _list(setup: "Setup", names: list[str], seeds: int, *, as_json: bool) -> None:
    from item_embed.evaluation.attempts import State
    from item_embed.evaluation.comparison.cost import told_before
    from item_embed.evaluation.comparison.running import plan, trainings

    setup.is_begun()  # with another catalogue, queries or configuration it ends here
    jobs = plan(setup, names, seeds)
    listed = [(job.method, job.seed, job.state) for job in jobs]
    if as_json:
        print_json({"methods": [{"method": name, "seed": seed, "state": state} for name, seed, state in listed]})
        return
    table("Methods", ["method", "seed", "state"], [[name, str(seed), state] for name, seed, state in listed])
    todo = sum(state is not State.MEASURED for _, _, state in listed)
    print(told_before(trainings(jobs).total(), setup.config.training))
    print(f"{todo:,} of {len(listed):,} {are(todo)} to be made.", flush=True)


def _tell(setup: "Setup", found: "Comparison", reference: str, *, as_json: bool, html: Path | None) -> None:
    from item_embed.evaluation.comparison.page import write_page
    from item_embed.evaluation.comparison.tables import comparison_json, comparison_tables, summary

    for remark in found.questions.remarks:
        say(remark)
    tables = comparison_tables(found, reference)
    if as_json:
        print_json(comparison_json(found, reference))
    else:
        show(tables)
        page = f" Page in {html}." if html else ""
        print(f"{number_of(len(found.entries), 'method')}: {summary(found)}{page}", flush=True)
    if html:
        title = f"Methods compared on {setup.path.name}"
        write_page(html, title, found, reference, tables=tables, summary=summary(found))
