"""A comparison as tables and as JSON: what each method is, its figures, and paired differences from one of them."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from item_embed.evaluation.comparison.entry import Entry
from item_embed.evaluation.comparison.running import Comparison
from item_embed.evaluation.measured import FIGURES, Measured, form, known, mean
from item_embed.evaluation.report import Table
from item_embed.evaluation.spread import Spread, differences, figures, mark
from item_embed.wording import number_of


def comparison_tables(found: Comparison, reference: str, seed: int = 0) -> list[Table]:
    """What the methods are, what they find, and how far each lies from the reference."""
    tables = [_methods(found), _figures(found, seed)]
    if reference in found.entries and len(found.entries) > 1:
        tables.append(_differences(found, reference, seed))
    if found.left_out:
        rows = [[method, reason] for method, reason in found.left_out.items()]
        tables.append(Table("Left out", ["method", "reason"], rows))
    return tables


def comparison_json(found: Comparison, reference: str, seed: int = 0) -> dict[str, Any]:
    """The comparison as one JSON object."""
    queries, leaves = found.questions.queries, found.questions.leaves
    against = found.entries.get(reference)
    return {
        "task": "compare",
        "protocol": queries.protocol,
        "split": queries.split,
        "queries": len(queries),
        "index_size": len(found.questions.catalog),
        "leaf_category_rows": 0 if leaves is None else len(leaves.test),
        "remarks": list(found.questions.remarks),
        "reference": reference,
        "methods": {
            method: _method(entries, None if method == reference else against, seed)
            for method, entries in found.entries.items()
        },
        "left_out": found.left_out,
    }


def summary(found: Comparison, figure: str = "macro_recall_at_10", seed: int = 0) -> str:
    """One sentence: which method is ahead, by what, and whether that is significant."""
    runs = {method: _measured(entries) for method, entries in found.entries.items()}
    values = {
        method: mean([one[figure] for one in of]).value
        for method, of in runs.items()
        if all(figure in one for one in of)
    }
    if not values:
        return "nothing is measured yet."
    best, *others = sorted(values, key=lambda method: -values[method])
    highest = f"the highest {FIGURES[figure]}, {values[best]:.3f}"
    if not others:
        return f"{best} has {highest}."
    second = others[0]
    if values[second] == values[best]:
        return f"{best} and {second} have {highest}."
    above = differences(runs[best], runs[second], seed)[figure].figure
    return f"{best} has {highest}, {above.text('+.3f')}{mark(above)} above {second}."


def _methods(found: Comparison) -> Table:
    rows, notes = [], []
    for method, entries in found.entries.items():
        facts = entries[0].facts
        minutes = (fmean(e.facts.minutes for e in entries), fmean(e.facts.cpu_minutes for e in entries))
        size = "" if facts.parameters is None else f"{facts.parameters / 1e6:.2f}"
        spent = [f"{value:.1f}" if any(minutes) else "" for value in minutes]  # a frozen model's are not known
        trained = [f"{facts.samples:,}" if facts.samples else "", *spent]
        learns = "categories" if facts.labels else "no labels" if facts.samples else "nothing trained"
        rows.append([method, facts.sees, learns, size, *trained, f"{len(entries)}"])
        if note := _note(entries):
            notes.append(f"{method}: {note}.")
    return Table(
        title="Methods",
        columns=["method", "sees", "learns from", "parameters, million", "samples", "minutes", "CPU minutes", "seeds"],
        rows=rows,
        note=" ".join(["The same rows, batches and steps for all that is trained here.", *notes]),
    )


def _figures(found: Comparison, seed: int) -> Table:
    spreads = {method: figures(_measured(entries), seed) for method, entries in found.entries.items()}
    names = known(name for one in spreads.values() for name in one)
    queries = found.questions.queries
    relisted = ("simulated relisting",) if queries.protocol == "relistings" else ("query", "queries")
    seeds = max((len(entries) for entries in found.entries.values()), default=1)
    over = " Of several seeds: the mean, and in brackets the lowest and the highest." if seeds > 1 else ""
    leaves = found.questions.leaves
    labelled = ""
    if leaves is not None:
        labelled = f"; leaf accuracy: {number_of(len(leaves.test), 'row')} of {len(leaves.leaves):,} leaves"
    return Table(
        title="Figures",
        columns=["method", *(FIGURES[name] for name in names)],
        rows=[[method, *(_cell(one.get(name), name) for name in names)] for method, one in spreads.items()],
        note=f"{number_of(len(queries), *relisted)} among {number_of(len(queries.listings), 'listing')}{labelled}. "
        f"95 % intervals over products.{over}",
    )


def _differences(found: Comparison, reference: str, seed: int) -> Table:
    against = _measured(found.entries[reference])
    above = {
        method: differences(against, _measured(entries), seed)
        for method, entries in found.entries.items()
        if method != reference
    }
    names = known(against[0])
    return Table(
        title=f"{reference} minus each other method",
        columns=["method", *(FIGURES[name] for name in names)],
        rows=[[method, *(_difference(one.get(name)) for name in names)] for method, one in above.items()],
        note="Paired: the same queries, the same resampled products; of several seeds the means are compared. "
        "n.s.: not significant, the interval holds 0.",
    )


def _method(entries: Sequence[Entry], against: Sequence[Entry] | None, seed: int) -> dict[str, Any]:
    facts, several = entries[0].facts, len(entries) > 1
    object_: dict[str, Any] = {
        "sees": facts.sees,
        "labels": facts.labels,
        "parameters": facts.parameters,
        "samples": facts.samples,
        "minutes": [entry.facts.minutes for entry in entries],
        "cpu_minutes": [entry.facts.cpu_minutes for entry in entries],
        "note": _note(entries),
        "seeds": [entry.seed for entry in entries],
    }
    for name, spread in figures(_measured(entries), seed).items():
        object_[name] = spread.figure.as_json() | ({"by_seed": list(spread.each)} if several else {})
    if against is not None:
        above = differences(_measured(against), _measured(entries), seed)
        object_["reference_minus_method"] = {name: spread.figure.as_json() for name, spread in above.items()}
    return object_


def _note(entries: Sequence[Entry]) -> str:
    """What is to be known of any of its seeds."""
    return "; ".join(dict.fromkeys(entry.facts.note for entry in entries if entry.facts.note))


def _measured(entries: Sequence[Entry]) -> list[Measured]:
    return [entry.measured for entry in entries]


def _cell(spread: Spread | None, name: str) -> str:
    if spread is None:
        return ""
    written = form(name)
    text = spread.figure.text(written)
    if len(spread.each) == 1:
        return text
    return f"{text} ({min(spread.each):{written}} to {max(spread.each):{written}})"


def _difference(spread: Spread | None) -> str:
    return "" if spread is None else spread.figure.text("+.3f") + mark(spread.figure)
