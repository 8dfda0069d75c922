"""`--task same-product`: is the same product found?"""

from pathlib import Path
from typing import TYPE_CHECKING

from item_embed.cli.console import print_json, progress, say
from item_embed.cli.evaluating.request import Request, queries_of, show
from item_embed.embedding.seen import Modalities

if TYPE_CHECKING:
    from item_embed.catalog.store import Catalog
    from item_embed.evaluation.queries import QuerySet
    from item_embed.evaluation.report import Table
    from item_embed.evaluation.same_product import SameProductResult


def same_product(request: Request, catalog: "Catalog") -> None:
    """Search for every query, by the model or a simple method, and compare."""
    from item_embed.evaluation.baselines import METHODS
    from item_embed.evaluation.run import default_split, evaluate_simple, training_remarks
    from item_embed.evaluation.same_product import as_json, column_of
    from item_embed.evaluation.tables import variant_table
    from item_embed.evaluation.variants import evaluate_variants

    request.refuse("--task same-product", "fine_tune", "sample")
    is_simple = request.model in METHODS
    if is_simple:
        _check_simple(request, METHODS[request.model].modalities)
    queries = queries_of(request, catalog, "all" if is_simple else default_split(Path(request.model), catalog))
    if request.by is not None:
        column_of(queries, request.by)  # refuse a wrong name before the work, not after it
    remarks = () if is_simple else training_remarks(Path(request.model), catalog, queries)
    for remark in (*queries.remarks, *remarks):
        say(remark)
    if is_simple:
        compared = [name for name in METHODS if request.baselines and name != request.model]
        result, *others = evaluate_simple([request.model, *compared], catalog, queries, progress)
    else:
        result = _model(request, catalog, queries)
        fitting = [name for name, method in METHODS.items() if result.modalities in ("both", method.modalities)]
        others = evaluate_simple(fitting, catalog, queries, progress) if request.baselines else []
    variants = None if request.variants is None else evaluate_variants(result, catalog, request.variants)
    tables = _tables(request, result, others) if request.html or not request.as_json else []
    if variants is not None:
        tables.append(variant_table(variants, request.seed))
    if request.as_json:
        more = {} if variants is None else {"variants": variants.as_json(request.seed)}
        print_json(as_json(result, others, request.by, request.seed, remarks) | more)
    else:
        show(tables)
        found = result.figures(request.seed)["macro_recall_at_10"].text()
        of = f"{len(queries):,} queries among {len(catalog):,} listings"
        print(
            f"{of}: {result.method} has macro recall@10 {found}{_ahead(request, result, others)}.{request.page}",
            flush=True,
        )
    if request.html:
        _write_page(request.html, request, catalog, result, tables)


def _check_simple(request: Request, seen: Modalities) -> None:
    from item_embed.errors import ConfigError

    request.refuse("a simple method", "vectors", "device", "batch_size")
    if request.modalities not in (None, seen):
        raise ConfigError(
            f"{request.model} sees {seen}, whatever --modalities says; leave it out, or choose another method."
        )


def _ahead(request: Request, result: "SameProductResult", others: "list[SameProductResult]") -> str:
    """Say it where another method finds more."""
    recall = {one.method: one.figures(request.seed)["macro_recall_at_10"] for one in (result, *others)}
    best = max(recall, key=lambda method: recall[method].value)
    return "" if recall[best].value == recall[result.method].value else f"; {best} is ahead with {recall[best].text()}"


def _model(request: Request, catalog: "Catalog", queries: "QuerySet") -> "SameProductResult":
    from item_embed.embedding.embedder import Embedder
    from item_embed.evaluation.run import evaluate_model

    return evaluate_model(
        Embedder.from_pretrained(Path(request.model), device=request.device),
        catalog,
        queries,
        request.modalities or "both",
        vectors=request.vectors,
        batch_size=request.batch_size or 256,
        stage=progress,
    )


def _tables(request: Request, result: "SameProductResult", others: "list[SameProductResult]") -> "list[Table]":
    from item_embed.evaluation.report import by_table, difference_table, figure_table

    tables = [figure_table([result, *others], request.seed)]
    if others:
        tables.append(difference_table(result, others, request.seed))
    if request.by is not None:
        tables.append(by_table([result, *others], request.by, request.seed))
    return tables


def _write_page(
    path: Path, request: Request, catalog: "Catalog", result: "SameProductResult", tables: "list[Table]"
) -> None:
    from item_embed.evaluation.report import example_queries, write_report

    log = Path(request.model).parent / "metrics.jsonl"  # a model lies in its run's folder
    examples = example_queries(result, catalog, seed=request.seed)
    title = f"{request.model} on {catalog.path.name}"
    write_report(path, title, tables, examples, log if log.is_file() else None)
