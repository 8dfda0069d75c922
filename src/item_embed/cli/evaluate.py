"""`item evaluate`: how well a model, or a simple method, does what it should."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from item_embed.cli.console import check_page, print_json
from item_embed.cli.evaluating.card import write_card
from item_embed.cli.evaluating.outcome import Outcome, tell, write_page
from item_embed.cli.evaluating.request import Request, SharedWords, Split
from item_embed.cli.evaluating.subject import Subject
from item_embed.cli.evaluating.tasks import run_all, run_one
from item_embed.embedding.seen import Modalities
from item_embed.wording import number_of


class Task(StrEnum):
    """What is evaluated."""

    SAME_PRODUCT = "same-product"
    LEAF_CATEGORY = "leaf-category"
    DOMINANCE = "dominance"
    ROBUSTNESS = "robustness"
    RECONSTRUCTION = "reconstruction"
    ALL = "all"


def command(
    model: Annotated[
        str,
        typer.Argument(
            help="Folder of a trained model, such as RUN/model, or a simple method: "
            "tfidf, characters, pixels, colours, pixels+colours, simple."
        ),
    ],
    catalog: Annotated[str, typer.Argument(help="Catalogue made by `item prepare`, a path or a URL.")],
    *,
    task: Annotated[
        Task, typer.Option(help="What to measure, or all that the catalogue allows; the guide describes each.")
    ] = Task.SAME_PRODUCT,
    queries: Annotated[
        Path | None,
        typer.Option(help="Parquet file of second listings: query_id, title, image, product_id, item_id."),
    ] = None,
    relist: Annotated[
        int | None, typer.Option(min=1, help="Simulate so many second listings of rows of the split, and ask for them.")
    ] = None,
    modalities: Annotated[
        Modalities | None,
        typer.Option(
            help="What the model sees of queries and index.", show_default="both, or what a simple method sees"
        ),
    ] = None,
    split: Annotated[
        Split | None,
        typer.Option(
            help="Where the queries come from; the index is always all rows.",
            show_default="test if the model was trained on this catalogue, else all",
        ),
    ] = None,
    vectors: Annotated[
        str | None, typer.Option(help="Vectors of this catalogue by `item embed`, with the same --modalities.")
    ] = None,
    baselines: Annotated[bool, typer.Option("--baselines", help="Compare with simple methods.")] = False,
    hybrid: Annotated[
        bool, typer.Option("--hybrid", help="Also join the model with words, as `item search --hybrid` does.")
    ] = False,
    mask_shared_words: Annotated[
        SharedWords | None,
        typer.Option(
            help="Take the words out of titles that all listings of a product have in common: those that no other "
            "product has (names), or all."
        ),
    ] = None,
    fine_tune: Annotated[
        bool, typer.Option("--fine-tune", help="For leaf-category: also train the encoder itself; slow.")
    ] = False,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Queries drawn for dominance and robustness.", show_default="500"),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(help="Also by the values of this column of --queries or of the feed, or by category."),
    ] = None,
    variants: Annotated[
        str | None,
        typer.Option(help="Also how often listings of other products that share this column of the feed are found."),
    ] = None,
    probabilities: Annotated[
        Path | None,
        typer.Option(
            help="Also learn from the queries how probably a hit of a score is their product, into this file, for "
            "`item serve --query-probabilities`."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots and pictures here as well.")] = None,
    card: Annotated[
        bool, typer.Option("--card", help="Write the table into the model's card, MODEL/README.md, as well.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of intervals, examples, relistings and masks.")] = 0,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Products embedded at once.", show_default="256")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps …; by default the best there is.")] = None,
) -> None:
    """Measure a model on a catalogue.

    Every figure has its 95 % interval.
    """
    from item_embed.catalog.store import Catalog

    check_page(html)
    request = Request(
        model=model,
        as_json=as_json,
        html=html,
        card=card,
        seed=seed,
        queries=queries,
        relist=relist,
        modalities=modalities,
        split=split,
        vectors=vectors,
        baselines=baselines,
        hybrid=hybrid,
        mask_shared_words=mask_shared_words,
        fine_tune=fine_tune,
        sample=sample,
        by=by,
        variants=variants,
        probabilities=probabilities,
        batch_size=batch_size,
        device=device,
    )
    subject = Subject(request, Catalog(catalog))
    if subject.is_simple:
        request.refuse("a simple method", "card")
    outcomes = _all(request, subject) if task is Task.ALL else _one(task.value, request, subject)
    write_card(request, subject, outcomes)


def _one(task: str, request: Request, subject: Subject) -> dict[str, Outcome]:
    outcome = run_one(task, request, subject)
    if request.as_json:
        print_json(outcome.as_json())
    else:
        tell(outcome, request.page)
    write_page(request, subject.catalog, {task: outcome})
    return {task: outcome}


def _all(request: Request, subject: Subject) -> dict[str, Outcome]:
    outcomes, left_out = run_all(request, subject)
    write_page(request, subject.catalog, outcomes, left_out)
    if request.as_json:
        objects = {name: outcome.as_json() for name, outcome in outcomes.items()}
        print_json({"task": "all", "tasks": objects, "left_out": left_out})
        return outcomes
    print()
    for name, outcome in outcomes.items():
        print(f"{name}: {outcome.summary}")
    for name, reason in left_out.items():
        print(f"{name} is left out: {reason}")
    print(f"{len(outcomes)} of {number_of(len(outcomes) + len(left_out), 'task')} measured.{request.page}", flush=True)
    return outcomes
