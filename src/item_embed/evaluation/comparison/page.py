"""A comparison as one HTML page: a plot for each figure, then the tables."""

from collections.abc import Sequence
from pathlib import Path

from item_embed.evaluation.comparison.running import Comparison
from item_embed.evaluation.measured import FIGURES, mean
from item_embed.evaluation.plots import dot_plot
from item_embed.evaluation.report import Plots, Section, Table, write_report

_INDEX = "dominance_index"
_NOTE = (
    "The reference first, then the others in the order of the command. Lines are 95 % intervals; of several seeds the "
    "mean is shown."
)


def write_page(
    path: Path, title: str, found: Comparison, reference: str, *, tables: Sequence[Table], summary: str, seed: int = 0
) -> None:
    """Write the page.

    Args:
        path: the file; one of that name is replaced.
        title: its heading.
        found: the comparison.
        reference: the method that stands out.
        tables: of `tables.comparison_tables`.
        summary: one sentence.
        seed: of intervals.

    Raises:
        OutputError: when the file cannot be written.

    Examples:
        >>> write_page(Path("page.html"), "Compared", found, "item", tables=[], summary="")  # doctest: +SKIP
    """
    plots = comparison_plots(found, reference, seed)
    shown = [Plots("Figures", plots, _NOTE)] if plots else []
    remarks = found.questions.remarks
    write_report(path, title, (), sections=[Section("Methods compared", summary, remarks, shown, tables)])


def comparison_plots(found: Comparison, reference: str, seed: int = 0) -> list[str]:
    """A dot plot for each figure that a method has; all of one figure on one scale."""
    methods = sorted(found.entries, key=lambda method: method != reference)
    plots = []
    for name, heading in FIGURES.items():
        rows = [
            (method, mean([entry.measured[name] for entry in found.entries[method]]).figure(seed))
            for method in methods
            if all(name in entry.measured for entry in found.entries[method])
        ]
        if rows:
            limits = (-1.05, 1.05) if name == _INDEX else None
            title = f"{heading},\ntitle (-1) to photo (+1)" if name == _INDEX else heading  # may be narrow
            plots.append(dot_plot(title, rows, first=int(rows[0][0] == reference), limits=limits))
    return plots
