"""The results of tasks as sections of a page: their plots, beside tables and pictures."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from item_embed.catalog.store import Catalog
from item_embed.evaluation.classification import figures
from item_embed.evaluation.dominance import Dominance
from item_embed.evaluation.intervals import Figure
from item_embed.evaluation.leaf_category import LeafCategoryResult
from item_embed.evaluation.plots import Series, curve_plot, dot_plot, heat_map, line_plot
from item_embed.evaluation.report import (
    COLUMNS,
    DRAWN,
    Examples,
    Gallery,
    Pictures,
    Plots,
    Section,
    Table,
    Word,
    best_queries,
    example_queries,
    most_frequent,
    worst_queries,
)
from item_embed.evaluation.robustness import Curve, Robustness
from item_embed.evaluation.same_product import SameProductResult
from item_embed.search.thumbnails import thumbnail
from item_embed.wording import number_of

if TYPE_CHECKING:  # reconstruction brings torch
    from item_embed.evaluation.reconstruction import Reconstruction

_NAMES = ("hit_at_1", "macro_recall_at_10", "map_at_10")
_MOST_LEAVES, _MORE_LEAVES = 12, 6  # rows of a heat map, and columns beside those of the rows
_SHOWN_CONFUSIONS = 6
_INTERVALS = "Lines and bands are 95 % intervals."


def same_product_section(
    results: Sequence[SameProductResult],
    catalog: Catalog,
    tables: Sequence[Table],
    summary: str,
    *,
    by: str | None = None,
    remarks: Sequence[str] = (),
    seed: int = 0,
) -> Section:
    """Same product: the figures of the first method and of those it is compared with, and queries to look at."""
    result = results[0]
    figures = [one.figures(seed) for one in results]
    if len(results) == 1:
        svgs = [dot_plot(result.method, [(c, figures[0][n]) for c, n in zip(COLUMNS, _NAMES, strict=True)], first=3)]
    else:
        svgs = [
            dot_plot(column, [(one.method, found[name]) for one, found in zip(results, figures, strict=True)])
            for column, name in zip(COLUMNS, _NAMES, strict=True)
        ]
    plots = [Plots("Figures", svgs, _INTERVALS)]
    if by is not None:
        parts = result.figures_by(by, seed)
        values = most_frequent({value: count for value, (count, _) in parts.items()})
        rows = [(f"{value} ({parts[value][0]:,})", parts[value][1]["macro_recall_at_10"]) for value in values]
        plots.append(
            Plots(
                f"By {by}",
                [dot_plot("macro recall@10", rows, first=len(rows))],
                f"{result.method}, with the number of queries.",
            )
        )
    examples = [
        Examples(
            "Found best",
            "Queries of highest average precision; of equals those with most listings to find; one of a product.",
            best_queries(result, catalog),
        ),
        Examples(
            "Found worst",
            "Queries of lowest average precision; of equals those whose wrong first hit is surest; one of a product.",
            worst_queries(result, catalog),
        ),
        Examples("Drawn by chance", DRAWN, example_queries(result, catalog, count=6, seed=seed)),
    ]
    return Section(
        "Same product", summary, remarks, plots, tables, examples=[shown for shown in examples if shown.queries]
    )


def leaf_category_section(
    results: Sequence[LeafCategoryResult],
    catalog: Catalog,
    tables: Sequence[Table],
    summary: str,
    *,
    remarks: Sequence[str] = (),
    seed: int = 0,
) -> Section:
    """Leaf category: how it is learnt, how sure the first method is, and what it takes for what."""
    result = results[0]
    plots = [Plots("Learning and reliability", [_learning(results, seed), _reliability(result, seed)], _INTERVALS)]
    galleries = []
    if not result.judged.right.all():
        plots.append(
            Plots(
                f"Taken for another leaf, {result.method}",
                [_confusions(result)],
                f"Rows: the true leaf; columns: the leaf that test rows were taken for. At most {_MOST_LEAVES} leaves, "
                "those with most mistakes.",
                wide=True,
            )
        )
        galleries.append(_confused(result, catalog))
    return Section("Leaf category", summary, remarks, plots, tables, galleries)


def dominance_section(found: Dominance, tables: Sequence[Table], summary: str) -> Section:
    """Dominance: the index on its line, and what each modality finds."""
    moved = found.movement.figures(found.seed)
    svgs = [
        line_plot("Index: what moves the vector", moved["index"], ("the title alone", "the photo alone")),
        dot_plot("Movement by another …", [(name, moved[name]) for name in ("photo", "title")], first=2),
    ]
    if found.retrieval:
        recall = {name: one.figures(found.seed)["macro_recall_at_10"] for name, one in found.retrieval.items()}
        order = sorted(recall, key=lambda name: name != "both")
        svgs.append(dot_plot("Macro recall@10 by what queries show", [(n.replace("_", " "), recall[n]) for n in order]))
    if found.categories:
        accuracy = {name: figures(one, seed=found.seed)["accuracy"] for name, one in found.categories.items()}
        order = sorted(accuracy, key=lambda name: name != "both")
        rows = [(name.replace("_", " "), accuracy[name]) for name in order]
        svgs.append(dot_plot("Leaf accuracy by what test rows show", rows))
    return Section("Dominance", summary, found.remarks, [Plots("Photo or title", svgs, _INTERVALS)], tables)


def robustness_section(found: Robustness, tables: Sequence[Table], summary: str) -> Section:
    """Robustness: one plot for each alteration, all of one height."""

    def recall(curve: Curve) -> list[Figure]:
        return [point.result.figures(found.seed)["macro_recall_at_10"] for point in curve.points]

    recalls = {curve.name: recall(curve) for curve in found.curves}
    levels = {curve.name: curve.unaltered.figures(found.seed)["macro_recall_at_10"] for curve in found.curves}
    measured = [*levels.values(), *(figure for figures in recalls.values() for figure in figures)]
    highest = max((figure.value if figure.high is None else figure.high for figure in measured), default=1.0)
    asked, plots = len(found.unaltered.queries), []
    for what, alters in (("Titles", "title"), ("Photos", "image")):
        svgs = [
            curve_plot(
                _heading(curve, asked),
                [Series(curve.name, [point.strength for point in curve.points], recalls[curve.name])],
                xlabel=curve.unit,
                ticks=_apart([point.strength for point in curve.points]),
                level=levels[curve.name],
                limits=(0, 1.05 * highest or 1.0),
                height=2.2,
            )
            for curve in found.curves
            if curve.alters == alters
        ]
        if svgs:
            note = f"Macro recall@10. Dashed: the same queries as they are. {_INTERVALS}"
            plots.append(Plots(f"{what} altered", svgs, note))
    return Section("Robustness", summary, found.remarks, plots, tables)


def reconstruction_section(
    found: "Reconstruction", tables: Sequence[Table], summary: str, pictures: Sequence[Pictures] = ()
) -> Section:
    """Reconstruction: the heads beside the position alone, and what they construct."""
    svgs = []
    for kind, title in (("top1", "Masked words guessed"), ("error", "Error of masked patches")):
        rows = [
            (name.removesuffix(f"_{kind}").upper(), figure)
            for name, figure in found.model.items()
            if name.endswith(f"_{kind}")
        ]
        if rows:
            rows.append(("position alone", found.position_only[kind]))
            svgs.append(dot_plot(title, rows, first=len(rows) - 1, bars=True))
    note = "Words: higher is better; patches: lower is. " + _INTERVALS
    galleries = [
        Gallery(
            "Constructed",
            "Held-out rows, masked as they are measured. [CLS] alone constructs the whole photo; of the others' only "
            "the masked patches are constructed. Words: blue ones are hidden, green ones guessed, struck ones missed.",
            pictures,
        )
    ]
    return Section(
        "Reconstruction", summary, (), [Plots("Against position alone", svgs, note)], tables, galleries * bool(pictures)
    )


def _heading(curve: Curve, asked: int) -> str:
    """Of an alteration's plot; with its queries, where it cannot be applied to all."""
    fewer = f", {number_of(len(curve), 'query', 'queries')}" if len(curve) < asked else ""
    return curve.name.replace("_", " ") + fewer


