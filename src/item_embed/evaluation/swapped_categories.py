"""Leaf category of test rows by the photo, the title, both, and with one of them taken from another product."""

from dataclasses import replace

import numpy as np

from item_embed.catalog.store import Catalog
from item_embed.categories.classifiers import Scores
from item_embed.categories.leaves import LeafTask
from item_embed.categories.linear import linear_probe
from item_embed.embedding.seen import Modalities
from item_embed.evaluation.classification import Judged, judge
from item_embed.evaluation.drawn import MOST_QUERIES, drawn
from item_embed.evaluation.finders import VectorFinder
from item_embed.evaluation.queries import rows_as_queries, subset
from item_embed.evaluation.swapping import have_both, swap_partners, swapped
from item_embed.progress import Stages, silent_stages

_ALONE: tuple[Modalities, ...] = ("image", "title")
_PER_LEAF = 100  # training rows of each leaf: enough to tell what a vector holds, and a fit of seconds


def classify_swapped(
    finder: VectorFinder,
    catalog: Catalog,
    task: LeafTask,
    *,
    most: int = MOST_QUERIES,
    seed: int = 0,
    stage: Stages = silent_stages,
) -> dict[str, Judged]:
    """What a linear probe, fitted once on whole training rows, says of test rows that are shown in part or swapped.

    The true leaf is always the row's own, whatever it is shown with. The probe learns from at most a hundred rows of
    each leaf.

    Args:
        finder: the method, and its vectors of all N rows of the catalogue, of both modalities.
        catalog: the N rows.
        task: the labelled rows.
        most: how many test rows are asked about, drawn by a hash of their ids, of those with a photo and a title.
        seed: of the draws.
        stage: told of the progress of each stage.

    Returns:
        By `image`, `title`, `both`, `photo_swapped` and `title_swapped`; empty where no test row can be swapped.

    Examples:
        >>> found = classify_swapped(finder, catalog, leaf_task(catalog))   # doctest: +SKIP
        >>> found["photo_swapped"].right.mean()                             # doctest: +SKIP
        0.91
    """
    tested = rows_as_queries(catalog, "test")
    tested = subset(tested, np.flatnonzero(np.isin(tested.rows, task.test) & have_both(tested)))
    asked = drawn(tested, most, seed)
    partners = swap_partners(catalog, asked, seed)
    asked, partners = subset(asked, np.flatnonzero(partners >= 0)), partners[partners >= 0]
    if not len(asked):
        return {}
    alone = (
        ("image", replace(finder, modalities="image"), asked),
        ("title", replace(finder, modalities="title"), asked),
    )
    exchanged = ((name, finder, listings) for name, listings in swapped(catalog, asked, partners).items())
    parts = {}
    for name, embeds, listings in (*alone, *exchanged):
        with stage(f"embedding test rows ({name.replace('_', ' ')})") as on_progress:
            parts[name] = embeds.embed(listings, on_progress)
    taught = task.drawn(_PER_LEAF, seed)
    rows = np.concatenate([taught, task.validation, *[asked.rows] * len(parts)])
    numbers = np.split(np.arange(len(rows)), np.cumsum([len(taught), len(task.validation)]))
    probed = replace(
        task,
        labels=task.labels[rows],
        groups=task.groups[rows],
        train=numbers[0],
        validation=numbers[1],
        test=numbers[2],
    )
    features = np.concatenate([finder.index[taught], finder.index[task.validation], *parts.values()])
    with stage("classifying test rows"):
        scores = linear_probe(features)(probed, probed.train)
    own = replace(task, test=asked.rows)
    return {
        name: judge(Scores(scores.validation, part, scores.settings), own, len(taught))
        for name, part in zip(parts, np.split(scores.test, len(parts)), strict=True)
    }
