"""Plots as inline SVG: in the colour of the text around them, on light ground and on dark.

They are drawn as wide as a phone, so that their letters stay readable there; a page puts several side by side.
"""

import io
import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from item_embed.evaluation.intervals import Figure

if TYPE_CHECKING:  # matplotlib takes its time, and is needed only where a page is asked for
    from matplotlib.axes import Axes

_INK = "#010203"  # stands for the page's own text colour, whatever that is
#: Of what is measured, in this order; readable on light and on dark ground.
COLOURS = ("#3f7fd1", "#d1603d", "#2f9a68", "#9c6fcf", "#ab8420", "#2b95a5")
#: The colour of what is only compared with.
OTHERS = "#858d96"
#: The line of what is only compared with.
DASHED = (0, (4, 3))
#: Inches of the height of a row with a name on its left.
ROW = 0.27
_WIDTH = 4.0  # inches
_LONGEST = 24  # letters of a label in one line
_STYLE: Any = {
    **dict.fromkeys(("text.color", "xtick.color", "ytick.color", "axes.labelcolor", "axes.edgecolor"), _INK),
    "svg.fonttype": "none",  # text as text, in the page's font
    "svg.hashsalt": "item",  # equal curves give equal bytes
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 10,
    "legend.frameon": False,
    "legend.fontsize": 8,
}
#: split -> name, colour and marker
_LOSSES = {"train": ("training", "#7a9cc6", None), "validation": ("held out", "#d1603d", "o")}


@dataclass(frozen=True)
class Series:
    """A curve: its name, and a figure at each place, in the order in which they are joined."""

    name: str
    x: Sequence[float]
    figures: Sequence[Figure]


