"""`--task dominance`: what the vectors hang on, the photo or the title."""

from contextlib import suppress
from functools import partial

from item_embed.cli.console import progress
from item_embed.cli.evaluating.outcome import Outcome, counted
from item_embed.cli.evaluating.request import Request
from item_embed.cli.evaluating.subject import Subject
from item_embed.errors import CatalogError


def dominance(request: Request, subject: Subject) -> Outcome:
    """Exchange photos and titles, and see how far vectors go and what is still found."""
    from item_embed.categories.leaves import leaf_task
    from item_embed.evaluation.dominance import evaluate_dominance
    from item_embed.evaluation.drawn import MOST_QUERIES
    from item_embed.evaluation.sections import dominance_section
    from item_embed.evaluation.tables import dominance_tables

    embedder = subject.embedder
    try:
        queries = subject.queries
    except CatalogError:
        if request.queries is not None or request.relist is not None:
            raise
        queries = None  # no labels: how far vectors go can be measured all the same
    leaves = None
    with suppress(CatalogError):  # no labels, or one leaf: nothing is said of categories
        leaves = leaf_task(subject.catalog)
    found = evaluate_dominance(
        embedder,
        subject.catalog,
        queries,
        split=subject.split,
        leaves=leaves,
        vectors=None if queries is None and leaves is None else {"both": subject.vectors("both")},
        most=request.sample or MOST_QUERIES,
        seed=request.seed,
        batch_size=subject.batch_size,
        stage=progress,
    )
    subject.say(*found.remarks)
    index = found.movement.figures(request.seed)["index"].text("+.3f")
    return Outcome(
        summary=f"{counted(found.queries, 'listing', 'listings')}: "
        f"dominance index {index}, from -1 (title) to +1 (photo).",
        as_json=found.as_json,
        make_tables=partial(dominance_tables, found),
        make_section=partial(dominance_section, found),
    )
