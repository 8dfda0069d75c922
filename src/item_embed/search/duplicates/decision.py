"""Whether two listings are one product, as `item duplicates` learned it, for those who ask later: `item serve`.

OUT/same_product.json   the model's fingerprint, the threshold, and the probability by cosine
OUT/duplicates.json     what variants are, as the review of pairs reads it too
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from item_embed.errors import VectorError
from item_embed.search.duplicates.settings import Variants
from item_embed.search.probability import ProbabilityTable

if TYPE_CHECKING:
    from item_embed.search.duplicates.found import Found

DECISION_FILE = "same_product.json"


@dataclass(frozen=True)
class Decision:
    """The threshold, and the probability of being the same product by cosine.

    Attributes:
        fingerprint: of the model whose cosines these are.
        threshold: the lowest cosine of a pair that is taken for one product.
        probability: from the lowest cosine that pairs were looked at on; empty where nothing was judged.
        variants: the column by whose values variants differ, and whether they are one product all the same.

    Examples:
        >>> Decision("model", 0.9, ProbabilityTable.empty()).is_same(0.91)
        True
    """

    fingerprint: str
    threshold: float
    probability: ProbabilityTable
    variants: Variants | None = None

    @classmethod
    def of(cls, found: "Found") -> "Decision":
        """What was found in an index."""
        fitted, floor = found.fitted, found.settings.floor
        table = ProbabilityTable.empty() if fitted is None else ProbabilityTable.of(fitted.probability, floor)
        return cls(found.index.fingerprint, found.threshold, table, found.settings.variants)

    def is_same(self, cosine: float) -> bool:
        """Whether two listings of this cosine are taken for one product."""
        return bool(np.float32(cosine) >= np.float32(self.threshold))

    def write(self, folder: Path) -> None:
        """Write it into a folder, whose `duplicates.json` has the rule of variants."""
        told: dict[str, Any] = {
            "fingerprint": self.fingerprint,
            "threshold": self.threshold,
            **self.probability.as_json(),
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
        variants = Variants.read(folder)
        try:
            told = json.loads((folder / DECISION_FILE).read_text(encoding="utf8"))
            table = ProbabilityTable.from_json(told)
            return cls(str(told["fingerprint"]), float(told["threshold"]), table, variants)
        except (OSError, ValueError, KeyError, TypeError):
            raise VectorError(f"{folder / DECISION_FILE} is damaged; run `item duplicates` again.") from None
