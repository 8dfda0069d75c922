"""One HTML page of an evaluation: plots, figures, pictures, losses, and queries with what was found for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.evaluation.columns import OTHERS
from item_embed.evaluation.intervals import Figure
from item_embed.evaluation.plots import loss_curves
from item_embed.evaluation.queries import FEW, QuerySet
from item_embed.evaluation.same_product import SameProductResult
from item_embed.files import whole_file
from item_embed.search.page import PageHit, PageQuery, page, render_queries
from item_embed.search.thumbnails import data_uri, thumbnail
from item_embed.wording import number_of

if TYPE_CHECKING:  # reconstruction brings torch
    from item_embed.evaluation.reconstruction import Reconstruction

COLUMNS = ("hit@1", "macro recall@10", "MAP@10")

_TEMPLATES = Path(__file__).parent / "templates"
_SHOWN_HITS = 5  # a row of the page at desk width
DRAWN = (
    "Drawn by chance, half of them with a right first hit where there are as many. "
    "Green: a listing of the product that was asked for."
)


@dataclass(frozen=True)
class Table:
    """A table of a report: plain text, the first column names the row."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Plots:
    """Plots side by side, each an SVG of `plots`; `wide` ones have a row each."""

    title: str
    svgs: Sequence[str]
    note: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Word:
    """A word of a line; `mark` is `hidden`, `right`, `wrong` or nothing, `glued` leaves no space before it."""

    text: str
    mark: str = ""
    glued: bool = False


@dataclass(frozen=True)
class Pictures:
    """Small photos side by side, each a caption and a JPEG or WebP, with named lines of words below."""

    photos: Sequence[tuple[str, bytes]]
    lines: Sequence[tuple[str, Sequence[Word]]]


@dataclass(frozen=True)
class Gallery:
    """Pictures below each other."""

    title: str
    note: str
    rows: Sequence[Pictures]


@dataclass(frozen=True)
class Examples:
    """Queries with what was found for them."""

    title: str
    note: str
    queries: Sequence[PageQuery]


@dataclass(frozen=True)
class Section:
    """What a page says of one task: plots first, then tables, then what there is to look at."""

    title: str
    summary: str
    remarks: Sequence[str] = ()
    plots: Sequence[Plots] = ()
    tables: Sequence[Table] = ()
    galleries: Sequence[Gallery] = ()
    examples: Sequence[Examples] = ()


def figure_table(results: Sequence[SameProductResult], seed: int = 0) -> Table:
    """The figures of methods on the same queries, each with its 95 % interval."""
    queries = results[0].queries
    return Table(
        title="Same product",
        columns=["method", "sees", *COLUMNS],
        rows=[[r.method, r.modalities, *_cells(r.figures(seed))] for r in results],
        note=f"{number_of(len(queries), 'query', 'queries')}, {source(queries)}; "
        f"{number_of(len(queries.listings), 'listing')} to find; "
        "95 % intervals over products.",
    )


def difference_table(result: SameProductResult, others: Sequence[SameProductResult], seed: int = 0) -> Table:
    """How far a method lies above each of the others, paired."""
    return Table(
        title=f"{result.method} minus each other method",
        columns=["method", *COLUMNS],
        rows=[[other.method, *_cells(result.figures(seed, minus=other), "+.3f")] for other in others],
        note="Paired: the same queries, the same resampled products. An interval that holds 0 decides nothing.",
    )


def by_table(results: Sequence[SameProductResult], column: str, seed: int = 0) -> Table:
    """The figures of methods for each value of a column of the queries, the most frequent first."""
    found = [(result.method, result.figures_by(column, seed)) for result in results]
    counts = {value: count for value, (count, _) in found[0][1].items()}
    return Table(
        title=f"Same product, by {column}",
        columns=[column, "method", "queries", *COLUMNS],
        rows=[
            [value, method, few_marked(counts[value]), *_cells(parts[value][1])]
            for value in most_frequent(counts)
            for method, parts in found
        ],
        note=few_note(counts, "queries"),
    )


def most_frequent(counts: Mapping[str, int]) -> list[str]:
    """Values by how frequent they are; what was joined comes last."""
    return sorted(counts, key=lambda value: (value.startswith(f"{OTHERS} ("), -counts[value], value))


def few_marked(count: int) -> str:
    """A count, with a star where figures say little."""
    return f"{count:,}{'*' if count < FEW else ''}"


def few_note(counts: Mapping[str, int], what: str) -> str:
    """What the star means, where there is one."""
    return f"*: fewer than {FEW} {what}: such figures say little." if min(counts.values()) < FEW else ""


def reconstruction_table(result: "Reconstruction") -> Table:
    """The model's predictions of masked words and patches beside those of the position alone."""
    rows = [
        [
            name.replace("_", " "),
            figure.text(),
            result.position_only[name.rsplit("_", 1)[1]].text(),
        ]
        for name, figure in result.model.items()
    ]
    counts = result.predictions
    return Table(
        title="Reconstruction",
        columns=["prediction", "model", "position only"],
        rows=rows,
        note=f"{number_of(counts['tokens'], 'masked word')} and "
        f"{number_of(counts['patches'], 'masked patch', 'masked patches')} of {number_of(result.rows, 'row')}, "
        f"{result.split} split; top1: higher is better, error: lower.",
    )


