"""Plots of an axis: a line over numbers, dots over names; one for each figure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from item_embed.evaluation.ablation.results import AxisResult, PointResult
from item_embed.evaluation.measured import FIGURES, known
from item_embed.evaluation.plots import COLOURS, DASHED, OTHERS, ROW, draw_grid, plot_svg, two_lines
from item_embed.evaluation.spread import Spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RATIO = 10  # numbers that lie so far apart are told apart by their ratio


def axis_plots(axis: AxisResult) -> list[str]:
    """Inline SVGs: each figure by the points of an axis, with its interval, and each run as a small dot.

    A dashed line goes through the base point. The scale does not begin at 0: what differs is to be seen.
    """
    plots = []
    for name in known(name for point in axis.points for name in point.figures):
        points = [point for point in axis.points if name in point.figures]
        base = axis.points[axis.base].figures.get(name)
        draw = _line if axis.key else _dots
        plots.append(draw(FIGURES[name], axis, points, [point.figures[name] for point in points], base))
    return plots


def _line(
    title: str, axis: AxisResult, points: Sequence[PointResult], spreads: Sequence[Spread], base: Spread | None
) -> str:
    from matplotlib.ticker import NullLocator
    from matplotlib.transforms import ScaledTranslation

    places = [point.value for point in points if point.value is not None]
    order = sorted(range(len(places)), key=lambda number: places[number])

    def draw(axes: "Axes") -> None:
        beside = axes.transData + ScaledTranslation(5 / 72, 0, axes.figure.dpi_scale_trans)
        if base is not None:
            axes.axhline(base.figure.value, color=OTHERS, linewidth=1, linestyle=DASHED, zorder=1)
        for place, spread in zip(places, spreads, strict=True):
            low, high = spread.figure.ends
            axes.plot([place, place], [low, high], color=COLOURS[0], linewidth=2, solid_capstyle="round")
            runs = [place] * len(spread.each)
            axes.plot(runs, spread.each, ".", color=COLOURS[1], markersize=5, transform=beside)
        values = [spreads[number].figure.value for number in order]
        axes.plot([places[n] for n in order], values, "-o", color=COLOURS[0], linewidth=1.4, markersize=5)
        if min(places) > 0 and max(places) / min(places) >= _RATIO:
            axes.set_xscale("log")
        axes.set_xticks(places, [point.label for point in points])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.margins(x=0.08)
        axes.set_ylim(*_limits(spreads))
        axes.set_xlabel(axis.key or "", fontsize=8)
        draw_grid(axes, "y")

    return plot_svg(title, 2.6, draw)


def _dots(
    title: str, axis: AxisResult, points: Sequence[PointResult], spreads: Sequence[Spread], base: Spread | None
) -> str:
    names = [two_lines(point.label) for point in points]

    def draw(axes: "Axes") -> None:
        if base is not None:
            axes.axvline(base.figure.value, color=OTHERS, linewidth=1, linestyle=DASHED, zorder=1)
        for place, (point, spread) in enumerate(zip(points, spreads, strict=True)):
            colour = OTHERS if point is axis.points[axis.base] else COLOURS[0]
            axes.plot(spread.figure.ends, [place, place], color=colour, linewidth=2, solid_capstyle="round")
            axes.plot(spread.figure.value, place, "o", color=colour, markersize=5)
            axes.plot(spread.each, [place + 0.25] * len(spread.each), ".", color=COLOURS[1], markersize=5)
            value = f"{spread.figure.value:.3f}"
            axes.text(1.03, place, value, transform=axes.get_yaxis_transform(), va="center", fontsize=8)
        axes.set_yticks(range(len(points)), names)
        axes.set_ylim(len(points) - 0.4, -0.6)
        axes.set_xlim(*_limits(spreads))
        axes.locator_params(axis="x", nbins=5)
        axes.tick_params(axis="y", length=0)
        draw_grid(axes, "x")

    lines = sum(name.count("\n") + 1 for name in names)
    return plot_svg(title, 0.75 + 1.3 * ROW * max(lines, len(points)), draw)


def _limits(spreads: Sequence[Spread]) -> tuple[float, float]:
    """A scale that holds all intervals and runs, with some room."""
    ends = [end for spread in spreads for end in (*spread.figure.ends, *spread.each)]
    low, high = min(ends), max(ends)
    room = 0.06 * (high - low) or 0.05
    return low - room, high + room
