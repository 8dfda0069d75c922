"""What `item classify` does with few labels and with wrong ones, where labels are many and mostly right.

    python benchmarks/categories.py run/model fashion --vectors vectors.parquet --per-leaf 10
    python benchmarks/categories.py run/model fashion --vectors vectors.parquet --wrong 0.02

`--per-leaf N` leaves N rows of each leaf of the train split their label, and takes it from all others but those of the
test split. `--wrong SHARE` exchanges the labels of so many rows, half of them for another leaf under the same parent
where there is one, half for any other, each as frequent as it is; what was exchanged should be suspected, and what was
not should not, but for the labels that were wrong before.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.categories.classifier import Encoder
from item_embed.categories.fitting import fit_classifier
from item_embed.categories.leaves import LeafTask, leaf_task
from item_embed.categories.suspects import Labels, find_suspects
from item_embed.embedding.embedder import Embedder
from item_embed.evaluation.categories.quality import measure
from item_embed.evaluation.embedded import read_catalog_vectors


def few(catalog: Catalog, task: LeafTask, per_leaf: int, seed: int) -> list[str | None]:
    """The labels of so many training rows of each leaf, and those of the test split."""
    kept = np.concatenate([task.drawn(per_leaf, seed), catalog.rows("test")])
    labels: list[str | None] = [None] * len(catalog)
    for row in kept:
        labels[row] = catalog.categories[row]
    return labels


def spoilt(
    catalog: Catalog, task: LeafTask, share: float, seed: int
) -> tuple[list[str | None], NDArray[np.bool_], NDArray[np.bool_]]:
    """Labels of which some are wrong; which rows' were exchanged, (N,), and which for a leaf beside their own."""
    generator = np.random.default_rng(seed)
    rows = np.flatnonzero(task.labels >= 0)
    chosen = generator.choice(rows, round(share * len(rows)), replace=False)
    frequency = np.bincount(task.labels[rows], minlength=len(task.leaves)).astype(np.float64)
    parents = np.array([leaf.rpartition(" > ")[0] for leaf in task.leaves])
    labels, wrong, beside = list(catalog.categories), np.zeros(len(catalog), np.bool_), np.zeros(len(catalog), np.bool_)
    for number, row in enumerate(chosen):
        own = int(task.labels[row])
        likely = np.where(np.arange(len(frequency)) == own, 0, frequency)
        siblings = np.where(parents == parents[own], likely, 0)
        if number % 2 and siblings.any():
            likely, beside[row] = siblings, True
        labels[row] = task.leaves[generator.choice(len(likely), p=likely / likely.sum())]
        wrong[row] = True
    return labels, wrong, beside


def found_of(labels: Labels, wrong: NDArray[np.bool_], beside: NDArray[np.bool_]) -> dict[str, float]:
    """How many of the exchanged labels were suspected, and how many of the suspects were exchanged."""
    among = labels.rows[labels.suspects]
    suspected = np.zeros(len(wrong), np.bool_)
    suspected[among] = True
    return {
        "exchanged": int(wrong.sum()),
        "suspects": len(among),
        "found": float(suspected[wrong].mean()),
        "found_beside": float(suspected[beside].mean()),
        "found_elsewhere": float(suspected[wrong & ~beside].mean()),
        "of_suspects_exchanged": float(wrong[among].mean()),
        "of_first_hundred_exchanged": float(wrong[among[:100]].mean()),
        "of_others_suspected": float(suspected[labels.rows][~wrong[labels.rows]].mean()),
    }


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--per-leaf", type=int)
    parser.add_argument("--wrong", type=float, default=0.0)
    parser.add_argument("--precision", type=float, default=0.95)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    catalog = Catalog(given.catalog)
    embedder = Embedder.from_pretrained(given.model)
    vectors = read_catalog_vectors(given.vectors, catalog, embedder)
    wrong = beside = np.zeros(len(catalog), np.bool_)
    if given.per_leaf:
        catalog.categories = few(catalog, leaf_task(catalog), given.per_leaf, given.seed)
    if given.wrong:
        catalog.categories, wrong, beside = spoilt(catalog, leaf_task(catalog), given.wrong, given.seed)
    encoder = Encoder(embedder.path, embedder.fingerprint)
    fitted = fit_classifier(catalog, leaf_task(catalog), vectors, encoder, given.precision)
    told = {**fitted.classifier.told, "test": measure(fitted, given.seed).as_json()}
    if given.wrong:
        told["wrong"] = found_of(find_suspects(fitted), wrong, beside)
    print(json.dumps(told, indent=2))
    return told


if __name__ == "__main__":
    main()
