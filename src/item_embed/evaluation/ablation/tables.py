"""An ablation as tables, as Markdown and as JSON: for each axis the points' figures, and their differences."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from item_embed.evaluation.ablation.results import AblationResult, AxisResult, PointResult
from item_embed.evaluation.ablation.running import About
from item_embed.evaluation.measured import FIGURES, form, known
from item_embed.evaluation.report import Table
from item_embed.evaluation.spread import Spread, mark
from item_embed.wording import are, number_of


def ablation_tables(found: AblationResult, about: About) -> list[Table]:
    """For each axis its figures and its differences, then the runs that failed. A cell may have several lines."""
    return [*(table for axis in found.axes for table in axis_tables(axis, about)), *failure_tables(found)]


def failure_tables(found: AblationResult) -> list[Table]:
    """The runs that failed, if any."""
    rows = [[run.label, str(run.seed), f"failed: {reason}"] for run, reason in found.failures]
    note = "They are tried again when the command is repeated."
    return [Table("Failed", ["run", "seed", "why"], rows, note)] if rows else []


def axis_tables(axis: AxisResult, about: About) -> list[Table]:
    """The figures of an axis's points, and how far they lie above those of its base point."""
    names = known(name for point in axis.points for name in point.figures)
    tables = [
        Table(
            title=axis.title,
            columns=["point", *(FIGURES[name] for name in names), "training"],
            rows=[
                [_head(axis, point), *(_cell(point.figures.get(name), name) for name in names), _training(point)]
                for point in axis.points
            ],
            note=_figures_note(axis, about),
        )
    ]
    names = known(name for point in axis.points for name in point.minus_base)
    if names:
        tables.append(
            Table(
                title=f"{axis.title}: minus {axis.points[axis.base].label}",
                columns=["point", *(FIGURES[name] for name in names)],
                rows=[
                    [point.label, *(_difference(point.minus_base.get(name)) for name in names)]
                    for number, point in enumerate(axis.points)
                    if number != axis.base
                ],
                note=_differences_note(axis),
            )
        )
    return tables


def ablation_json(found: AblationResult, about: About) -> dict[str, Any]:
    """An ablation as one JSON object."""
    return {
        "task": "ablate",
        "catalog": about.catalog,
        "protocol": about.protocol,
        "queries": about.queries,
        "index_size": about.listings,
        "leaf_category_rows": about.leaf_rows,
        "remarks": list(about.remarks),
        "runs": found.planned,
        "made": found.made,
        "failed": [{"run": run.label, "seed": run.seed, "reason": reason} for run, reason in found.failures],
        "axes": [
            {
                "axis": axis.title,
                "key": axis.key,
                "base": axis.points[axis.base].label,
                "points": [_point_json(point) for point in axis.points],
            }
            for axis in found.axes
        ],
    }


def axis_summary(axis: AxisResult, name: str = "macro_recall_at_10") -> str:
    """One sentence: which point has the highest figure, and whether that is decided."""
    measured = [point for point in axis.points if name in point.figures]
    if not measured:
        return "nothing is measured yet."
    best = max(measured, key=lambda point: point.figures[name].figure.value)
    value = best.figures[name].figure.text()
    base = axis.points[axis.base]
    if best is base:
        return f"{best.label}, the base, has the highest {FIGURES[name]}, {value}."
    above = best.minus_base.get(name)
    if above is None:
        return f"{best.label} has the highest {FIGURES[name]}, {value}; the base is not measured yet."
    decided = "" if above.figure.decided else ", not significant"
    return (
        f"{best.label} has the highest {FIGURES[name]}, {value}; above {base.label} by "
        f"{above.figure.text('+.3f')}{decided}."
    )


def markdown(title: str, tables: Sequence[Table]) -> str:
    """Tables as a Markdown document."""
    return "\n".join([f"# {title}", *(line for table in tables for line in _markdown(table))]) + "\n"


def remarks(found: AblationResult, about: About) -> Iterator[str]:
    """What a reader of the figures should know."""
    yield from about.remarks
    if found.made < found.planned:
        missing = found.planned - found.made
        yield f"{missing:,} of {number_of(found.planned, 'run')} {are(missing)} not made yet."


