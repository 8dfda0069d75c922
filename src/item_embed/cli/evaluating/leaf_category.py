"""`--task leaf-category`: how much of a product's category its vector holds."""

from pathlib import Path
from typing import TYPE_CHECKING

from item_embed.cli.console import print_json, progress, say
from item_embed.cli.evaluating.request import Request, show

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from item_embed.catalog.store import Catalog
    from item_embed.evaluation.classifiers import Classifier


def leaf_category(request: Request, catalog: "Catalog") -> None:
    """Train classifiers on the vectors of labelled rows and judge them."""
    request.refuse("--task leaf-category", "queries", "split", "by", "sample", "variants")

    from item_embed.evaluation.leaf_category import as_json, evaluate_leaf_category
    from item_embed.evaluation.leaves import leaf_task
    from item_embed.evaluation.report import write_report
    from item_embed.evaluation.tables import confusion_table, leaf_category_table, learning_curve_table

    task = leaf_task(catalog)
    for remark in task.remarks:
        say(remark)
    results = evaluate_leaf_category(task, _classifiers(request, catalog), seed=request.seed, stage=progress)
    baseline = "tfidf" if request.baselines else None
    tables = [leaf_category_table(results, request.seed), learning_curve_table(results, request.seed)]
    tables.append(confusion_table(results[0]))
    if request.as_json:
        print_json(as_json(results, baseline, seed=request.seed))
    else:
        show(tables[:2])
        accuracy = results[0].figures(request.seed)["accuracy"].text()
        print(
            f"{len(task.test):,} test rows of {len(task.leaves):,} leaves: accuracy {accuracy}.{request.page}",
            flush=True,
        )
    if request.html:
        write_report(request.html, f"{request.model} on {catalog.path.name}", tables)


def _classifiers(request: Request, catalog: "Catalog") -> "dict[str, Classifier]":
    from item_embed.evaluation.classifiers import linear_probe, nearest_neighbours, tfidf_linear

    if request.model == "tfidf":
        request.refuse("a simple method", "vectors", "device", "batch_size", "modalities", "fine_tune", "baselines")
        return {"tfidf": tfidf_linear(catalog)}
    vectors = _vectors(request, catalog)
    methods: dict[str, Classifier] = {
        "linear probe": linear_probe(vectors),
        "nearest neighbours": nearest_neighbours(vectors),
    }
    if request.fine_tune:
        from item_embed.evaluation.fine_tuning import fine_tune

        modalities = request.modalities or "both"
        methods["fine-tuned"] = fine_tune(request.model, catalog, modalities, device=request.device)
    if request.baselines:
        methods["tfidf"] = tfidf_linear(catalog)
    return methods


def _vectors(request: Request, catalog: "Catalog") -> "NDArray[np.float32]":
    from item_embed.embedding.bulk import embed_catalog
    from item_embed.embedding.embedder import Embedder
    from item_embed.evaluation.embedded import read_catalog_vectors

    embedder = Embedder.from_pretrained(Path(request.model), device=request.device)
    modalities = request.modalities or "both"
    if request.vectors is not None:
        return read_catalog_vectors(request.vectors, catalog, embedder, modalities)
    with progress("embedding the catalogue") as on_progress:
        made = embed_catalog(
            embedder, catalog, modalities, batch_size=request.batch_size or 256, on_progress=on_progress
        )
    return made.vectors
