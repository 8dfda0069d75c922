"""`item evaluate`: how well a model, or a simple method, finds what it should."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from item_embed.cli.console import print_json, progress, say, table
from item_embed.embedding.seen import Modalities

if TYPE_CHECKING:
    from item_embed.catalog.store import Catalog
    from item_embed.evaluation.queries import QuerySet
    from item_embed.evaluation.report import Table
    from item_embed.evaluation.same_product import SameProductResult


class Task(StrEnum):
    """What is evaluated."""

    SAME_PRODUCT = "same-product"
    RECONSTRUCTION = "reconstruction"


class Split(StrEnum):
    """Where the queries come from."""

    ALL = "all"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class _Request:
    """The options; None where one was not given."""

    model: str
    queries: Path | None
    modalities: Modalities | None
    split: Split | None
    vectors: Path | None
    baselines: bool
    by: str | None
    as_json: bool
    html: Path | None
    seed: int
    batch_size: int | None
    device: str | None

    def refuse(self, where: str, *names: str) -> None:
        """Refuse options that would be ignored: figures are of what was asked for, or there are none."""
        from item_embed.errors import ConfigError

        for name in names:
            if getattr(self, name) not in {None, False}:
                raise ConfigError(f"--{name.replace('_', '-')} has no meaning for {where}; leave it out.")


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
    baselines: Annotated[bool, typer.Option("--baselines", help="Compare with the simple methods.")] = False,
    by: Annotated[str | None, typer.Option(help="Also by the values of this column of --queries.")] = None,
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
    request = _Request(
        model, queries, modalities, split, vectors, baselines, by, as_json, html, seed, batch_size, device
    )
    tasks = {Task.SAME_PRODUCT: _same_product, Task.RECONSTRUCTION: _reconstruction}
    tasks[task](request, Catalog(catalog))


def _same_product(request: _Request, catalog: "Catalog") -> None:
    from item_embed.evaluation.baselines import METHODS
    from item_embed.evaluation.run import evaluate_simple, training_remarks
    from item_embed.evaluation.same_product import as_json, column_of

    is_simple = request.model in METHODS
    if is_simple:
        _check_simple(request, METHODS[request.model].modalities)
    queries = _queries(request, catalog, is_simple)
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
    tables = _tables(request, result, others) if request.html or not request.as_json else []
    if request.as_json:
        print_json(as_json(result, others, request.by, request.seed, remarks))
    else:
        _show(tables)
        found = result.figures(request.seed)["macro_recall_at_10"].text()
        of = f"{len(queries):,} queries among {len(catalog):,} listings"
        print(
            f"{of}: {result.method} has macro recall@10 {found}{_ahead(request, result, others)}.{_page(request)}",
            flush=True,
        )
    if request.html:
        _write_page(request.html, request, catalog, result, tables)


def _check_simple(request: _Request, seen: Modalities) -> None:
    from item_embed.errors import ConfigError

    request.refuse("a simple method", "vectors", "device", "batch_size")
    if request.modalities not in (None, seen):
        raise ConfigError(
            f"{request.model} sees {seen}, whatever --modalities says; leave it out, or choose another method."
        )


def _ahead(request: _Request, result: "SameProductResult", others: "list[SameProductResult]") -> str:
    """Say it where another method finds more."""
    recall = {one.method: one.figures(request.seed)["macro_recall_at_10"] for one in (result, *others)}
    best = max(recall, key=lambda method: recall[method].value)
    return "" if recall[best].value == recall[result.method].value else f"; {best} is ahead with {recall[best].text()}"


def _queries(request: _Request, catalog: "Catalog", is_simple: bool) -> "QuerySet":
    from item_embed.errors import ConfigError
    from item_embed.evaluation.queries import catalog_queries, given_queries
    from item_embed.evaluation.run import default_split

    if request.queries is None:
        default = "all" if is_simple else default_split(Path(request.model), catalog)
        return catalog_queries(catalog, request.split or default)
    if request.split is not None:
        raise ConfigError(
            "--split chooses queries among the catalogue's rows and --queries brings its own; leave one of them out."
        )
    return given_queries(request.queries, catalog)


def _model(request: _Request, catalog: "Catalog", queries: "QuerySet") -> "SameProductResult":
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
            print(shown.note)


def _page(request: _Request) -> str:
    return f" Page in {request.html}." if request.html else ""


def _write_page(
    path: Path, request: _Request, catalog: "Catalog", result: "SameProductResult", tables: "list[Table]"
) -> None:
    from item_embed.evaluation.report import example_queries, write_report

    log = Path(request.model).parent / "metrics.jsonl"  # a model lies in its run's folder
    examples = example_queries(result, catalog, seed=request.seed)
    title = f"{request.model} on {catalog.path.name}"
    write_report(path, title, tables, examples, log if log.is_file() else None)


def _reconstruction(request: _Request, catalog: "Catalog") -> None:
    ignored = ("queries", "vectors", "by", "baselines", "modalities", "batch_size", "device")
    request.refuse("--task reconstruction", *ignored)

    from item_embed.evaluation.reconstruction import evaluate_reconstruction
    from item_embed.evaluation.report import reconstruction_table, write_report

    split = (request.split or Split.TEST).value
    with progress("reconstructing") as on_progress:
        result = evaluate_reconstruction(Path(request.model), catalog, split, request.seed, on_progress)
    shown = reconstruction_table(result)
    if request.as_json:
        print_json(result.as_json())
    else:
        _show([shown])
        print(f"{result.rows:,} rows of the {split} split.{_page(request)}", flush=True)
    if request.html:
        write_report(request.html, f"{request.model} on {catalog.path.name}", [shown])
