"""`item ablate`: what each setting is worth, by a grid of pre-training runs."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from item_embed.cli.console import print_json, progress, say, table
from item_embed.cli.evaluating.request import refuse_two_sources, show
from item_embed.wording import are, duration, number_of

if TYPE_CHECKING:
    from item_embed.evaluation.ablation.plan import Plan
    from item_embed.evaluation.ablation.running import Ablation, About
    from item_embed.evaluation.ablation.timing import Cost


class HeldOut(StrEnum):
    """Where queries come from: rows that are not trained on."""

    VALIDATION = "validation"
    TEST = "test"


def command(
    grid: Annotated[Path, typer.Argument(help="YAML file of axes, their points, and seeds; docs/ablate.md has one.")],
    catalog: Annotated[str, typer.Argument(help="Catalogue made by `item prepare`, a path or a URL.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the ablation; begun before, it goes on.")],
    queries: Annotated[
        Path | None,
        typer.Option(help="Parquet file of second listings; their groups are left out of training."),
    ] = None,
    relist: Annotated[
        int | None, typer.Option(min=1, help="Make so many second listings of held-out rows and ask for those.")
    ] = None,
    split: Annotated[HeldOut, typer.Option(help="Where queries come from, without --queries.")] = HeldOut.TEST,
    leaf_category: Annotated[
        bool, typer.Option("--leaf-category/--no-leaf-category", help="Also predict categories, where there are any.")
    ] = True,
    jobs: Annotated[int, typer.Option(min=1, help="Runs side by side, each with one thread.")] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the runs and what they will cost; run nothing.")
    ] = False,
    only_table: Annotated[bool, typer.Option("--table", help="Print what is there; run nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Products embedded at once.")] = 256,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps …; by default the best there is.")] = None,
) -> None:
    """Pre-train and measure every point of a grid of settings.

    Each is pre-trained with every seed, and they are compared in OUT/table.md and OUT/report.html. What is there is not
    made again, so the command can be stopped and repeated, and the grid can grow.
    """
    from item_embed.errors import ConfigError
    from item_embed.evaluation.ablation.grid import read_grid
    from item_embed.evaluation.ablation.plan import make_plan

    refuse_two_sources(queries, relist, split=split is not HeldOut.TEST)
    if dry_run and only_table:
        raise ConfigError("--dry-run tells what is to be made and --table what is there; leave one of them out.")
    plan = make_plan(read_grid(grid))

    from item_embed.evaluation.ablation.running import Ablation, read_about
    from item_embed.evaluation.asked import Asked
    from item_embed.evaluation.learners.trained import find_device
    from item_embed.remote.places import place
    from item_embed.training.optimiser import keep_few_kernels

    find_device(device)  # one that is not there ends it before anything is written
    keep_few_kernels()
    ablation = Ablation(out, place(catalog), Asked(queries, relist, split.value), leaf_category, batch_size, device)
    if only_table:
        _tell(ablation, plan, read_about(out), as_json=as_json)
    elif dry_run:
        _estimate(ablation, plan, jobs, as_json=as_json)
    else:
        _run(ablation, plan, grid, jobs)
        _tell(ablation, plan, ablation.about, as_json=as_json, keep=True)


def _run(ablation: "Ablation", plan: "Plan", grid: Path, jobs: int) -> None:
    from item_embed.evaluation.ablation.running import make_runs
    from item_embed.files import locked

    with locked(ablation.out):
        ablation.begin(grid)
        try:
            for run, reason in make_runs(ablation, plan.runs, jobs=jobs, stage=progress):
                say(f"{run.label}, seed {run.seed}: {'done' if reason is None else f'failed: {reason}'}")
        except KeyboardInterrupt:
            say("stopped; the same command goes on")
            raise


def _tell(ablation: "Ablation", plan: "Plan", about: "About", *, as_json: bool, keep: bool = False) -> None:
    """Print the tables, and write table and page if they are to be kept."""
    from item_embed.errors import ModelError
    from item_embed.evaluation.ablation.page import write_page
    from item_embed.evaluation.ablation.results import gather
    from item_embed.evaluation.ablation.tables import ablation_json, ablation_tables, axis_summary, markdown, remarks
    from item_embed.files import whole_file

    found = gather(ablation, plan)
    for remark in remarks(found, about):
        say(remark)
    tables = ablation_tables(found, about)
    title = f"Ablation on {Path(about.catalog).name}"
    if keep:
        with whole_file(ablation.out / "table.md") as aside:
            aside.write_text(markdown(title, tables), encoding="utf8")
        write_page(ablation.out / "report.html", title, found, about)
    if as_json:
        print_json(ablation_json(found, about))
    else:
        show(tables)
        for axis in found.axes:
            print(f"{axis.title}: {axis_summary(axis)}")
        kept = f" Table in {ablation.out / 'table.md'}, page in {ablation.out / 'report.html'}." if keep else ""
        print(f"{found.made:,} of {number_of(found.planned, 'run')} {are(found.made)} measured.{kept}", flush=True)
    if keep and not found.made:
        raise ModelError("no run could be made; see why each failed.")


def _estimate(ablation: "Ablation", plan: "Plan", jobs: int, *, as_json: bool) -> None:
    from math import isfinite

    from item_embed.evaluation.ablation.timing import estimate, makespan

    ablation.check()
    for remark in ablation.about.remarks:
        say(remark)
    costs = estimate(ablation, plan.runs, one_thread=jobs > 1, stage=progress)
    known = [cost.seconds for cost in costs if isfinite(cost.seconds)]
    total = makespan(known, jobs)
    if as_json:
        print_json(
            {
                "runs": [_cost_json(cost) for cost in costs],
                "jobs": jobs,
                "seconds": sum(known),
                "seconds_until_done": total,
            }
        )
        return
    columns = ["run", "seed", "state", "steps left", "pairs", "parameters", "GFLOP a pair", "s a step", "minutes left"]
    table("Runs", columns, [_cost_row(cost) for cost in costs])
    for cost in costs:
        if cost.problem is not None:
            say(f"{cost.run.label}, seed {cost.run.seed} could not be tried: {cost.problem}")
    todo = sum(cost.state != "measured" for cost in costs)
    side = f" {jobs} at a time: about {duration(total)}." if jobs > 1 else ""
    runs = f"{todo:,} of {number_of(len(costs), 'run')} {are(todo)}"
    print(f"{runs} to be made, about {duration(sum(known))} of work.{side}", flush=True)


def _cost_row(cost: "Cost") -> list[str]:
    training, shape = cost.run.config.training, cost.shape
    pairs = f"{training.steps * training.batch_size:,}"
    head = [cost.run.label, str(cost.run.seed), cost.state.value, f"{cost.steps:,}", pairs]
    if shape is None:
        return [*head, "", "", "", ""]
    step = f"{shape.later_step:.2f}"
    return [*head, f"{shape.parameters:,}", f"{shape.flops / 1e9:.3g}", step, f"{cost.seconds / 60:.1f}"]


def _cost_json(cost: "Cost") -> dict[str, object]:
    training, shape = cost.run.config.training, cost.shape
    measured: dict[str, object] = {"problem": cost.problem}
    if shape is not None:
        measured = {
            "parameters": shape.parameters,
            "flops_per_pair": shape.flops,
            "seconds_per_step": shape.later_step,
            "seconds": cost.seconds,
        }
    return {
        "run": cost.run.label,
        "seed": cost.run.seed,
        "folder": cost.run.name,
        "state": cost.state.value,
        "steps": training.steps,
        "steps_left": cost.steps,
        "samples": training.steps * training.batch_size,
        **measured,
    }
