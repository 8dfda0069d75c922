"""Whether two listings are one product, as `item duplicates` learned it, for those who ask later: `item serve`.

OUT/same_product.json   the model's fingerprint, the threshold, the probability by cosine, and what variants are
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from item_embed.errors import VectorError
from item_embed.search.duplicates.settings import Variants

if TYPE_CHECKING:  # what learns the probability brings scikit-learn, which whoever asks does not need
    from item_embed.search.duplicates.found import Found
    from item_embed.search.duplicates.threshold import Probability

DECISION_FILE = "same_product.json"
_POINTS = 201  # between the floor and 1; between two of them the probability is taken for a line


@dataclass(frozen=True)
class Decision:
    """The threshold, and the probability of being the same product by cosine.

    Attributes:
        fingerprint: of the model whose cosines these are.
        threshold: the lowest cosine of a pair that is taken for one product.
        cosine: (p,) ascending, from the lowest that pairs were looked at on; empty where nothing was judged.
        probability: (p,) at each of them.
        variants: the column by whose values variants differ, and whether they are one product all the same.

    Examples:
        >>> Decision("model", 0.9, np.array([0.8, 1]), np.array([0, 1])).probability_of(0.85)  # doctest: +ELLIPSIS
        0.24...
    """

    fingerprint: str
    threshold: float
    cosine: NDArray[np.float64]
    probability: NDArray[np.float64]
    variants: Variants | None = None

    @classmethod
    def of(cls, found: "Found") -> "Decision":
        """What was found in an index."""
        fitted, empty = found.fitted, np.empty(0)
        floor = found.settings.floor
        cosine, probability = (empty, empty) if fitted is None else _points(fitted.probability, floor)
        return cls(found.index.fingerprint, found.threshold, cosine, probability, found.settings.variants)

    def is_same(self, cosine: float) -> bool:
        """Whether two listings of this cosine are taken for one product."""
        return bool(np.float32(cosine) >= np.float32(self.threshold))

    def probability_of(self, cosine: float) -> float | None:
        """The probability that they are; None where it was not learned: below the floor, or without judged pairs."""
        if not len(self.cosine) or cosine < self.cosine[0]:
            return None
        return float(np.interp(cosine, self.cosine, self.probability))

    def write(self, folder: Path) -> None:
        """Write it into a folder."""
        told: dict[str, Any] = {
            "fingerprint": self.fingerprint,
            "threshold": self.threshold,
            "cosine": self.cosine.tolist(),
            "probability": self.probability.tolist(),
            "variants": self.variants and self.variants.as_json(),
        }
        (folder / DECISION_FILE).write_text(json.dumps(told) + "\n", encoding="utf8")

    @classmethod
    def read(cls, folder: Path) -> "Decision | None":
        """Read what `item duplicates` wrote into a folder; None of a sample, where nothing is decided yet.

        Raises:
            VectorError: when the folder holds no duplicates, those of an earlier version, or a damaged file.
        """
        if not (folder / "duplicates.json").is_file():
            raise VectorError(f"{folder} holds no duplicates; find them with `item duplicates INDEX --out {folder}`.")
        if not (folder / DECISION_FILE).is_file():
            if not (folder / "clusters.parquet").is_file():
                return None
            raise VectorError(f"{folder} is of an earlier version; run `item duplicates INDEX --out {folder}` again.")
        try:
            told = json.loads((folder / DECISION_FILE).read_text(encoding="utf8"))
            cosine, probability = (np.array(told[name], np.float64) for name in ("cosine", "probability"))
            if cosine.ndim != 1 or cosine.shape != probability.shape:
                raise ValueError
            variants = Variants.from_json(told.get("variants"))
            return cls(str(told["fingerprint"]), float(told["threshold"]), cosine, probability, variants)
        except (OSError, ValueError, KeyError, TypeError):
            raise VectorError(f"{folder / DECISION_FILE} is damaged; run `item duplicates` again.") from None


def _points(probability: "Probability", floor: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    cosine = np.linspace(floor, 1, _POINTS)
    return cosine, np.clip(probability(cosine.astype(np.float32)), 0, 1)
