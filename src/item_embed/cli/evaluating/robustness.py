"""`--task robustness`: what is still found when photos and titles of the queries are altered."""

from functools import partial

from item_embed.cli.console import progress
from item_embed.cli.evaluating.outcome import Outcome, counted
from item_embed.cli.evaluating.request import Request
from item_embed.cli.evaluating.subject import Subject


def robustness(request: Request, subject: Subject) -> Outcome:
    """Alter queries more and more, and search the catalogue as it is."""
    from item_embed.evaluation.alterations import photo_alterations
    from item_embed.evaluation.drawn import MOST_QUERIES
    from item_embed.evaluation.finders import vector_finder
    from item_embed.evaluation.robustness import evaluate_robustness
    from item_embed.evaluation.sections import robustness_section
    from item_embed.evaluation.tables import robustness_tables

    embedder, queries = subject.embedder, subject.queries
    modalities = request.modalities or "both"
    finder = vector_finder(
        embedder, subject.catalog, modalities, vectors=subject.vectors(modalities), batch_size=subject.batch_size
    )
    with progress("altering queries") as on_progress:
        found = evaluate_robustness(
            finder,
            queries,
            photos=photo_alterations(embedder.image_size, embedder.patch_size),
            most=request.sample or MOST_QUERIES,
            seed=request.seed,
            on_progress=on_progress,
        )
    subject.say(*found.remarks)
    whole = found.unaltered.figures(request.seed)["macro_recall_at_10"].text()
    return Outcome(
        summary=f"{counted(found.unaltered.queries)}: macro recall@10 {whole} as they are.",
        as_json=found.as_json,
        make_tables=partial(robustness_tables, found),
        make_section=partial(robustness_section, found),
    )
