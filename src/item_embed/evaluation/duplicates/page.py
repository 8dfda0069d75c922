"""The page of duplicates: totals, sizes, the threshold, and clusters to look at."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from item_embed.evaluation.duplicates.quality import Quality, cluster_quality
from item_embed.evaluation.intervals import Figure
from item_embed.evaluation.plots import COLOURS, DASHED, OTHERS, Series, curve_plot, draw_grid, plot_svg
from item_embed.evaluation.report import Examples, Plots, Section, Table, write_report
from item_embed.search.duplicates.found import Found
from item_embed.search.duplicates.listings import PRODUCT_ID
from item_embed.search.items import Item
from item_embed.search.page import PageHit, PageQuery
from item_embed.search.thumbnails import thumbnail
from item_embed.wording import are, number_of

_POINTS = 60  # of the curve
_LARGEST, _LEAST_CERTAIN = 8, 12  # clusters shown
_MOST = 10  # listings of one shown
_SIZES = (2, 3, 4, 5, 6, 11, 21, 51, 101)  # the smallest of each bar


def judge_and_report(found: Found, folder: Path) -> dict[str, Any]:
    """Measure the clusters against the products that are known, and write `report.html`.

    Args:
        found: what was found.
        folder: where the page goes.

    Returns:
        `{"quality": ...}`, or nothing where no two listings are of one product that is known.

    Raises:
        OutputError: when the page cannot be written.
    """
    column = found.settings.labels or PRODUCT_ID
    quality = cluster_quality(found.clusters.labels, found.listings.codes(column), found.settings.seed)
    write_page(folder / "report.html", found, quality)
    return {} if quality is None else {"quality": {"labels": column, **quality.as_json()}}


def write_page(path: Path, found: Found, quality: Quality | None) -> None:
    """Write the page of what was found; `quality` where it could be measured."""
    clusters = found.clusters
    sizes = clusters.sizes
    several = np.flatnonzero(sizes > 1)
    summary = (
        f"{number_of(len(clusters.ids), 'listing')} are {number_of(len(sizes), 'product')}: "
        f"{number_of(len(several), 'cluster')} of several listings, "
        f"{number_of(int((sizes[several] - 1).sum()), 'duplicate')}."
    )
    plots = [Plots("How large clusters are", [_size_plot(sizes)])] if len(several) else []
    tables = [_totals_table(found)]
    remarks = _remarks(found)
    sections = [Section("Totals", summary, remarks, plots, tables)]
    if found.fitted is not None:
        sections.append(_threshold_section(found))
    if quality is not None:
        sections.append(_quality_section(found, quality))
    if len(several):
        sections.append(_clusters_section(found, several))
    write_report(path, "Duplicates", sections=sections)


def _totals_table(found: Found) -> Table:
    sizes = found.clusters.sizes
    recall = found.recall
    (known, of), (low_known, low_of) = (recall.above(at) for at in (found.threshold, found.settings.floor))
    rows = [
        ["listings", f"{len(found.clusters.ids):,}"],
        ["clusters", f"{len(sizes):,}"],
        ["of them of several listings", f"{int((sizes > 1).sum()):,}"],
        ["duplicates: listings beyond the first of each", f"{int((sizes - 1).sum()):,}"],
        ["largest cluster", f"{int(sizes.max(initial=0)):,}"],
        ["threshold, cosine", f"{found.threshold:.4f}"],
        ["linkage", found.settings.linkage],
        [f"neighbours found, of those exact search finds for {recall.vectors:,} vectors", f"{known:,} of {of:,}"],
        [f"the same down to a cosine of {found.settings.floor:g}", f"{low_known:,} of {low_of:,}"],
    ]
    return Table("Totals", ["", ""], rows)


def _remarks(found: Found) -> list[str]:
    remarks = []
    unseen = int((found.graph.snapshot.vector < 0).sum())
    if unseen:
        remarks.append(
            f"Of {number_of(unseen, 'listing')} the model saw nothing; each is a cluster of its own, whatever it shows."
        )
    if found.cut:
        remarks.append(
            f"{number_of(found.cut, 'group')} of listings that hang together {are(found.cut)} too large to be compared "
            "whole and came in pieces: what looks like one large cluster may be several. Placeholder photos do this."
        )
    variants = found.settings.variants
    if variants is not None:
        rule = "may be one product" if variants.same else "are never one product"
        remarks.append(f"Listings that differ in {variants.column} {rule}, as asked.")
    return remarks


def _size_plot(sizes: NDArray[np.int64]) -> str:
    ends = [*_SIZES[1:], int(sizes.max()) + 1]
    bars = [(low, high, int(((sizes >= low) & (sizes < high)).sum())) for low, high in zip(_SIZES, ends, strict=True)]
    while bars[-1][2] == 0:
        bars.pop()

    def draw(axes: Any) -> None:
        counts = [count for *_, count in bars]
        axes.bar(range(len(bars)), counts, color=COLOURS[0], width=0.7)
        for place, count in enumerate(counts):
            if count:
                axes.annotate(f"{count:,}", (place, count), (0, 2), textcoords="offset points", ha="center", fontsize=8)
        names = [str(low) if high - low <= 1 or low < 6 else f"{low}-{high - 1}" for low, high, _ in bars]
        axes.set_xticks(range(len(bars)), names, fontsize=8)
        axes.set_xlabel("listings in a cluster", fontsize=8)
        axes.set_yscale("symlog", linthresh=10)
        axes.set_ylim(0, max(counts) * 2)
        axes.tick_params(axis="x", length=0)
        draw_grid(axes, "y")

    return plot_svg("Clusters of several listings", 2.6, draw)


def _threshold_section(found: Found) -> Section:
    assert found.fitted is not None
    fitted, wanted = found.fitted, found.settings.precision
    at = fitted.curve.at(found.threshold)
    summary = f"{fitted.judged.told}: pairs at or above {found.threshold:.4f} are joined."
    if at is not None:
        summary = (
            f"{fitted.judged.told}: of pairs at or above {found.threshold:.4f}, {at.precision:.3f} are the same "
            f"product [{at.low:.3f}, {at.high:.3f}]."
        )
    note = (
        "Of the pairs at or above a cosine, the share that is the same product, with its 95 % interval. "
        f"The threshold is the lowest at which the interval lies above {wanted:g}."
    )
    error = fitted.calibration_error
    remarks = (
        []
        if error is None
        else [
            "Confidence is the probability of being the same product; on products not learned from it is off by "
            f"{error:.3f} on average (expected calibration error)."
        ]
    )
    return Section("Threshold", summary, remarks, [Plots("Precision by threshold", _curves(found), note)])


def _curves(found: Found) -> list[str]:
    assert found.fitted is not None
    fitted, floor = found.fitted, found.settings.floor
    curve = fitted.curve
    shown = np.unique(np.linspace(0, len(curve) - 1, min(_POINTS, len(curve))).astype(np.int64))[::-1]
    points = [curve.point(int(place)) for place in shown]
    figures = [Figure(point.precision, point.low, point.high) for point in points]
    level = Figure(found.settings.precision, None, None)
    precision = curve_plot(
        "Precision",
        [Series("precision", [point.threshold for point in points], figures)],
        xlabel="threshold, cosine",
        level=level,
        limits=(0, 1.02),
    )

    def draw(axes: Any) -> None:
        cosine = np.linspace(floor, 1, 100, dtype=np.float32)
        axes.plot(cosine, fitted.probability(cosine), color=COLOURS[2], linewidth=1.6)
        axes.axvline(found.threshold, color=OTHERS, linewidth=1.2, linestyle=DASHED)
        axes.set_ylim(0, 1.02)
        axes.locator_params(axis="x", nbins=6)
        axes.set_xlabel("cosine of a pair; the dashed line is the threshold", fontsize=8)
        draw_grid(axes, "y")

    return [precision, plot_svg("Probability of being the same product", 2.6, draw)]


def _quality_section(found: Found, quality: Quality) -> Section:
    column = found.settings.labels or PRODUCT_ID
    rows = [[name.replace("_", " "), figure.text()] for name, figure in quality.figures.items()]
    note = (
        "Pairs count listings of one cluster two by two; B-cubed averages over listings. 95 % intervals over products."
    )
    remarks = []
    if found.settings.labels is not None:
        remarks.append("The threshold was chosen by the same labels, so these figures flatter it a little.")
    summary = (
        f"Against {column}: {number_of(quality.listings, 'listing')} of {number_of(quality.products, 'product')}, "
        f"{quality.several:,} of them with several listings."
    )
    return Section("Quality", summary, remarks, tables=[Table("Quality", ["figure", "value"], rows, note)])


def _clusters_section(found: Found, several: NDArray[np.int64]) -> Section:
    clusters = found.clusters
    by = clusters.cosine if clusters.confidence is None else clusters.confidence
    lowest = clusters.lowest(by)[several]
    largest = several[np.argsort(-clusters.sizes[several], kind="stable")[:_LARGEST]]
    uncertain = several[np.argsort(lowest, kind="stable")[:_LEAST_CERTAIN]]
    what = "confidence" if clusters.confidence is not None else "cosine to the master"
    rows = _rows_of(clusters.labels, np.union1d(largest, uncertain))
    return Section(
        "Clusters to look at",
        "Each begins with its suggested master.",
        examples=[
            Examples("The largest", "", [_example(found, int(one), rows[int(one)]) for one in largest]),
            Examples(
                "The least certain",
                f"Those whose least certain listing has the lowest {what}.",
                [_example(found, int(one), rows[int(one)]) for one in uncertain],
            ),
        ],
    )


def _rows_of(labels: NDArray[np.int64], wanted: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    rows = np.flatnonzero(np.isin(labels, wanted))
    return {int(label): rows[labels[rows] == label] for label in wanted}


def _example(found: Found, label: int, rows: NDArray[np.int64]) -> PageQuery:
    """A cluster as the page shows it: its master, and its other listings, the least certain first."""
    clusters, index = found.clusters, found.index
    key = clusters.ids[clusters.masters[label]]
    master = index.item(key) or Item(key)  # one that is gone since is shown by its id
    others = rows[rows != clusters.masters[label]]
    others = others[np.argsort(clusters.cosine[others], kind="stable")][:_MOST]
    hits = []
    for row in others:
        item = index.item(clusters.ids[row]) or Item(clusters.ids[row])
        note = item.id
        if clusters.confidence is not None:
            note = f"confidence {clusters.confidence[row]:.2f} · {item.id}"
        hits.append(PageHit(item.title or "", thumbnail(item.photo), float(clusters.cosine[row]), note))
    left = len(rows) - 1 - len(others)
    note = (
        f"cluster {clusters.numbers[label]} · {number_of(len(rows), 'listing')} · {master.id} · {clusters.why[label]}"
    )
    note += f" · {left:,} more not shown" if left else ""
    return PageQuery(master.title or "", thumbnail(master.photo), hits, note, "Master")
