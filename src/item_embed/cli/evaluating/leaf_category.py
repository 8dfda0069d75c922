"""`--task leaf-category`: how much of a product's category its vector holds."""

from functools import partial
from typing import TYPE_CHECKING, Any

from item_embed.cli.console import progress
from item_embed.cli.evaluating.outcome import Outcome
from item_embed.cli.evaluating.request import Request
from item_embed.cli.evaluating.subject import Subject
from item_embed.wording import number_of

if TYPE_CHECKING:
    from item_embed.categories.classifiers import Classifier
    from item_embed.evaluation.leaf_category import LeafCategoryResult
    from item_embed.evaluation.report import Section, Table


_SELF_TRAINED = ("linear probe", "tfidf")  # the quick ones


def leaf_category(request: Request, subject: Subject) -> Outcome:
    """Train classifiers on the vectors of labelled rows and judge them."""
    from item_embed.categories.leaves import leaf_task
    from item_embed.evaluation.columns import joined, values_of
    from item_embed.evaluation.leaf_category import evaluate_leaf_category

    task = leaf_task(subject.catalog)
    by = None if request.by is None else (request.by, joined(values_of(subject.catalog, request.by, task.test)))
    subject.say(*task.remarks)
    methods = _classifiers(request, subject)
    results = evaluate_leaf_category(task, methods, seed=request.seed, stage=progress, self_train=_SELF_TRAINED)
    accuracy = results[0].figures(request.seed)["accuracy"].text()
    return Outcome(
        summary=f"{number_of(len(task.test), 'test row')}, {len(task.leaves):,} leaves to tell apart: "
        f"accuracy {accuracy}{_ahead(request, results)}.",
        as_json=partial(_as_json, request, results, by),
        make_tables=partial(_tables, request, results, by),
        make_section=partial(_section, subject, results),
    )


def _classifiers(request: Request, subject: Subject) -> "dict[str, Classifier]":
    from item_embed.categories.linear import linear_probe, tfidf_linear
    from item_embed.evaluation.neighbours import nearest_neighbours

    if request.model == "tfidf":
        request.refuse("a simple method", "vectors", "device", "batch_size", "modalities", "fine_tune")
        return {"tfidf": tfidf_linear(subject.catalog)}
    modalities = request.modalities or "both"
    vectors = subject.vectors(modalities)
    methods: dict[str, Classifier] = {
        "linear probe": linear_probe(vectors),
        "nearest neighbours": nearest_neighbours(vectors),
    }
    if request.fine_tune:
        from item_embed.categories.fine_tuning import fine_tune

        methods["fine-tuned"] = fine_tune(request.model, subject.catalog, modalities, device=request.device)
    if request.baselines:
        methods["tfidf"] = tfidf_linear(subject.catalog)
    return methods


def _ahead(request: Request, results: "list[LeafCategoryResult]") -> str:
    """Say it where another method than the first is right more often."""
    accuracy = {one.method: one.figures(request.seed)["accuracy"] for one in results}
    best = max(accuracy, key=lambda method: accuracy[method].value)
    return "" if best == results[0].method else f" by {results[0].method}; {best} is ahead with {accuracy[best].text()}"


def _as_json(request: Request, results: "list[LeafCategoryResult]", by: tuple[str, list[str]] | None) -> dict[str, Any]:
    from item_embed.evaluation.leaf_category import as_json

    return as_json(results, "tfidf" if request.baselines else None, by=by, seed=request.seed)


def _tables(request: Request, results: "list[LeafCategoryResult]", by: tuple[str, list[str]] | None) -> "list[Table]":
    from item_embed.evaluation.tables import confusion_table, leaf_by_table, leaf_category_table, learning_curve_table

    tables = [leaf_category_table(results, request.seed), learning_curve_table(results, request.seed)]
    if by is not None:
        tables.append(leaf_by_table(results, *by, request.seed))
    return [*tables, confusion_table(results[0])]


def _section(subject: Subject, results: "list[LeafCategoryResult]", tables: "list[Table]", summary: str) -> "Section":
    from item_embed.evaluation.sections import leaf_category_section

    remarks, seed = results[0].task.remarks, subject.request.seed
    return leaf_category_section(results, subject.catalog, tables, summary, remarks=remarks, seed=seed)
