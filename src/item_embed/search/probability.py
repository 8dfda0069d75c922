"""The probability that two listings are one product: the answers that it is learned from, and what files keep of it.

What learns it is `calibration`, which brings scikit-learn; whoever asks later does not need that.

Letters in shapes: n answers, p points.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Gives probabilities, (n,), by cosine, (n,).
Probability = Callable[[NDArray[np.float32]], NDArray[np.float64]]

_POINTS = 201  # between two of them the probability is taken for a line


@dataclass(frozen=True)
class Answers:
    """Cosines of which it is known whether they are of the same product; each (n,).

    Attributes:
        cosine: of each.
        same: the answer.
        weight: how many each stands for.
        unit: answers of one unit are about one product, and are no independent ones.
    """

    cosine: NDArray[np.float32]
    same: NDArray[np.bool_]
    weight: NDArray[np.float64]
    unit: NDArray[np.int64]

    def subset(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "Answers":
        """Some of them, by a mask or by their numbers."""
        return Answers(self.cosine[chosen], self.same[chosen], self.weight[chosen], self.unit[chosen])


@dataclass(frozen=True)
class ProbabilityTable:
    """Probabilities at some cosines.

    Attributes:
        cosine: (p,) ascending, from the lowest that was learned of; empty where nothing was.
        probability: (p,) at each of them.

    Examples:
        >>> ProbabilityTable(np.array([0.8, 1]), np.array([0, 1])).at(0.85)  # doctest: +ELLIPSIS
        0.24...
    """

    cosine: NDArray[np.float64]
    probability: NDArray[np.float64]

    @classmethod
    def of(cls, probability: Probability, lowest: float) -> "ProbabilityTable":
        """What was learned, from the lowest cosine that it was learned of up to 1."""
        cosine = np.linspace(lowest, 1, _POINTS)
        return cls(cosine, np.clip(probability(cosine.astype(np.float32)), 0, 1))

    @classmethod
    def empty(cls) -> "ProbabilityTable":
        """Nothing was learned."""
        return cls(np.empty(0), np.empty(0))

    def at(self, cosine: float) -> float | None:
        """The probability at a cosine; None below the lowest."""
        if not len(self.cosine) or cosine < self.cosine[0]:
            return None
        return float(np.interp(cosine, self.cosine, self.probability))

    def as_json(self) -> dict[str, list[float]]:
        """The points, as a file has them."""
        return {"cosine": self.cosine.tolist(), "probability": self.probability.tolist()}

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> "ProbabilityTable":
        """The points of a file.

        Raises:
            ValueError, KeyError, TypeError: when they are none.
        """
        cosine, probability = (np.array(told[name], np.float64) for name in ("cosine", "probability"))
        if cosine.ndim != 1 or cosine.shape != probability.shape:
            raise ValueError
        return cls(cosine, probability)