def _apart(places: Sequence[float]) -> dict[float, str]:
    """Places to be named on an axis, from the greatest down: those with room between them."""
    room = (max(places) - min(places)) / 9
    named: list[float] = []
    for place in sorted(places, reverse=True):
        if not named or named[-1] - place >= room:
            named.append(place)
    return {place: f"{place:g}" for place in named}


def _learning(results: Sequence[LeafCategoryResult], seed: int) -> str:
    """Accuracy against labelled rows of each leaf; all rows stand at their mean number."""
    counts = list(results[0].curve)
    judged = results[0].judged
    mean = judged.training_rows / max(1, len(results[0].task.leaves))
    whole = max(mean, 2.0 * max(counts, default=0), 1.0)  # to the right of all others
    series = []
    for result in results:
        curve = result.learning_curve(seed)
        accuracies = [*(curve[count]["accuracy"] for count in counts), result.figures(seed)["accuracy"]]
        series.append(Series(result.method, [*counts, whole], accuracies))
        if taught := result.learning_curve(seed, self_trained=True):
            series.append(Series(f"{result.method}, self-trained", counts, [taught[one]["accuracy"] for one in counts]))
    ticks: dict[float, str] = {count: f"{count}" for count in counts}
    return curve_plot(
        "Accuracy by labelled rows",
        series,
        xlabel=f"labelled rows of each leaf (all: {mean:,.0f} on average)",
        log=True,
        ticks=ticks | {whole: "all"},
        limits=(0, 1.02),
        height=3,
    )


