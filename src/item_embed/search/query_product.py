"""Whether a hit is the product of its query, as `item evaluate --probabilities` learned it, for `item serve`.

A query is no listing of the index: a shopper's or a seller's photo and title lie further from their product than its
listings from each other. So what pairs of listings teach (`duplicates.decision`) is wrong for it. And its cosine says
little alone: where a shop has many alike, wrong hits have high ones too. What tells is its *lead* over the best hit
that is unlike it (decision 0021).

Letters in shapes: k hits of a query, d dimensions.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np
from numpy.typing import NDArray

from item_embed.embedding.seen import Modalities
from item_embed.errors import VectorError
from item_embed.files import whole_file
from item_embed.wording import number_of

#: Hits of a query that it is learned from, and that a hit's lead is over.
SHOWN = 10
_TWINS = 0.97  # cosine from which two hits are no rivals: listings of one product, or as good as that
_KIND = "probabilities of queries' hits"
_FACTS = ("fingerprint", "modalities", "simulated", "queries", "source", "calibration_error", "first_hit_error")


def leads(cosine: NDArray[np.floating[Any]], vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """How far each hit of a query lies above the best of the first ten that is unlike it.

    Where all of those are its twins, above the last of them: the lead is at least that.

    Args:
        cosine: (k,) of each to the query, the best ten of the index first; further ones in any order.
        vectors: (k, d) of each, of length 1.

    Returns:
        (k,) above 0 for the best and its twins.

    Examples:
        >>> leads(np.array([0.9, 0.8, 0.5]), np.array([[1, 0], [1, 0], [0, 1]], np.float32)).round(1)
        array([ 0.4,  0.3, -0.4])
    """
    cosine, shown = cosine.astype(np.float64), min(SHOWN, len(cosine))
    twins = vectors @ vectors[:shown].T >= _TWINS
    np.fill_diagonal(twins, True)
    rival = np.where(twins, -np.inf, cosine[:shown]).max(axis=1, initial=-np.inf)
    return np.asarray(cosine - np.where(np.isfinite(rival), rival, cosine[shown - 1 : shown]))


@dataclass(frozen=True)
class HitProbability:
    """The probability of a hit by its cosine and its lead: a logistic curve between two bounds.

    Attributes:
        intercept, cosine, lead: the log-odds are intercept + cosine x its cosine + lead x its lead.
        least, most: no probability lies beyond what so many answers can tell.
        lowest: the lowest cosine that it was learned from; below that nothing is known.
    """

    intercept: float
    cosine: float
    lead: float
    least: float
    most: float
    lowest: float

    def __call__(self, cosine: NDArray[np.floating[Any]], lead: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probabilities of hits."""
        odds = self.intercept + self.cosine * cosine.astype(np.float64) + self.lead * lead
        return np.asarray(np.clip(1 / (1 + np.exp(-np.clip(odds, -50, 50))), self.least, self.most))

    def of_query(self, cosine: NDArray[np.floating[Any]], vectors: NDArray[np.float32]) -> list[float | None]:
        """The probabilities of all hits of one query, as `leads` takes them; None where nothing is known."""
        found = self(cosine, leads(cosine, vectors)).tolist()
        return [one if score >= self.lowest else None for one, score in zip(found, cosine.tolist(), strict=True)]


@dataclass(frozen=True)
class QueryProbabilities:
    """The probability that a hit is the product of its query: of queries whose product the index has.

    Attributes:
        fingerprint: of the model whose cosines these are.
        modalities: what it saw of queries and listings.
        simulated: whether the queries were made of listings by program.
        queries: how many it was learned from.
        source: where they come from: the name of a file, or what made them.
        calibration_error: of all hits, on products that were not learned from; None where there are too few.
        first_hit_error: the same of first hits alone; most others are plainly wrong, and say so easily.
        probability: by cosine and lead.
    """

    fingerprint: str
    modalities: Modalities
    simulated: bool
    queries: int
    source: str
    calibration_error: float | None
    first_hit_error: float | None
    probability: HitProbability

    @property
    def told(self) -> str:
        """What the probabilities come from, for a person: "4,000 simulated relistings (relistings.parquet)"."""
        one, several = ("simulated relisting", "") if self.simulated else ("query", "queries")
        return f"{number_of(self.queries, one, several)} ({self.source})"

    def write(self, path: Path) -> None:
        """Write it into a file.

        Raises:
            OutputError: when it cannot be written.
        """
        told = {name: getattr(self, name) for name in _FACTS} | {"probability": asdict(self.probability)}
        text = json.dumps({"kind": _KIND, **told}, ensure_ascii=False, indent=2)
        with whole_file(path) as aside:
            aside.write_text(f"{text}\n", encoding="utf8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what was written.

        Raises:
            VectorError: when the file is not there, is another one, or is damaged.

        Examples:
            >>> QueryProbabilities.read(Path("query_product.json")).queries  # doctest: +SKIP
            4000
        """
        try:
            text = path.read_text(encoding="utf8")
        except (OSError, UnicodeDecodeError):
            raise VectorError(f"{path} cannot be read; give what `item evaluate --probabilities` wrote.") from None
        try:
            told: dict[str, Any] = json.loads(text)
            if told["kind"] != _KIND:
                raise ValueError
            if told["modalities"] not in get_args(Modalities):
                raise ValueError
            errors = [None if told[name] is None else float(told[name]) for name in _FACTS[-2:]]
            return cls(
                fingerprint=str(told["fingerprint"]),
                modalities=told["modalities"],
                simulated=bool(told["simulated"]),
                queries=int(told["queries"]),
                source=str(told["source"]),
                calibration_error=errors[0],
                first_hit_error=errors[1],
                probability=HitProbability(
                    **{one.name: float(told["probability"][one.name]) for one in fields(HitProbability)}
                ),
            )
        except (ValueError, KeyError, TypeError):
            raise VectorError(
                f"{path} holds no {_KIND}, or is damaged; write it with `item evaluate --probabilities`."
            ) from None
