"""One HTML page of an evaluation: figures, losses, and queries with what was found for them."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from item_embed.catalog.store import Catalog
from item_embed.evaluation.intervals import Figure
from item_embed.evaluation.same_product import SameProductResult
from item_embed.files import whole_file
from item_embed.search.page import PageHit, PageQuery, page, render_queries

if TYPE_CHECKING:  # reconstruction brings torch
    from item_embed.evaluation.reconstruction import Reconstruction

COLUMNS = ("hit@1", "macro recall@10", "MAP@10")

_SHOWN_HITS = 5  # a row of the page at desk width
_INK = "#010203"  # stands for the page's own text colour, whatever that is
_STYLE: Any = {
    **dict.fromkeys(("text.color", "xtick.color", "ytick.color", "axes.labelcolor", "axes.edgecolor"), _INK),
    "svg.fonttype": "none",  # text as text, in the page's font
    "svg.hashsalt": "item",  # equal curves give equal bytes
    "font.family": "sans-serif",
    "font.size": 9,
}
#: split -> name, colour and marker; the colours are readable on light and on dark ground
_CURVES = {"train": ("training", "#7a9cc6", None), "validation": ("held out", "#d1603d", "o")}


@dataclass(frozen=True)
class Table:
    """A table of a report: plain text, the first column names the row."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def figure_table(results: Sequence[SameProductResult], seed: int = 0) -> Table:
    """The figures of methods on the same queries, each with its 95 % interval."""
    queries = results[0].queries
    return Table(
        title="Same product",
        columns=["method", "sees", *COLUMNS],
        rows=[[r.method, r.modalities, *_cells(r.figures(seed))] for r in results],
        note=f"{len(queries):,} queries {_source(results[0])}, {len(queries.listings):,} listings to find; "
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
    """The figures of methods for each value of a column of the query file."""
    found = [(result.method, result.figures_by(column, seed)) for result in results]
    return Table(
        title=f"Same product, by {column}",
        columns=[column, "method", "queries", *COLUMNS],
        rows=[
            [value, method, f"{parts[value][0]:,}", *_cells(parts[value][1])]
            for value in found[0][1]
            for method, parts in found
        ],
    )


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
        note=f"{counts['tokens']:,} masked words and {counts['patches']:,} masked patches of {result.rows:,} rows, "
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


def write_report(
    path: str | Path,
    title: str,
    tables: Sequence[Table],
    queries: Sequence[PageQuery] = (),
    metrics_file: str | Path | None = None,
) -> None:
    """Write one self-contained HTML page.

    Args:
        path: the file to write; its folder is made if missing, a file of that name is replaced.
        title: the page's heading.
        tables: what was measured.
        queries: examples, as `example_queries` makes them.
        metrics_file: `RUN/metrics.jsonl`, for the curves of the losses.

    Raises:
        OutputError: when the file cannot be written.

    Example:
        >>> write_report("report.html", "Evaluation", [figure_table([result])])  # doctest: +SKIP
    """
    curves = [] if metrics_file is None else loss_curves(metrics_file)
    body = _ENVIRONMENT.get_template("report.html").render(
        tables=tables,
        curves=[Markup(curve) for curve in curves],
        queries=Markup(render_queries(queries)) if queries else "",
        examples_note="Drawn by chance, half of them with a right first hit where there are as many. "
        "Green: a listing of the product that was asked for.",
    )
    with whole_file(path) as aside:
        aside.write_text(page(title, body), encoding="utf8")


def loss_curves(metrics_file: str | Path) -> list[str]:
    """The losses of a run as inline SVGs, one per objective, in the colour of the text around them.

    Args:
        metrics_file: a JSON object per line with `samples`, `split` (`train` or `validation`) and `losses`.
    """
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        return [_panel(objective, splits) for objective, splits in _curves(Path(metrics_file)).items()]


def _panel(objective: str, splits: dict[str, list[tuple[int, float]]]) -> str:
    from matplotlib.figure import Figure as Canvas
    from matplotlib.ticker import EngFormatter, MaxNLocator

    canvas = Canvas(figsize=(4, 2.5), layout="constrained")
    panel = canvas.subplots()
    for split, (name, colour, marker) in _CURVES.items():
        if split in splits:
            samples, losses = zip(*splits[split], strict=True)
            panel.plot(samples, losses, color=colour, marker=marker, markersize=3, linewidth=1.4, label=name)
    panel.set_title(objective.upper(), loc="left", fontsize=10)
    panel.spines[["top", "right"]].set_visible(False)
    panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    panel.xaxis.set_major_formatter(EngFormatter(sep=""))
    panel.legend(frameon=False, fontsize=8)
    drawn = io.StringIO()
    canvas.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    svg = drawn.getvalue().replace(_INK, "currentColor")
    return svg[svg.index("<svg") :]


def _curves(path: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """objective -> split -> (pairs seen, loss)."""
    curves: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for line in path.read_text(encoding="utf8").splitlines(keepends=True) if path.is_file() else ():
        if not line.endswith("\n"):  # a run that is going on is writing it
            continue
        record = json.loads(line)
        for objective, loss in record.get("losses", {}).items():
            curves.setdefault(objective, {}).setdefault(record["split"], []).append((record["samples"], loss))
    return curves


def _example(result: SameProductResult, catalog: Catalog, number: int) -> PageQuery:
    queries, ranking = result.queries, result.ranking
    right = result.right[number]
    first = int(right.argmax()) + 1 if right.any() else None
    hits = [
        PageHit(
            catalog.titles[row] or "", catalog.photo(int(row)), float(score), catalog.categories[row] or "", bool(ok)
        )
        for row, score, ok in zip(ranking.rows[number], ranking.scores[number], right, strict=True)
        if row >= 0
    ]
    note = f"The first right one is at rank {first}." if first else f"None of the first {len(hits)} is right."
    return PageQuery(queries.titles[number] or "", queries.photo(number), hits[:_SHOWN_HITS], note)


def _source(result: SameProductResult) -> str:
    queries = result.queries
    if queries.protocol == "given":
        return "given in a file"
    return "from the catalogue, each left out of its own hits" + (
        "" if queries.split == "all" else f", {queries.split} split"
    )


def _cells(found: dict[str, Figure], form: str = ".3f") -> list[str]:
    return [figure.text(form) for figure in found.values()]


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
)