def dot_plot(
    title: str,
    rows: Sequence[tuple[str, Figure]],
    *,
    first: int = 1,
    bars: bool = False,
    limits: tuple[float, float] | None = None,
) -> str:
    """Figures below each other, each a dot with its interval, its name on the left and its value on the right.

    Args:
        title: above the plot.
        rows: names and figures, from above; at least one.
        first: how many of them stand out in colour: what is asked about, before what it is compared with.
        bars: whether bars from 0 stand behind the dots.
        limits: of the axis; by default from 0 as far as the intervals go.

    Examples:
        >>> dot_plot("hit@1", [("model", Figure(0.5, 0.4, 0.6))]).startswith("<svg")  # doctest: +SKIP
        True
    """

    def draw(axes: "Axes") -> None:
        for place, (_, figure) in enumerate(rows):
            colour = COLOURS[0] if place < first else OTHERS
            low, high = figure.ends
            if bars:
                axes.barh(place, figure.value, height=0.6, color=colour, alpha=0.35)
            axes.plot([low, high], [place, place], color=colour, linewidth=2, solid_capstyle="round")
            axes.plot(figure.value, place, "o", color=colour, markersize=5)
            axes.text(1.03, place, f"{figure.value:.3f}", transform=axes.get_yaxis_transform(), va="center", fontsize=8)
        axes.set_yticks(range(len(rows)), [two_lines(name) for name, _ in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(*(limits or _limits([figure for _, figure in rows])))
        axes.tick_params(axis="y", length=0)
        draw_grid(axes, "x")

    lines = sum(two_lines(name).count("\n") + 1 for name, _ in rows)
    return plot_svg(title, 0.75 + ROW * max(lines, len(rows)), draw)


def curve_plot(
    title: str,
    series: Sequence[Series],
    *,
    xlabel: str = "",
    ylabel: str = "",
    log: bool = False,
    ticks: Mapping[float, str] | None = None,
    level: Figure | None = None,
    diagonal: bool = False,
    limits: tuple[float, float] | None = None,
    height: float = 2.6,
) -> str:
    """Curves with their intervals as bands.

    Args:
        title: above the plot.
        series: the curves, at least one, each of at least one point; one that runs down turns the axis round.
        xlabel: what the places are counted in.
        ylabel: what is measured.
        log: whether places are told apart by their ratio.
        ticks: places that are named, and their names; by default round numbers.
        level: drawn as a horizontal line, to be compared with.
        diagonal: whether a line where both axes are equal is drawn.
        limits: of the vertical axis; by default from 0 as far as the intervals go.
        height: inches.
    """
    from matplotlib.ticker import MaxNLocator, NullLocator

    def draw(axes: "Axes") -> None:
        for number, one in enumerate(series):
            _curve(axes, one, COLOURS[number % len(COLOURS)])
        if level is not None:
            axes.axhline(level.value, color=OTHERS, linewidth=1.2, linestyle=DASHED, zorder=1)
        if diagonal:
            axes.axline((0, 0), (1, 1), color=OTHERS, linewidth=1.2, linestyle=DASHED, zorder=1)
        places = [place for one in series for place in one.x]
        if log:
            axes.set_xscale("log")
        axes.set_xlim(*_around(places, log=log))
        if series[0].x[0] > series[0].x[-1]:
            axes.invert_xaxis()
        if ticks is not None:
            axes.set_xticks(list(ticks), list(ticks.values()))
            axes.xaxis.set_minor_locator(NullLocator())
        elif not log:
            axes.xaxis.set_major_locator(MaxNLocator(6))
        measured = [figure for one in series for figure in one.figures] + ([level] if level is not None else [])
        axes.set_ylim(*(limits or _limits(measured)))
        axes.set_xlabel(xlabel, fontsize=8)
        axes.set_ylabel(ylabel, fontsize=8)
        draw_grid(axes, "y")
        if len(series) > 1:
            axes.legend()

    return plot_svg(title, height, draw)


def line_plot(title: str, figure: Figure, ends: tuple[str, str], limits: tuple[float, float] = (-1, 1)) -> str:
    """One figure with its interval on a line whose ends mean something.

    Args:
        title: above the line.
        figure: what is shown.
        ends: what the lowest and the highest value mean.
        limits: the lowest and the highest value.
    """

    def draw(axes: "Axes") -> None:
        axes.axvline(sum(limits) / 2, color=_INK, alpha=0.3, linewidth=1)
        axes.plot(limits, (0, 0), color=_INK, alpha=0.3, linewidth=1)
        axes.plot(figure.ends, (0, 0), color=COLOURS[0], linewidth=3, solid_capstyle="round")
        axes.plot(figure.value, 0, "o", color=COLOURS[0], markersize=7)
        axes.annotate(f"{figure.value:+.2f}", (figure.value, 0), (0, 8), textcoords="offset points", ha="center")
        for end, name, side in zip(limits, ends, ("left", "right"), strict=True):
            axes.text(end, -0.75, name, ha=side, va="center", fontsize=8)
        axes.set_xlim(limits[0] - 0.06, limits[1] + 0.06)
        axes.set_ylim(-1, 1.1)
        axes.set_yticks([])
        axes.set_xticks([limits[0], sum(limits) / 2, limits[1]])
        axes.spines["left"].set_visible(False)

    return plot_svg(title, 1.35, draw)


def heat_map(
    title: str, rows: Sequence[str], columns: Sequence[str], counts: NDArray[np.int64], right: NDArray[np.bool_]
) -> str:
    """Counts as cells, the darker the larger their share of the row.

    Args:
        title: above the map.
        rows: R names.
        columns: C names.
        counts: (R, C).
        right: (R, C) cells in the colour of what is right; the others have that of what is wrong.
    """
    from matplotlib.patches import Rectangle

    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    def draw(axes: "Axes") -> None:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = COLOURS[0] if right[row, column] else COLOURS[1]
                shade = 0.1 + 0.7 * shares[row, column] ** 0.5
                axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, color=colour, alpha=shade, linewidth=0))
                axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=7)
        axes.set_xticks(range(len(columns)), [_cut(name) for name in columns], rotation=45, ha="left", fontsize=8)
        axes.set_yticks(range(len(rows)), [_cut(name) for name in rows], fontsize=8)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        for side in axes.spines.values():
            side.set_visible(False)

    return plot_svg(title, 1.6 + 0.3 * len(rows), draw, width=1.9 + 0.42 * len(columns))


