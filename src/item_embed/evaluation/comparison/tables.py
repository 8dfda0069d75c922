"""A comparison as tables and as JSON: what each method is, its figures, and paired differences from one of them."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from item_embed.evaluation.comparison.entry import Entry
from item_embed.evaluation.comparison.running import Comparison
from item_embed.evaluation.intervals import Figure
from item_embed.evaluation.measured import FIGURES, Sums, known, mean
from item_embed.evaluation.report import Table

_UNDECIDED = " n.s."  # behind a difference whose interval holds 0


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
        "remarks": [*queries.remarks, *(() if leaves is None else leaves.remarks)],
        "reference": reference,
        "methods": {
            method: _method(entries, None if method == reference else against, seed)
            for method, entries in found.entries.items()
        },
        "left_out": found.left_out,
    }


def summary(found: Comparison, figure: str = "macro_recall_at_10") -> str:
    """One sentence: which method is ahead, and by what."""
    values = {
        method: _mean(entries, figure).value for method, entries in found.entries.items() if _has(entries, figure)
    }
    if not values:
        return "nothing is measured yet."
    best = max(values, key=lambda method: values[method])
    others = [method for method in values if method != best]
    second = max(others, key=lambda method: values[method], default=None)
    behind = "" if second is None else f", before {second} with {values[second]:.3f}"
    return f"{best} has the highest {FIGURES[figure]}, {values[best]:.3f}{behind}."


def _methods(found: Comparison) -> Table:
    rows, notes = [], []
    for method, entries in found.entries.items():
        facts = entries[0].facts
        minutes = (fmean(e.facts.minutes for e in entries), fmean(e.facts.cpu_minutes for e in entries))
        size = "" if facts.parameters is None else f"{facts.parameters / 1e6:.2f}"
        trained = [f"{facts.samples:,}", *(f"{value:.1f}" for value in minutes)] if facts.samples else ["", "", ""]
        learns = "categories" if facts.labels else "no labels" if facts.samples else "nothing trained"
        rows.append([method, facts.sees, learns, size, *trained, f"{len(entries)}"])
        if facts.note:
            notes.append(f"{method}: {facts.note}.")
    return Table(
        title="Methods",
        columns=["method", "sees", "learns from", "parameters, million", "samples", "minutes", "CPU minutes", "seeds"],
        rows=rows,
        note=" ".join(["The same rows, batches and steps for all that is trained.", *notes]),
    )


def _figures(found: Comparison, seed: int) -> Table:
    names = known(name for entries in found.entries.values() for name in entries[0].measured)
    queries = found.questions.queries
    relisted = " simulated relistings" if queries.protocol == "relistings" else " queries"
    seeds = max((len(entries) for entries in found.entries.values()), default=1)
    over = " Of several seeds: the mean, and in brackets the lowest and the highest." if seeds > 1 else ""
    leaves = found.questions.leaves
    labelled = "" if leaves is None else f"; leaf accuracy: {len(leaves.test):,} rows of {len(leaves.leaves):,} leaves"
    return Table(
        title="Figures",
        columns=["method", *(FIGURES[name] for name in names)],
        rows=[[method, *(_cell(entries, name, seed) for name in names)] for method, entries in found.entries.items()],
        note=f"{len(queries):,}{relisted} among {len(queries.listings):,} listings{labelled}. 95 % intervals over "
        f"products.{over}",
    )


def _differences(found: Comparison, reference: str, seed: int) -> Table:
    against = found.entries[reference]
    names = [name for name in known(against[0].measured) if name != "dominance_index"]
    rows = []
    for method, entries in found.entries.items():
        if method != reference:
            cells = [
                _marked(_mean(against, name).minus(_mean(entries, name), seed)) if _has(entries, name) else ""
                for name in names
            ]
            rows.append([method, *cells])
    return Table(
        title=f"{reference} minus each other method",
        columns=["method", *(FIGURES[name] for name in names)],
        rows=rows,
        note="Paired: the same queries, the same resampled products; of several seeds the means are compared. "
        "n.s.: not significant, the interval holds 0.",
    )


def _method(entries: Sequence[Entry], against: Sequence[Entry] | None, seed: int) -> dict[str, Any]:
    facts = entries[0].facts
    object_: dict[str, Any] = {
        "sees": facts.sees,
        "labels": facts.labels,
        "parameters": facts.parameters,
        "samples": facts.samples,
        "minutes": [entry.facts.minutes for entry in entries],
        "cpu_minutes": [entry.facts.cpu_minutes for entry in entries],
        "note": facts.note,
        "seeds": [entry.seed for entry in entries],
    }
    for name in known(entries[0].measured):
        by_seed = {"by_seed": [entry.measured[name].value for entry in entries]} if len(entries) > 1 else {}
        object_[name] = _mean(entries, name).figure(seed).as_json() | by_seed
    if against is not None:
        shared = [name for name in known(against[0].measured) if _has(entries, name) and name != "dominance_index"]
        object_["reference_minus_method"] = {
            name: _mean(against, name).minus(_mean(entries, name), seed).as_json() for name in shared
        }
    return object_


def _has(entries: Sequence[Entry], name: str) -> bool:
    return all(name in entry.measured for entry in entries)


def _mean(entries: Sequence[Entry], name: str) -> Sums:
    return mean([entry.measured[name] for entry in entries])


def _cell(entries: Sequence[Entry], name: str, seed: int) -> str:
    if not _has(entries, name):
        return ""
    text = _mean(entries, name).figure(seed).text("+.3f" if name == "dominance_index" else ".3f")
    values = [entry.measured[name].value for entry in entries]
    return text if len(values) == 1 else f"{text} ({min(values):.3f} to {max(values):.3f})"


def _marked(difference: Figure) -> str:
    undecided = difference.low is None or difference.high is None or difference.low <= 0 <= difference.high
    return difference.text("+.3f") + (_UNDECIDED if undecided else "")