def _head(axis: AxisResult, point: PointResult) -> str:
    """A point's name, and how many of its runs are there."""
    lines = [point.label + (" (base)" if point is axis.points[axis.base] else "")]
    done = len(point.made)
    planned = number_of(point.planned, "run")
    lines.append(planned if done == point.planned else f"{done} of {planned}")
    if point.failed:
        lines.append(f"{point.failed} failed")
    return "\n".join(lines)


def _cell(spread: Spread | None, name: str) -> str:
    return "" if spread is None else _lines(spread, form(name))


def _difference(spread: Spread | None) -> str:
    return "" if spread is None else _lines(spread, "+.3f", mark(spread.figure))


def _lines(spread: Spread, written: str, behind: str = "") -> str:
    """The mean, below it its interval, below that the lowest and the highest run."""
    figure, low, high = spread.figure, min(spread.each), max(spread.each)
    lines = [f"{figure.value:{written}}{behind}"]
    if figure.low is not None and figure.high is not None:
        lines.append(f"[{figure.low:{written}}, {figure.high:{written}}]")
    if len(spread.each) > 1:
        lines.append(f"({low:{written}}{' to ' if '+' in written else '-'}{high:{written}})")
    return "\n".join(lines)


def _training(point: PointResult) -> str:
    if not point.made:
        return ""
    samples = " to ".join(dict.fromkeys(f"{one:,}" for one in (point.samples[0], point.samples[-1])))
    sizes = (point.parameters[0], point.parameters[-1])
    parameters = " to ".join(dict.fromkeys(f"{one / 1e6:.2f}" for one in sizes))
    return f"{samples} pairs\n{parameters} M params\n{point.minutes:.1f} minutes"


def _figures_note(axis: AxisResult, about: About) -> str:
    asked = ("simulated relisting",) if about.protocol == "relistings" else ("query", "queries")
    said = [f"{number_of(about.queries, *asked)} among {number_of(about.listings, 'listing')}"]
    if about.leaf_rows:
        said.append(f"; leaf accuracy: {number_of(about.leaf_rows, 'labelled row')}")
    said.append(". 95 % intervals over products.")
    if axis.key:
        said.insert(0, f"Values of {axis.key}. ")
    if max((len(point.made) for point in axis.points), default=0) > 1:
        said.append(" Means over runs; in round brackets the lowest and the highest run.")
    return "".join(said) + " Training, of one run: pairs seen, the encoder's parameters, minutes by the clock."


def _differences_note(axis: AxisResult) -> str:
    compared = [point for point in axis.points if point.minus_base]
    runs = min(len(next(iter(point.minus_base.values())).each) for point in compared)
    others = (
        " One run alone: another seed may move a figure by more than its interval says."
        if runs == 1
        else " The interval speaks of other products, the round brackets of other runs."
    )
    return (
        "Paired: runs of equal seeds, the same queries, the same resampled products. n.s.: not significant, the "
        f"interval holds 0.{others}"
    )


def _point_json(point: PointResult) -> dict[str, Any]:
    made = point.made
    return {
        "point": point.label,
        "value": point.value,
        "planned": point.planned,
        "made": len(made),
        "failed": point.failed,
        "parameters": [one.parameters for one in made],
        "samples": [one.samples for one in made],
        "minutes": [one.minutes for one in made],
        "cpu_minutes": [one.cpu_minutes for one in made],
        "figures": _spreads_json(point.figures),
        "minus_base": {
            name: spread | {"significant": point.minus_base[name].figure.decided}
            for name, spread in _spreads_json(point.minus_base).items()
        },
    }


def _spreads_json(spreads: Mapping[str, Spread]) -> dict[str, dict[str, Any]]:
    return {name: spread.figure.as_json() | {"by_run": list(spread.each)} for name, spread in spreads.items()}


def _markdown(table: Table) -> Iterator[str]:
    def row(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", "<br>") for cell in cells) + " |"

    yield from ("", f"## {table.title}", "")
    yield row(table.columns)
    yield "|" + "---|" * len(table.columns)
    yield from map(row, table.rows)
    if table.note:
        yield from ("", table.note)