def loss_curves(metrics_file: str | Path) -> list[str]:
    """The losses of a run, one plot per objective, by the pairs seen.

    Args:
        metrics_file: a JSON object per line with `samples`, `split` (`train` or `validation`) and `losses`.
    """
    return [_losses(objective, splits) for objective, splits in _read_losses(Path(metrics_file)).items()]


def _losses(objective: str, splits: dict[str, list[tuple[int, float]]]) -> str:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    def draw(axes: "Axes") -> None:
        for split, (name, colour, marker) in _LOSSES.items():
            if split in splits:
                samples, losses = zip(*splits[split], strict=True)
                shown = marker or ("o" if len(samples) == 1 else None)  # a line needs two points to be seen
                axes.plot(samples, losses, color=colour, marker=shown, markersize=3, linewidth=1.4, label=name)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.legend()

    return plot_svg(objective.upper(), 2.5, draw)


def _read_losses(path: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """objective -> split -> (pairs seen, loss)."""
    curves: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for line in path.read_text(encoding="utf8").splitlines(keepends=True) if path.is_file() else ():
        if not line.endswith("\n"):  # a run that is going on is writing it
            continue
        record = json.loads(line)
        for objective, loss in record.get("losses", {}).items():
            curves.setdefault(objective, {}).setdefault(record["split"], []).append((record["samples"], loss))
    return curves


def plot_svg(title: str, height: float, draw: "Callable[[Axes], None]", width: float = _WIDTH) -> str:
    """A plot of one's own as inline SVG, in the look of those here.

    Args:
        title: above the plot.
        height: inches.
        draw: draws into the axes.
        width: inches.

    Examples:
        >>> plot_svg("loss", 2.5, lambda axes: axes.plot([1, 2], [3, 4])).startswith("<svg")  # doctest: +SKIP
        True
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    with mpl.rc_context(_STYLE):
        canvas = Canvas(figsize=(width, height), layout="constrained")
        axes = canvas.subplots()
        axes.set_title(title, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        drawn = io.StringIO()
        unsaid = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        canvas.savefig(drawn, format="svg", transparent=True, metadata=unsaid)
    svg = drawn.getvalue().replace(_INK, "currentColor")
    return svg[svg.index("<svg") :]


def _curve(axes: "Axes", series: Series, colour: str) -> None:
    lows, highs = zip(*(figure.ends for figure in series.figures), strict=True)
    if len(series.x) == 1:
        axes.plot([series.x[0]] * 2, [lows[0], highs[0]], color=colour, linewidth=1.4)
    else:
        axes.fill_between(series.x, lows, highs, color=colour, alpha=0.2, linewidth=0)
    values = [figure.value for figure in series.figures]
    axes.plot(series.x, values, color=colour, linewidth=1.4, marker="o", markersize=3.5, label=series.name)


def draw_grid(axes: "Axes", axis: Literal["x", "y"]) -> None:
    """Faint lines behind what is drawn, at the ticks of an axis."""
    axes.set_axisbelow(True)
    axes.grid(axis=axis, color=_INK, alpha=0.12, linewidth=0.8)


def _limits(figures: Sequence[Figure]) -> tuple[float, float]:
    """An axis from 0 that holds all intervals."""
    lows, highs = zip(*(figure.ends for figure in figures), strict=True)
    low, high = min(0.0, *lows), max(0.0, *highs)
    room = 0.05 * (high - low) or 1.0
    return low - room * (low < 0), high + room


def _around(places: Sequence[float], *, log: bool) -> tuple[float, float]:
    """An axis that holds all places with some room, even one place alone."""
    low, high = min(places), max(places)
    if log:
        room = (high / low) ** 0.05 if high > low else 2.0
        return low / room, high * room
    room = 0.04 * (high - low) or 1.0
    return low - room, high + room


def two_lines(name: str) -> str:
    """A name beside a row in at most two lines, the rest left out."""
    return "\n".join(textwrap.wrap(name, _LONGEST, max_lines=2, placeholder=" …"))


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1].rstrip()}…"
