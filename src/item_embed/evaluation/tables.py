"""The results of tasks as tables of a report."""

from collections.abc import Sequence

from item_embed.evaluation.classification import figures
from item_embed.evaluation.dominance import Dominance
from item_embed.evaluation.intervals import Figure
from item_embed.evaluation.intervals import figures as retrieval_figures
from item_embed.evaluation.leaf_category import LeafCategoryResult
from item_embed.evaluation.report import COLUMNS, Table, few_marked, few_note, most_frequent, source
from item_embed.evaluation.robustness import Robustness
from item_embed.evaluation.variants import Variants
from item_embed.wording import number_of

_LEAF_FIGURES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "top_5_accuracy": "top-5",
    "calibration_error": "ECE",
    "calibration_error_scaled": "ECE, scaled",
    "coverage_at_95": "coverage at 95 %",
    "precision_at_95": "its precision",
}


def leaf_category_table(results: Sequence[LeafCategoryResult], seed: int = 0) -> Table:
    """Methods that learnt from all training rows."""
    task = results[0].task
    return Table(
        title="Leaf category",
        columns=["method", *_LEAF_FIGURES.values()],
        rows=[[result.method, *_cells(result.figures(seed), _LEAF_FIGURES)] for result in results],
        note=f"{number_of(len(task.test), 'test row')}, {len(task.leaves):,} leaves to tell apart; learnt from "
        f"{number_of(len(task.train), 'row')}, chosen on {len(task.validation):,}. Groups are never parted. ECE: "
        "calibration error, before and after temperature scaling. 95 % intervals over groups.",
    )


_SELF_TRAINED = " Self-trained: the titles and photos of the other training rows are seen, their labels are not."


def learning_curve_table(results: Sequence[LeafCategoryResult], seed: int = 0) -> Table:
    """Accuracy after some rows of each leaf, and after all."""
    counts = list(results[0].curve)
    rows = []
    for result in results:
        curve = result.learning_curve(seed)
        accuracies = [curve[count]["accuracy"].text() for count in counts]
        rows.append([result.method, *accuracies, result.figures(seed)["accuracy"].text()])
        if taught := result.learning_curve(seed, self_trained=True):
            rows.append([f"{result.method}, self-trained", *(taught[count]["accuracy"].text() for count in counts), ""])
    return Table(
        title="Leaf category: accuracy by labelled rows of each leaf",
        columns=["method", *(str(count) for count in counts), "all"],
        rows=rows,
        note="The same rows for every method, drawn once; settings are still chosen on all validation rows."
        + (_SELF_TRAINED if any(result.self_trained for result in results) else ""),
    )


def leaf_by_table(results: Sequence[LeafCategoryResult], column: str, values: Sequence[str], seed: int = 0) -> Table:
    """The accuracy of methods for each value of a column, the most frequent first."""
    found = [result.accuracy_by(values, seed) for result in results]
    counts = {value: rows for value, (rows, _) in found[0].items()}
    return Table(
        title=f"Leaf category, accuracy by {column}",
        columns=[column, "test rows", *(result.method for result in results)],
        rows=[
            [value, few_marked(counts[value]), *(parts[value][1].text() for parts in found)]
            for value in most_frequent(counts)
        ],
        note=few_note(counts, "rows"),
    )


def confusion_table(result: LeafCategoryResult) -> Table:
    """The most frequent mistakes."""
    return Table(
        title=f"Taken for another leaf most often, {result.method}",
        columns=["leaf", "taken for", "rows", "of"],
        rows=[[one.truth, one.predicted, f"{one.count:,}", f"{one.of:,}"] for one in result.confusions()],
    )


def dominance_tables(found: Dominance) -> list[Table]:
    """How far vectors go, and what is found by each modality and with one exchanged."""
    moved = found.movement.figures(found.seed)
    tables = [
        Table(
            title="Movement",
            columns=["exchanged", "cosine distance"],
            rows=[[name, moved[name].text()] for name in ("photo", "title")],
            note=f"{number_of(len(found.movement), 'listing')}: {source(found.queries)}. "
            f"Index {moved['index'].text('+.3f')}: (photo - title) / (photo + title). "
            "It says what moves the vector, not what helps to find.",
        )
    ]
    if found.retrieval:
        rows = [[name.replace("_", " "), *_retrieval(r.figures(found.seed))] for name, r in found.retrieval.items()]
        tables.append(Table(title="Same product", columns=["query sees", *COLUMNS], rows=rows))
    if found.categories:
        both = found.categories["both"]
        accuracy = {name: figures(one, seed=found.seed)["accuracy"] for name, one in found.categories.items()}
        change = {name: figures(one, minus=both, seed=found.seed)["accuracy"] for name, one in found.categories.items()}
        rows = [
            [name.replace("_", " "), accuracy[name].text(), "" if name == "both" else change[name].text("+.3f")]
            for name in found.categories
        ]
        rows_judged = number_of(len(both), "test row")
        note = f"{rows_judged}, by a linear probe on whole ones; right is always the leaf of the row itself."
        tables.append(Table("Leaf category", ["test row shows", "accuracy", "change from both"], rows, note))
    return tables


def robustness_tables(found: Robustness) -> list[Table]:
    """One table of all alterations: a row per strength."""
    rows = [
        ["as they are", "", f"{len(found.unaltered.queries):,}", *_retrieval(found.unaltered.figures(found.seed)), ""]
    ]
    for curve in found.curves:
        for point in curve.points:
            change = point.result.figures(found.seed, minus=curve.unaltered)["macro_recall_at_10"].text("+.3f")
            strength = f"{point.strength:g} {curve.unit}"
            figures = _retrieval(point.result.figures(found.seed))
            rows.append([curve.name.replace("_", " "), strength, f"{len(curve):,}", *figures, change])
    return [
        Table(
            title="Same product, queries altered",
            columns=["alteration", "strength", "queries", *COLUMNS, "change of recall@10"],
            rows=rows,
            note=f"Queries: {source(found.unaltered.queries)}. The catalogue is as it is. Changes are paired: the same "
            "queries, altered and not.",
        )
    ]


def variant_table(found: Variants, seed: int = 0) -> Table:
    """Variants as right answers, and as what is found before the product itself."""
    shares = found.shares(seed)
    recall = {
        name: retrieval_figures(one, found.products, seed=seed)["macro_recall_at_10"]
        for name, one in (("variants", found.variants), ("product", found.product))
    }
    return Table(
        title=f"Variants: other products with the same {found.column}",
        columns=["of the queries that have variants", found.method],
        rows=[
            ["macro recall@10 of variants", recall["variants"].text()],
            ["macro recall@10 of the product", recall["product"].text()],
            ["share with a variant among the first ten", shares["variant_among_ten"].text()],
            ["share with a variant before the product", shares["variant_before_product"].text()],
        ],
        note=f"{number_of(len(found), 'query has', 'queries have')} variants. They are right answers where any colour "
        "or size will do, and near misses where only the product itself will.",
    )


def _retrieval(figures: dict[str, Figure]) -> list[str]:
    return [figures[name].text() for name in ("hit_at_1", "macro_recall_at_10", "map_at_10")]


def _cells(figures: dict[str, Figure], names: dict[str, str]) -> list[str]:
    return [figures[name].text() if name in figures else "" for name in names]