def example_queries(result: SameProductResult, catalog: Catalog, count: int = 12, seed: int = 0) -> list[PageQuery]:
    """Queries to look at, drawn by chance: half with a right first hit and half without, as far as there are.

    Args:
        result: what was found.
        catalog: where titles and photos come from.
        count: how many queries.
        seed: of the draw.
    """
    order = np.random.default_rng(seed).permutation(len(result.queries))
    right_first = result.metrics.hit_at_1[order] > 0
    right, wrong = order[right_first], order[~right_first]
    rights = min(len(right), max(count // 2, count - len(wrong)))
    chosen = [*right[:rights], *wrong[: count - rights]]
    return [_example(result, catalog, int(number)) for number in sorted(chosen)]


def best_queries(result: SameProductResult, catalog: Catalog, count: int = 4) -> list[PageQuery]:
    """Of the queries with a right first hit those of highest AP@10, of equals those with most listings to find."""
    order = np.lexsort((-result.queries.relevant, -result.metrics.ap_at_10))
    return _one_of_each_product(result, catalog, order[result.right[order, 0]], count)


def worst_queries(result: SameProductResult, catalog: Catalog, count: int = 4) -> list[PageQuery]:
    """Of the queries with a wrong first hit those of lowest AP@10, of equals those whose first hit scores highest."""
    order = np.lexsort((-result.ranking.scores[:, 0], result.metrics.ap_at_10))
    return _one_of_each_product(result, catalog, order[~result.right[order, 0]], count)


def write_report(
    path: str | Path,
    title: str,
    tables: Sequence[Table] = (),
    queries: Sequence[PageQuery] = (),
    metrics_file: str | Path | None = None,
    *,
    sections: Sequence[Section] = (),
    left_out: Mapping[str, str] | None = None,
) -> None:
    """Write one self-contained HTML page.

    Args:
        path: the file to write; its folder is made if missing, a file of that name is replaced.
        title: the page's heading.
        tables: what was measured, where it has no sections.
        queries: examples, as `example_queries` makes them, where they belong to no section.
        metrics_file: `RUN/metrics.jsonl`, for the curves of the losses.
        sections: what was measured, task by task; several of them get a table of contents.
        left_out: by the name of a task, why it is not there.

    Raises:
        OutputError: when the file cannot be written.

    Examples:
        >>> write_report("report.html", "Evaluation", [figure_table([result])])  # doctest: +SKIP
    """
    curves = [] if metrics_file is None else loss_curves(metrics_file)
    body = _ENVIRONMENT.get_template("report.html").render(
        style=Markup((_TEMPLATES / "report.css").read_text(encoding="utf8")),
        sections=sections,
        left_out=left_out or {},
        tables=tables,
        curves=curves,
        examples=Examples("Queries and what was found", DRAWN, queries) if queries else None,
    )
    with whole_file(path) as aside:
        aside.write_text(page(title, body), encoding="utf8")


def _one_of_each_product(
    result: SameProductResult, catalog: Catalog, order: NDArray[np.int64], count: int
) -> list[PageQuery]:
    """The first so many of the queries numbered, (n,), but one of each product: its listings often fare alike."""
    _, first = np.unique(result.queries.products[order], return_index=True)
    return [_example(result, catalog, int(order[place])) for place in np.sort(first)[:count]]


def _example(result: SameProductResult, catalog: Catalog, number: int) -> PageQuery:
    queries, ranking = result.queries, result.ranking
    right = result.right[number]
    first = int(right.argmax()) + 1 if right.any() else None
    hits = [
        PageHit(
            catalog.titles[row] or "",
            thumbnail(catalog.photo(int(row))),
            float(score),
            catalog.categories[row] or "",
            bool(ok),
        )
        for row, score, ok in zip(ranking.rows[number], ranking.scores[number], right, strict=True)
        if row >= 0
    ]
    note = f"The first right one is at rank {first}." if first else f"None of the first {len(hits)} is right."
    return PageQuery(queries.titles[number] or "", thumbnail(queries.photo(number)), hits[:_SHOWN_HITS], note)


def source(queries: QuerySet) -> str:
    """Where queries come from."""
    of_split = "" if queries.split == "all" else f" of the {queries.split} split"
    if queries.protocol == "listings":
        return f"listings of the catalogue{of_split}, each left out of its own hits"
    return "given in a file" if queries.protocol == "given" else f"simulated second listings of rows{of_split}"


def _cells(found: dict[str, Figure], form: str = ".3f") -> list[str]:
    return [figure.text(form) for figure in found.values()]


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= {
    "data_uri": data_uri,
    "drawn": Markup,
    "found": lambda queries: Markup(render_queries(queries)),
    "anchor": lambda title: title.lower().replace(" ", "-"),
}
