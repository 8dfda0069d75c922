"""The probability that a hit is the product of its query, learned from queries whose product is known.

It is learned from hits as they are shown: the first ten of each query that has all that the model looks at. So it is of
queries whose product the index has; what share of a shop's queries that is, no evaluation knows.

Letters in shapes: n hits, Q queries, k ranks kept, N rows of the catalogue, d dimensions.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from item_embed.embedding.seen import seen_title
from item_embed.errors import ConfigError
from item_embed.evaluation.queries import QuerySet
from item_embed.evaluation.same_product import SameProductResult
from item_embed.search.calibration import bounds, calibration_error, fit_line, held_out
from item_embed.search.probability import Answers
from item_embed.search.query_product import HitProbability, QueryProbabilities, leads

_LIKELY = 0.5
_UNKNOWN: dict[str, Any] = {
    "calibration_error": None,
    "first_hit_error": None,
    "likely_first_hits": {"right": None, "wrong": None},
}


@dataclass(frozen=True)
class ShownHits:
    """The hits of queries, as a page shows them.

    Attributes:
        answers: n hits, each with its truth; a unit is the product of a query.
        lead: (n,) how far each lies above the best that is unlike it.
        first: (n,) which of them is the first of its query.
        queries: how many queries they are of.
    """

    answers: Answers
    lead: NDArray[np.float64]
    first: NDArray[np.bool_]
    queries: int

    def subset(self, chosen: NDArray[np.int64]) -> "ShownHits":
        """Some of the hits, by their numbers; `queries` stays."""
        return replace(self, answers=self.answers.subset(chosen), lead=self.lead[chosen], first=self.first[chosen])

    def fit(self) -> HitProbability:
        """The probability of a hit by its cosine and its lead."""
        cosine = self.answers.cosine.astype(np.float64)
        intercept, slopes = fit_line(np.stack([cosine, self.lead], axis=1), self.answers)
        least, most = bounds(self.answers)
        return HitProbability(intercept, slopes[0], slopes[1], least, most, lowest=float(cosine.min()))

    def held_out(self) -> NDArray[np.float64] | None:
        """(n,) the probability of each hit, learned from queries of other products; None with too few of those."""

        def learn(rest: NDArray[np.int64], fold: NDArray[np.int64]) -> NDArray[np.float64]:
            return self.subset(rest).fit()(self.answers.cosine[fold], self.lead[fold])

        return held_out(self.answers.unit, learn)

    def judge(self, probability: NDArray[np.float64]) -> dict[str, Any]:
        """How good probabilities, (n,), are: their calibration error, of all hits and of first ones alone.

        `likely_first_hits` is the share of first hits, right ones and wrong ones, with a probability of at least one
        half; None where there is none of them.
        """
        likely, same, first = probability >= _LIKELY, self.answers.same, np.flatnonzero(self.first)
        return {
            "calibration_error": calibration_error(self.answers, probability),
            "first_hit_error": calibration_error(self.answers.subset(first), probability[first]),
            "likely_first_hits": {
                "right": _share(likely[self.first & same]),
                "wrong": _share(likely[self.first & ~same]),
            },
        }


@dataclass(frozen=True)
class Learned:
    """Probabilities to be kept, and how good they are on products that were not learned from; None with too few."""

    kept: QueryProbabilities
    hits: ShownHits
    quality: dict[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        """In numbers."""
        return {"queries": self.hits.queries, "hits": len(self.hits.first), **(self.quality or _UNKNOWN)}


def shown_hits(result: SameProductResult, vectors: NDArray[np.float32]) -> ShownHits:
    """What was found for the queries that have all that the model looked at.

    Args:
        result: with cosines as scores.
        vectors: (N, d) unit vectors of the catalogue.

    Raises:
        ConfigError: when there is no such query.
    """
    whole = _whole(result.queries, result.modalities)
    there = (result.ranking.rows >= 0) & whole[:, None]
    if not there.any():
        raise ConfigError(
            "no query has all that the model looks at, so no probability can be learned; give --queries with photos "
            "and titles."
        )
    unit = np.broadcast_to(result.queries.products[:, None], there.shape)[there]
    first = np.zeros(there.shape, np.bool_)
    first[:, 0] = True
    rows, scores = result.ranking.rows, result.ranking.scores
    lead = [leads(scores[query, there[query]], vectors[rows[query, there[query]]]) for query in np.flatnonzero(whole)]
    answers = Answers(scores[there], result.right[there], np.ones(int(there.sum())), unit)
    return ShownHits(answers, np.concatenate(lead), first[there], int(whole.sum()))


def learn_probabilities(
    result: SameProductResult, vectors: NDArray[np.float32], fingerprint: str, source: str
) -> Learned:
    """Learn probabilities from given or relisted queries.

    Args:
        result: what the model found, with cosines as scores.
        vectors: (N, d) unit vectors of the catalogue.
        fingerprint: of the model.
        source: where the queries come from: the name of a file, or what made them.

    Raises:
        ConfigError: when no query has all that the model looked at.

    Examples:
        >>> learned = learn_probabilities(result, vectors, embedder.fingerprint, "queries.parquet")  # doctest: +SKIP
        >>> learned.kept.calibration_error                                                          # doctest: +SKIP
        0.006
    """
    hits = shown_hits(result, vectors)
    unseen = hits.held_out()
    quality = None if unseen is None else hits.judge(unseen)
    errors = quality or _UNKNOWN
    kept = QueryProbabilities(
        fingerprint=fingerprint,
        modalities=result.modalities,
        simulated=result.queries.protocol == "relistings",
        queries=hits.queries,
        source=source,
        calibration_error=errors["calibration_error"],
        first_hit_error=errors["first_hit_error"],
        probability=hits.fit(),
    )
    return Learned(kept, hits, quality)


def _whole(queries: QuerySet, modalities: str) -> NDArray[np.bool_]:
    """(Q,) which queries have each side that is looked at: of others no probability is told either."""
    whole = np.ones(len(queries), np.bool_)
    if modalities != "title":
        whole &= queries.has_photo
    if modalities != "image":
        whole &= np.array([seen_title(title) is not None for title in queries.titles], np.bool_)
    return whole


def _share(values: NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if len(values) else None
