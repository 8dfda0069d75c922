"""Figures as a run has them, drawn from a seed."""

import numpy as np

from item_embed.evaluation.measured import Sums


def drawn(seed: int, clusters: int = 30) -> dict[str, Sums]:
    """Two figures over products, one over groups of rows, and one with weights of its own."""
    rng = np.random.default_rng(seed)
    queries = np.arange(clusters, dtype=np.float64) % 3 + 1
    moved = rng.random((2, clusters))
    return {
        "hit_at_1": Sums(rng.integers(0, queries.astype(np.int64) + 1).astype(np.float64), queries),
        "macro_recall_at_10": Sums(rng.random(clusters), np.ones(clusters)),
        "accuracy": Sums(rng.integers(0, 2, 7).astype(np.float64), np.ones(7)),
        "dominance_index": Sums(moved[0] - moved[1], moved[0] + moved[1]),
    }
