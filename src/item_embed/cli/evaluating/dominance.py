"""`--task dominance`: what the vectors hang on, the photo or the title."""

from pathlib import Path
from typing import TYPE_CHECKING

from item_embed.cli.console import print_json, progress, say
from item_embed.cli.evaluating.request import Request, queries_of, show
from item_embed.errors import CatalogError

if TYPE_CHECKING:
    from item_embed.catalog.store import Catalog


def dominance(request: Request, catalog: "Catalog") -> None:
    """Exchange photos and titles, and see how far vectors go and what is still found."""
    request.refuse("--task dominance", "modalities", "vectors", "baselines", "by", "fine_tune", "variants")

    from item_embed.embedding.embedder import Embedder
    from item_embed.evaluation.dominance import evaluate_dominance
    from item_embed.evaluation.drawn import MOST_QUERIES
    from item_embed.evaluation.report import write_report
    from item_embed.evaluation.run import default_split
    from item_embed.evaluation.tables import dominance_tables

    split = request.split or default_split(Path(request.model), catalog)
    try:
        queries = queries_of(request, catalog, split)
    except CatalogError:
        if request.queries is not None:
            raise
        queries = None  # no labels: how far vectors go can be measured all the same
    found = evaluate_dominance(
        Embedder.from_pretrained(Path(request.model), device=request.device),
        catalog,
        queries,
        split=split,
        most=request.sample or MOST_QUERIES,
        seed=request.seed,
        batch_size=request.batch_size or 256,
        stage=progress,
    )
    for remark in found.remarks:
        say(remark)
    tables = dominance_tables(found)
    if request.as_json:
        print_json(found.as_json())
    else:
        show(tables)
        index = found.movement.figures(request.seed)["index"].text("+.3f")
        print(
            f"{len(found.movement):,} listings: dominance index {index}, from -1 (title) to +1 (photo).{request.page}"
        )
    if request.html:
        write_report(request.html, f"{request.model} on {catalog.path.name}", tables)
