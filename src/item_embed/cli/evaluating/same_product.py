"""`--task same-product`: is the same product found?"""

from functools import partial
from typing import TYPE_CHECKING, Any

from item_embed.cli.console import progress
from item_embed.cli.evaluating import probabilities
from item_embed.cli.evaluating.outcome import Outcome, counted
from item_embed.cli.evaluating.request import Request
from item_embed.cli.evaluating.subject import Subject
from item_embed.embedding.seen import Modalities
from item_embed.wording import number_of

if TYPE_CHECKING:
    from item_embed.evaluation.queries import QuerySet
    from item_embed.evaluation.report import Section, Table
    from item_embed.evaluation.same_product import SameProductResult
    from item_embed.evaluation.shared_words import MaskedWords
    from item_embed.evaluation.variants import Variants


def same_product(request: Request, subject: Subject) -> Outcome:
    """Search for every query, by the model or a simple method, and compare."""
    from item_embed.evaluation.baselines import METHODS
    from item_embed.evaluation.columns import told_apart
    from item_embed.evaluation.run import training_remarks
    from item_embed.evaluation.variants import evaluate_variants

    probabilities.check_probabilities(request)
    if subject.is_simple:
        _check_simple(request, METHODS[request.model].modalities)
    elif request.modalities == "image":
        request.refuse("--modalities image, which hides the words", "hybrid", "mask_shared_words")
    masked = _masked(request, subject)
    if masked is not None:
        subject = subject.under(masked)
    queries = subject.queries
    if request.by is not None:
        queries = told_apart(queries, subject.catalog, request.by)
    remarks = () if subject.is_simple else training_remarks(subject.folder, subject.catalog, queries)
    subject.say(*queries.remarks, *remarks)
    results = (_simple if subject.is_simple else _model)(request, subject, queries)
    variants = None if request.variants is None else evaluate_variants(results[0], subject.catalog, request.variants)
    learned = probabilities.learn(request, subject, results[0])
    file = request.probabilities
    found = results[0].figures(request.seed)["macro_recall_at_10"].text()
    return Outcome(
        summary=f"{counted(queries)} among {number_of(len(subject.catalog), 'listing')}: "
        f"{results[0].method} has macro recall@10 {found}{_ahead(request, results)}."
        f"{probabilities.summary(learned, file)}",
        as_json=lambda: _as_json(request, results, variants, remarks, masked) | probabilities.as_json(learned, file),
        make_tables=partial(_tables, request, results, variants),
        make_section=partial(_section, subject, results, remarks),
    )


def _check_simple(request: Request, seen: Modalities) -> None:
    from item_embed.errors import ConfigError

    request.refuse("a simple method", "vectors", "device", "batch_size", "hybrid", "probabilities")
    if seen == "image":
        request.refuse(f"{request.model}, which sees no words", "mask_shared_words")
    if request.modalities not in (None, seen):
        raise ConfigError(
            f"{request.model} sees {seen}, whatever --modalities says; leave it out, or choose another method."
        )


def _masked(request: Request, subject: Subject) -> "MaskedWords | None":
    """Catalogue and queries without shared words, where that was asked for."""
    from item_embed.errors import ConfigError
    from item_embed.evaluation.shared_words import mask_shared_words

    if not request.mask_shared_words:
        return None
    if request.vectors is not None:
        raise ConfigError(
            "--vectors are of whole titles and --mask-shared-words takes words out of them; leave --vectors out, and "
            "the catalogue is embedded again."
        )
    return mask_shared_words(subject.catalog, subject.queries, request.mask_shared_words.value)


def _simple(request: Request, subject: Subject, queries: "QuerySet") -> "list[SameProductResult]":
    from item_embed.evaluation.baselines import METHODS
    from item_embed.evaluation.run import evaluate_simple

    compared = [name for name in METHODS if request.baselines and name != request.model]
    return evaluate_simple([request.model, *compared], subject.catalog, queries, progress)


def _model(request: Request, subject: Subject, queries: "QuerySet") -> "list[SameProductResult]":
    from item_embed.evaluation.baselines import METHODS
    from item_embed.evaluation.run import evaluate_model, evaluate_simple

    seen = request.modalities or "both"
    results = evaluate_model(
        subject.embedder,
        subject.catalog,
        queries,
        seen,
        hybrid=request.hybrid,
        vectors=subject.vectors(seen),
        batch_size=subject.batch_size,
        stage=progress,
    )
    fitting = [name for name, method in METHODS.items() if seen in ("both", method.modalities)]
    return [*results, *(evaluate_simple(fitting, subject.catalog, queries, progress) if request.baselines else [])]


def _ahead(request: Request, results: "list[SameProductResult]") -> str:
    """Say it where another method finds more."""
    recall = {one.method: one.figures(request.seed)["macro_recall_at_10"] for one in results}
    best = max(recall, key=lambda method: recall[method].value)
    first = recall[results[0].method]
    return "" if recall[best].value == first.value else f"; {best} is ahead with {recall[best].text()}"


def _as_json(
    request: Request,
    results: "list[SameProductResult]",
    variants: "Variants | None",
    remarks: tuple[str, ...],
    masked: "MaskedWords | None",
) -> dict[str, Any]:
    from item_embed.evaluation.same_product import as_json

    more = {} if variants is None else {"variants": variants.as_json(request.seed)}
    if masked is not None:
        more["masked_words"] = masked.as_json()
    return as_json(results[0], results[1:], request.by, request.seed, remarks) | more


def _tables(request: Request, results: "list[SameProductResult]", variants: "Variants | None") -> "list[Table]":
    from item_embed.evaluation.report import by_table, difference_table, figure_table
    from item_embed.evaluation.tables import variant_table

    tables = [figure_table(results, request.seed)]
    if len(results) > 1:
        tables.append(difference_table(results[0], results[1:], request.seed))
    if request.by is not None:
        tables.append(by_table(results, request.by, request.seed))
    if variants is not None:
        tables.append(variant_table(variants, request.seed))
    return tables


def _section(
    subject: Subject,
    results: "list[SameProductResult]",
    remarks: tuple[str, ...],
    tables: "list[Table]",
    summary: str,
) -> "Section":
    from item_embed.evaluation.sections import same_product_section

    by, seed = subject.request.by, subject.request.seed
    said = (*results[0].queries.remarks, *remarks)
    return same_product_section(results, subject.catalog, tables, summary, by=by, remarks=said, seed=seed)
