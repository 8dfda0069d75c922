"""`item demo`: the whole path on a drawn marketplace, or on the user's own feed, in minutes on a CPU."""

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from item_embed.cli.console import print_json, progress, say, table
from item_embed.wording import number_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray

    from item_embed.catalog.store import Catalog
    from item_embed.config import RunConfig
    from item_embed.evaluation.report import Table
    from item_embed.evaluation.same_product import SameProductResult
    from item_embed.progress import OnProgress
    from item_embed.search.page import PageQuery

_MADE = ("feed", "catalog", "run", "vectors.parquet", "index", "report.html")
_MARK = "demo.json"  # a folder that holds it was made by this command, and may be made again


def command(
    *,
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("demo"),
    source: Annotated[
        str | None, typer.Option(help="Your own feed instead of the drawn marketplace: a file, a glob or a folder.")
    ] = None,
    products: Annotated[int, typer.Option(min=40, help="Products to draw.")] = 800,
    steps: Annotated[int, typer.Option(min=10, help="Training steps of 384 products.")] = 200,
    seed: Annotated[int, typer.Option(help="Of the marketplace, the splits and the training.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Draw a marketplace, train on it, and show what it finds.

    It is prepared, `search` is pre-trained on it, it is embedded, indexed and evaluated; the page shows all.
    """
    from item_embed.config import RunConfig

    settings = [f"training.seed={seed}", f"training.steps={steps}", f"training.warmup_steps={steps // 10}"]
    config = RunConfig.load("search", settings)
    _clear(out, source)
    drawn = source is None
    if source is None:
        source = str(_draw(out / "feed", products, seed))
    catalog = _prepare(source, out / "catalog", seed)
    model = _pretrain(catalog, out / "run", config)
    vectors = _embed_and_index(catalog, model, out)
    results = _evaluate(catalog, vectors)
    page = out / "report.html"
    tables = _report(page, catalog, vectors, results, out / "run" / "metrics.jsonl")
    if as_json:
        print_json(_as_json(results, page))
    else:
        for shown in tables:
            table(shown.title, list(shown.columns), [list(row) for row in shown.rows])
        title = "red mug" if drawn else next((title for title in catalog.titles if title), "a title")
        print(f'look at {page}, then try: {sys.argv[0]} search {out / "index"} --title "{title}" --html hits.html')


def _clear(out: Path, source: str | None) -> None:
    """Make room for a new demo; of an old one only what the demo made is removed, and never the user's feed."""
    from item_embed.catalog.feeds.feed import open_feed
    from item_embed.errors import ConfigError

    if source is not None:
        local = [file for file in open_feed(source).files if file.is_local]
        inside = [file for file in local if file.path.resolve().is_relative_to(out.resolve())]
        if inside:
            raise ConfigError(
                f"{inside[0].url} lies in {out}, which the demo makes anew; copy your feed elsewhere first."
            )
    if out.exists() and not (out.is_dir() and ((out / _MARK).is_file() or not any(out.iterdir()))):
        raise ConfigError(f"{out} exists and was not made by `item demo`; choose another --out.")
    for name in _MADE:
        made = out / name
        if made.is_dir():
            shutil.rmtree(made)
        else:
            made.unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    (out / _MARK).write_text(json.dumps({"command": " ".join(["item", *sys.argv[1:]])}) + "\n", encoding="utf8")


def _draw(feed: Path, products: int, seed: int) -> Path:
    from item_embed.catalog.drawing.marketplace import draw_marketplace

    with progress("1/6 drawing products") as on_progress:
        counts = draw_marketplace(feed, products, seed, image_size=160, on_progress=on_progress)
    drawn = f"{number_of(counts.products, 'product')} of {number_of(counts.kinds, 'kind')}"
    say(f"drew {drawn} in {number_of(counts.listings, 'listing')}")
    return feed / "feed.csv"


def _prepare(source: str, folder: Path, seed: int) -> "Catalog":
    from item_embed.catalog.preparing import prepare
    from item_embed.catalog.store import Catalog

    def stage(label: str) -> "AbstractContextManager[OnProgress]":
        return progress(f"2/6 {label}")

    counts = prepare(source, folder, seed=seed, command="item demo", stage=stage).counts
    kept = f"{counts.kept:,} kept, {counts.repaired:,} repaired, {counts.set_aside:,} set aside"
    say(f"{number_of(counts.input, 'row')}: {kept}")
    return Catalog(folder)


def _pretrain(catalog: "Catalog", run: Path, config: "RunConfig") -> Path:
    from item_embed.training.optimiser import keep_few_kernels
    from item_embed.training.run import pretrain

    keep_few_kernels()
    with progress("3/6 pre-training") as on_progress:
        summary = pretrain(catalog, run, config, on_progress=on_progress, on_remark=say)
    say(f"{number_of(summary.samples, 'sample')} of {number_of(summary.rows, 'row')}; no label was read")
    return summary.model


def _embed_and_index(catalog: "Catalog", model: Path, out: Path) -> "NDArray[np.float32]":
    from item_embed.embedding.bulk import embed_catalog
    from item_embed.embedding.embedder import Embedder
    from item_embed.embedding.vectors import write_vectors
    from item_embed.search.index import ProductIndex

    with progress("4/6 embedding") as on_progress:
        vectors = embed_catalog(Embedder.from_pretrained(model), catalog, on_progress=on_progress)
    write_vectors(out / "vectors.parquet", vectors)
    ProductIndex.build(vectors, catalog, out / "index")
    say(f"5/6 indexed {number_of(len(vectors), 'vector')} of {vectors.dimension} numbers")
    return vectors.vectors


def _evaluate(catalog: "Catalog", vectors: "NDArray[np.float32]") -> "list[SameProductResult]":
    """The model and the simple methods on the test split; nothing where the feed names no products."""
    from item_embed.errors import ItemError
    from item_embed.evaluation.baselines import METHODS
    from item_embed.evaluation.queries import catalog_queries
    from item_embed.evaluation.run import evaluate_simple
    from item_embed.evaluation.same_product import evaluate_same_product
    from item_embed.search.exact import tie_keys

    try:
        queries = catalog_queries(catalog, "test")
    except ItemError as error:
        say(f"6/6 no evaluation, but neighbours to look at: {error}")
        return []
    ties = tie_keys(catalog.ids)
    model = evaluate_same_product(vectors, vectors[queries.rows], queries, ties, method="item-embed (search)")
    say(f"6/6 {number_of(len(queries), 'query', 'queries')} of the test split, beside the simple methods")
    return [model, *evaluate_simple(METHODS, catalog, queries, progress)]


def _report(
    page: Path,
    catalog: "Catalog",
    vectors: "NDArray[np.float32]",
    results: "list[SameProductResult]",
    metrics: Path,
) -> "list[Table]":
    from item_embed.evaluation.report import difference_table, example_queries, figure_table, write_report

    if results:
        tables = [figure_table(results), difference_table(results[0], results[1:])]
        examples = example_queries(results[0], catalog)
    else:
        tables, examples = [], _neighbours(catalog, vectors)
    write_report(page, "item-embed demo", tables, examples, metrics)
    return tables


def _neighbours(catalog: "Catalog", vectors: "NDArray[np.float32]", count: int = 12) -> "list[PageQuery]":
    """Some listings with those nearest to them, for a feed that does not say which are the same product."""
    import numpy as np

    from item_embed.search.exact import search, tie_keys
    from item_embed.search.page import PageHit, PageQuery

    rows = np.random.default_rng(0).permutation(len(catalog))[:count]
    found, scores = search(vectors[rows], vectors, 5, tie_keys(catalog.ids), rows)
    queries = []
    for row, hits, cosines in zip(rows, found, scores, strict=True):
        shown = [
            PageHit(catalog.titles[hit] or "no title", catalog.photo(int(hit)), float(cosine))
            for hit, cosine in zip(hits, cosines, strict=True)
            if hit >= 0
        ]
        queries.append(PageQuery(catalog.titles[row] or "no title", catalog.photo(int(row)), shown))
    return queries


def _as_json(results: "list[SameProductResult]", page: Path) -> dict[str, object]:
    from item_embed.evaluation.same_product import as_json

    evaluation = as_json(results[0], results[1:]) if results else None
    return {"page": str(page), "evaluation": evaluation}
