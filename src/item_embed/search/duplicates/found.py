"""What was found, and its totals."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from item_embed.search.duplicates.graph import Graph
from item_embed.search.duplicates.judged import Judged
from item_embed.search.duplicates.listings import Listings
from item_embed.search.duplicates.neighbours import Recall
from item_embed.search.duplicates.result import Clusters
from item_embed.search.duplicates.settings import Settings
from item_embed.search.index import ProductIndex
from item_embed.search.probability import Probability
from item_embed.thresholds import Curve


@dataclass(frozen=True)
class Fitted:
    """What judged pairs say: the precision by threshold, and the probability by cosine with its calibration error."""

    judged: Judged
    curve: Curve
    probability: Probability
    calibration_error: float | None


@dataclass(frozen=True)
class Found:
    """What was found, for those who write of it.

    Attributes:
        index: where the listings are.
        settings: what was asked.
        graph: the near pairs.
        listings: what the index says of the listings.
        recall: how many of the near pairs that there are were found.
        clusters: the clusters.
        threshold: the lowest cosine of pairs that were joined.
        fitted: what judged pairs say; None where the threshold was given.
        cut: components too large to be clustered whole.
        searched: vectors whose neighbours were searched in this run.
    """

    index: ProductIndex
    settings: Settings
    graph: Graph
    listings: Listings
    recall: Recall
    clusters: Clusters
    threshold: float
    fitted: Fitted | None
    cut: int
    searched: int


def totals(found: Found) -> dict[str, Any]:
    """What was found, in numbers."""
    clusters, settings = found.clusters, found.settings
    sizes = clusters.sizes
    several = sizes > 1
    told: dict[str, Any] = {
        "threshold": found.threshold,
        "linkage": settings.linkage,
        "clusters": len(sizes),
        "clusters_of_several": int(several.sum()),
        "duplicates": int((sizes[several] - 1).sum()),
        "largest": int(sizes.max(initial=0)),
        "components_cut": found.cut,
        "recall_of_pairs": found.recall.as_json(at_threshold=found.threshold, at_floor=settings.floor),
    }
    if found.fitted is not None:
        curve = found.fitted.curve
        at = curve.at(found.threshold)
        told["chosen"] = {
            "from": found.fitted.judged.told,
            "wanted_precision": settings.precision,
            "precision": None if at is None else {"value": at.precision, "low": at.low, "high": at.high},
            "judged_pairs": len(found.fitted.judged.pairs),
            "all_sure": at == curve.point(len(curve) - 1),  # of what lies above the floor: there may be more below it
            "calibration_error": found.fitted.calibration_error,
        }
    if settings.variants is not None:
        value = found.listings.codes(settings.variants.column)
        pairs = np.unique(np.stack([clusters.labels, value], axis=1)[value >= 0], axis=0)
        mixed = int((np.bincount(pairs[:, 0], minlength=len(sizes)) > 1).sum())
        told["variants"] = {**settings.variants.as_json(), "clusters_of_several_values": mixed}
    return told
