"""`--task robustness`: what is still found when photos and titles of the queries are altered."""

from pathlib import Path
from typing import TYPE_CHECKING

from item_embed.cli.console import print_json, progress, say
from item_embed.cli.evaluating.request import Request, queries_of, show

if TYPE_CHECKING:
    from item_embed.catalog.store import Catalog


def robustness(request: Request, catalog: "Catalog") -> None:
    """Alter queries more and more, and search the catalogue as it is."""
    request.refuse("--task robustness", "baselines", "by", "fine_tune", "variants")

    from item_embed.embedding.embedder import Embedder
    from item_embed.evaluation.alterations import photo_alterations
    from item_embed.evaluation.drawn import MOST_QUERIES
    from item_embed.evaluation.embedded import read_catalog_vectors
    from item_embed.evaluation.finders import vector_finder
    from item_embed.evaluation.report import write_report
    from item_embed.evaluation.robustness import evaluate_robustness
    from item_embed.evaluation.run import default_split
    from item_embed.evaluation.tables import robustness_tables

    queries = queries_of(request, catalog, default_split(Path(request.model), catalog))
    embedder = Embedder.from_pretrained(Path(request.model), device=request.device)
    modalities, batch_size = request.modalities or "both", request.batch_size or 256
    given = None if request.vectors is None else read_catalog_vectors(request.vectors, catalog, embedder, modalities)
    with progress("embedding the catalogue") as on_progress:
        finder = vector_finder(
            embedder, catalog, modalities, vectors=given, batch_size=batch_size, on_progress=on_progress
        )
    with progress("altering queries") as on_progress:
        found = evaluate_robustness(
            finder,
            queries,
            photos=photo_alterations(embedder.processor.image_size, embedder.model.config.patch_size),
            most=request.sample or MOST_QUERIES,
            seed=request.seed,
            on_progress=on_progress,
        )
    for remark in found.remarks:
        say(remark)
    tables = robustness_tables(found)
    if request.as_json:
        print_json(found.as_json())
    else:
        show(tables)
        whole = found.unaltered.figures(request.seed)["macro_recall_at_10"].text()
        print(
            f"{len(found.unaltered.queries):,} queries: macro recall@10 {whole} as they are.{request.page}", flush=True
        )
    if request.html:
        write_report(request.html, f"{request.model} on {catalog.path.name}", tables)
