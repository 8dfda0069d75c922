"""`item evaluate`: how well a model, or a simple method, finds what it should."""

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from item_embed.cli.console import print_json, progress, say, table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from item_embed.catalog.store import Catalog
    from item_embed.embedding.embedder import Embedder
    from item_embed.evaluation.queries import QuerySet
    from item_embed.evaluation.report import Table
    from item_embed.evaluation.same_product import SameProductResult


class Task(StrEnum):
    """What is evaluated."""

    SAME_PRODUCT = "same-product"
    RECONSTRUCTION = "reconstruction"


class Modalities(StrEnum):
    """What the model sees of queries and index."""

    BOTH = "both"
    IMAGE = "image"
    TITLE = "title"


class Split(StrEnum):
    """Where the queries come from."""

    ALL = "all"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class _Request:
    model: str
    queries: Path | None
    modalities: Modalities
    split: Split | None
    vectors: Path | None
    baselines: bool
    by: str | None
    as_json: bool
    html: Path | None
    seed: int
    batch_size: int
    device: str | None


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
    task: Annotated[
        Task, typer.Option(help="Find the same product, or predict masked words and patches.")
    ] = Task.SAME_PRODUCT,
    queries: Annotated[
        Path | None,
        typer.Option(help="Parquet file of second listings: query_id, title, image, product_id, item_id."),
    ] = None,
    modalities: Annotated[Modalities, typer.Option(help="What the model sees of queries and index.")] = Modalities.BOTH,
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
    baselines: Annotated[bool, typer.Option("--baselines", help="Compare with the simple methods.")] = False,
    by: Annotated[str | None, typer.Option(help="Also by the values of this column of --queries.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page with examples here as well.")] = None,
    seed: Annotated[int, typer.Option(help="Of intervals, examples and masks.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Products embedded at once.")] = 256,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps …; by default the best there is.")] = None,
) -> None:
    """Measure a model on a catalogue, every figure with its 95 % interval."""
    from item_embed.catalog.store import Catalog

    request = _Request(
        model, queries, modalities, split, vectors, baselines, by, as_json, html, seed, batch_size, device
    )
    tasks = {Task.SAME_PRODUCT: _same_product, Task.RECONSTRUCTION: _reconstruction}
    tasks[task](request, Catalog(catalog))


def _same_product(request: _Request, catalog: "Catalog") -> None:
    from item_embed.evaluation.baselines import METHODS
    from item_embed.evaluation.same_product import as_json, column_of

    queries = _queries(request, catalog)
    if request.by is not None:
        column_of(queries, request.by)  # refuse a wrong name before the work, not after it
    for remark in queries.remarks:
        say(remark)
    if request.model in METHODS:
        compared = [name for name in METHODS if request.baselines and name != request.model]
        result, *others = _simple_methods([request.model, *compared], catalog, queries)
    else:
        result = _model(request, catalog, queries)
        seen = request.modalities.value
        fitting = [name for name, method in METHODS.items() if seen in ("both", method.modalities)]
        others = _simple_methods(fitting, catalog, queries) if request.baselines else []
    if request.as_json:
        print_json(as_json(result, others, request.by, request.seed))
    tables = _tables(request, result, others) if request.html or not request.as_json else []
    if not request.as_json:
        _show(tables)
    if request.html:
        _write_page(request.html, request, catalog, result, tables)
    found = result.figures(request.seed)["macro_recall_at_10"].text()
    page = f" Page in {request.html}." if request.html else ""
    say(f"{len(queries):,} queries among {len(catalog):,} listings: {result.method} has macro recall@10 {found}.{page}")


def _queries(request: _Request, catalog: "Catalog") -> "QuerySet":
    from item_embed.errors import ConfigError
    from item_embed.evaluation.queries import catalog_queries, given_queries

    if request.queries is None:
        return catalog_queries(catalog, request.split or _default_split(request.model, catalog))
    if request.split is not None:
        raise ConfigError(
            "--split chooses queries among the catalogue's rows and --queries brings its own; leave one of them out."
        )
    return given_queries(request.queries, catalog)


def _default_split(model: str, catalog: "Catalog") -> str:
    """`test` if the model was trained on this catalogue, so that no query was seen in training."""
    try:
        provenance = json.loads((Path(model) / "provenance.json").read_text(encoding="utf8"))
    except (OSError, ValueError):  # a simple method, or a model that tells nothing of its training
        return "all"
    return "test" if provenance.get("catalog_fingerprint") == catalog.fingerprint else "all"


