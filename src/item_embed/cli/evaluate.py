"""`item evaluate`: how well a model, or a simple method, does what it should."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from item_embed.cli.evaluating.dominance import dominance
from item_embed.cli.evaluating.leaf_category import leaf_category
from item_embed.cli.evaluating.reconstruction import reconstruction
from item_embed.cli.evaluating.request import Request, Split
from item_embed.cli.evaluating.robustness import robustness
from item_embed.cli.evaluating.same_product import same_product
from item_embed.embedding.seen import Modalities


class Task(StrEnum):
    """What is evaluated."""

    SAME_PRODUCT = "same-product"
    LEAF_CATEGORY = "leaf-category"
    DOMINANCE = "dominance"
    ROBUSTNESS = "robustness"
    RECONSTRUCTION = "reconstruction"


def command(
    model: Annotated[
        str,
        typer.Argument(
            help="Folder of a trained model, such as RUN/model, or a simple method: "
            "tfidf, characters, pixels, colours, pixels+colours, simple."
        ),
    ],
    catalog: Annotated[Path, typer.Argument(help="Catalogue made by `item prepare`.")],
    *,
    task: Annotated[Task, typer.Option(help="What to measure; the guide describes each.")] = Task.SAME_PRODUCT,
    queries: Annotated[
        Path | None,
        typer.Option(help="Parquet file of second listings: query_id, title, image, product_id, item_id."),
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
        Path | None, typer.Option(help="Vectors of this catalogue by `item embed`, with the same --modalities.")
    ] = None,
    baselines: Annotated[bool, typer.Option("--baselines", help="Compare with simple methods.")] = False,
    fine_tune: Annotated[
        bool, typer.Option("--fine-tune", help="For leaf-category: also train the encoder itself; slow.")
    ] = False,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Queries drawn for dominance and robustness.", show_default="500"),
    ] = None,
    by: Annotated[str | None, typer.Option(help="Also by the values of this column of --queries.")] = None,
    variants: Annotated[
        str | None,
        typer.Option(help="Also how often listings of other products that share this column of the feed are found."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page with examples here as well.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of intervals, examples and masks.")] = 0,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Products embedded at once.", show_default="256")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps …; by default the best there is.")] = None,
) -> None:
    """Measure a model on a catalogue, every figure with its 95 % interval."""
    from item_embed.catalog.store import Catalog
    from item_embed.files import check_output

    if html and not html.is_file():  # a page may be replaced
        check_output(html, "--html")
    request = Request(
        model=model,
        queries=queries,
        modalities=modalities,
        split=split,
        vectors=vectors,
        baselines=baselines,
        fine_tune=fine_tune,
        sample=sample,
        by=by,
        variants=variants,
        as_json=as_json,
        html=html,
        seed=seed,
        batch_size=batch_size,
        device=device,
    )
    tasks = {
        Task.SAME_PRODUCT: same_product,
        Task.LEAF_CATEGORY: leaf_category,
        Task.DOMINANCE: dominance,
        Task.ROBUSTNESS: robustness,
        Task.RECONSTRUCTION: reconstruction,
    }
    tasks[task](request, Catalog(catalog))