def _reliability(result: LeafCategoryResult, seed: int) -> str:
    kinds = {"as it is": False} if result.judged.temperature is None else {"as it is": False, "scaled": True}
    series = []
    for name, scaled in kinds.items():
        confidence, accuracy = zip(*result.reliability(scaled=scaled, seed=seed), strict=True)
        series.append(Series(name, confidence, accuracy))
    title = f"Reliability, {result.method}"
    return curve_plot(title, series, xlabel="confidence", ylabel="accuracy", diagonal=True, limits=(0, 1.02), height=3)


def _confusions(result: LeafCategoryResult) -> str:
    """Counts of the leaves with most mistakes, and of all others together."""
    judged, leaves = result.judged, result.task.leaves
    wrong = ~judged.right
    mistakes = np.bincount(judged.truth[wrong], minlength=len(leaves)) + np.bincount(
        judged.predicted[wrong], minlength=len(leaves)
    )
    tested = np.bincount(judged.truth, minlength=len(leaves)) > 0
    order = np.argsort(-np.where(tested, mistakes, -1), kind="stable")
    shown = np.sort(order[: min(_MOST_LEAVES, int(tested.sum()))])
    place = np.full(len(leaves), len(shown))
    place[shown] = np.arange(len(shown))
    taken = np.bincount(judged.predicted[wrong & (place[judged.truth] < len(shown))], minlength=len(leaves))
    taken[shown] = 0
    more = np.argsort(-taken, kind="stable")[: min(_MORE_LEAVES, int((taken > 0).sum()))]  # wrong answers, no test rows
    column = np.full(len(leaves), len(shown) + len(more))
    column[[*shown, *more]] = np.arange(len(shown) + len(more))
    counts = np.zeros((len(shown) + 1, len(shown) + len(more) + 1), np.int64)
    np.add.at(counts, (place[judged.truth], column[judged.predicted]), 1)
    rows, others = _short([leaves[leaf] for leaf in shown], leaves), _short([leaves[leaf] for leaf in more], leaves)
    right = np.eye(*counts[:-1].shape, dtype=np.bool_)
    return heat_map("", rows, [*rows, *others, "any other"], counts[:-1], right)


def _short(paths: Sequence[str], leaves: Sequence[str]) -> list[str]:
    """The last level of each path, with the one before where another leaf ends alike."""
    last = Counter(leaf.rsplit(" > ", 1)[-1] for leaf in leaves)
    levels = [path.split(" > ") for path in paths]
    return [" > ".join(path[-2:]) if last[path[-1]] > 1 else path[-1] for path in levels]


def _confused(result: LeafCategoryResult, catalog: Catalog) -> Gallery:
    """Test rows of the most frequent mistakes."""
    rows = []
    for one in result.confusions(_SHOWN_CONFUSIONS):
        photos = [(catalog.titles[row] or "(no title)", thumbnail(catalog.photo(row))) for row in one.rows]
        said = {"leaf": one.truth, "taken for": one.predicted, "rows": f"{one.count:,} of {one.of:,}"}
        lines = [(name, [Word(text)]) for name, text in said.items()]
        rows.append(Pictures([(title, photo) for title, photo in photos if photo], lines))
    return Gallery("Most frequent mistakes", "Up to three test rows of each, those that it was surest of.", rows)
