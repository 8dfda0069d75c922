"""An ablation as one HTML page: for each axis its plots and its tables."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from markupsafe import Markup, escape

from item_embed.evaluation.ablation.plots import axis_plots
from item_embed.evaluation.ablation.results import AblationResult, AxisResult
from item_embed.evaluation.ablation.running import About
from item_embed.evaluation.ablation.tables import axis_summary, axis_tables, failure_tables, remarks
from item_embed.evaluation.report import Plots, Section, Table, write_report

_LEGEND = (
    "Mean with its 95 % interval over products; small dots: each run; dashed: the base point. Scales do not begin at 0."
)
_NAMES = ("Figures", "Differences")


def write_page(path: Path, title: str, found: AblationResult, about: About) -> None:
    """Write the page.

    Raises:
        OutputError: when the file cannot be written.

    Examples:
        >>> write_page(Path("report.html"), "Ablation", gather(ablation, plan), ablation.about)  # doctest: +SKIP
    """
    said = tuple(remarks(found, about))
    sections = [_section(axis, about, said if number == 0 else ()) for number, axis in enumerate(found.axes)]
    write_report(path, title, [_in_lines(table) for table in failure_tables(found)], sections=sections)


def _section(axis: AxisResult, about: About, said: Sequence[str]) -> Section:
    plots = axis_plots(axis)
    return Section(
        title=axis.title,
        summary=axis_summary(axis),
        remarks=said,
        plots=[Plots("By point", plots, _LEGEND)] if plots else [],
        tables=[
            replace(_in_lines(table), title=name) for name, table in zip(_NAMES, axis_tables(axis, about), strict=False)
        ],
    )


def _in_lines(table: Table) -> Table:
    """The lines of a cell below each other."""
    rows = [[Markup("<br>").join(escape(line) for line in cell.split("\n")) for cell in row] for row in table.rows]
    return replace(table, rows=rows)