def _model(request: _Request, catalog: "Catalog", queries: "QuerySet") -> "SameProductResult":
    from item_embed.embedding.embedder import Embedder
    from item_embed.evaluation.embedded import embed_queries
    from item_embed.evaluation.same_product import evaluate_same_product
    from item_embed.search.exact import tie_keys

    embedder = Embedder.from_pretrained(Path(request.model), device=request.device)
    rows = _catalog_vectors(request, catalog, embedder)
    if queries.protocol == "listings":
        asked = rows[queries.rows]
    else:
        with progress("embedding the queries") as on_progress:
            asked = embed_queries(
                embedder, queries, request.modalities.value, batch_size=request.batch_size, on_progress=on_progress
            )
    with progress("searching") as on_progress:
        return evaluate_same_product(
            rows, asked, queries, tie_keys(catalog.ids), modalities=request.modalities.value, on_progress=on_progress
        )


def _catalog_vectors(request: _Request, catalog: "Catalog", embedder: "Embedder") -> "NDArray[np.float32]":
    from item_embed.embedding.bulk import embed_catalog
    from item_embed.evaluation.embedded import read_catalog_vectors

    if request.vectors is not None:
        return read_catalog_vectors(request.vectors, catalog, embedder, request.modalities.value)
    with progress("embedding the catalogue") as on_progress:
        return embed_catalog(
            embedder, catalog, request.modalities.value, batch_size=request.batch_size, on_progress=on_progress
        ).vectors


def _simple_methods(names: list[str], catalog: "Catalog", queries: "QuerySet") -> "list[SameProductResult]":
    from item_embed.evaluation.baselines import METHODS, simple_methods
    from item_embed.evaluation.same_product import evaluate_scorer
    from item_embed.search.exact import tie_keys

    ties = tie_keys(catalog.ids)
    with progress("describing photos") as on_progress:
        scorers = simple_methods(catalog, queries, names, on_progress)
    results = []
    for name in names:
        seen = METHODS[name].modalities
        with progress(f"searching by {name}") as on_progress:
            results.append(
                evaluate_scorer(scorers[name], queries, ties, method=name, modalities=seen, on_progress=on_progress)
            )
    return results


def _tables(request: _Request, result: "SameProductResult", others: "list[SameProductResult]") -> "list[Table]":
    from item_embed.evaluation.report import by_table, difference_table, figure_table

    tables = [figure_table([result, *others], request.seed)]
    if others:
        tables.append(difference_table(result, others, request.seed))
    if request.by is not None:
        tables.append(by_table([result, *others], request.by, request.seed))
    return tables


def _show(tables: "list[Table]") -> None:
    for shown in tables:
        table(shown.title, list(shown.columns), [list(row) for row in shown.rows])
        if shown.note:
            say(shown.note)


def _write_page(
    path: Path, request: _Request, catalog: "Catalog", result: "SameProductResult", tables: "list[Table]"
) -> None:
    from item_embed.evaluation.report import example_queries, write_report

    log = Path(request.model).parent / "metrics.jsonl"  # a model lies in its run's folder
    examples = example_queries(result, catalog, seed=request.seed)
    title = f"{request.model} on {catalog.path.name}"
    write_report(path, title, tables, examples, log if log.is_file() else None)


def _reconstruction(request: _Request, catalog: "Catalog") -> None:
    from item_embed.errors import ConfigError

    foreign = {
        "--queries": request.queries,
        "--vectors": request.vectors,
        "--by": request.by,
        "--baselines": request.baselines or None,
        "--modalities": None if request.modalities is Modalities.BOTH else request.modalities,
    }
    given = [name for name, value in foreign.items() if value is not None]
    if given:
        raise ConfigError(f"{given[0]} has no meaning for --task reconstruction; leave it out.")

    from item_embed.evaluation.reconstruction import evaluate_reconstruction
    from item_embed.evaluation.report import reconstruction_table, write_report

    split = (request.split or Split.TEST).value
    with progress("reconstructing") as on_progress:
        result = evaluate_reconstruction(Path(request.model), catalog, split, request.seed, on_progress)
    shown = reconstruction_table(result)
    if request.html:
        write_report(request.html, f"{request.model} on {catalog.path.name}", [shown])
    if request.as_json:
        print_json(result.as_json())
    else:
        _show([shown])
    say(f"{result.rows:,} rows of the {split} split." + (f" Page in {request.html}." if request.html else ""))
