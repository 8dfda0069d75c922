"""What a user asks of `item duplicates`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from item_embed.errors import ConfigError, VectorError
from item_embed.search.duplicates.clusters import Linkage

NEIGHBOURS, FLOOR, PRECISION = 20, 0.8, 0.95
_WAYS = (
    "there is no threshold; name labels with --labels product_id, or give judged pairs with --pairs FILE, or let "
    "--sample 300 write a page of pairs to judge and give its answers with --answers FILE, or set one with --threshold."
)


@dataclass(frozen=True)
class Variants:
    """A column of the feed by whose values variants differ, and whether they are one product all the same."""

    column: str
    same: bool

    def as_json(self) -> dict[str, str]:
        """As `duplicates.json` has it."""
        return {"column": self.column, "are": "same" if self.same else "different"}

    @classmethod
    def from_json(cls, told: Any) -> "Variants | None":
        """What `as_json` gave, or null; a ValueError, KeyError or TypeError where it is neither."""
        if told is None:
            return None
        if told["are"] not in ("same", "different"):
            raise ValueError(f"variants are same or different, not {told['are']!r}")
        return cls(str(told["column"]), told["are"] == "same")

    @classmethod
    def read(cls, folder: Path) -> "Variants | None":
        """What was asked for when a folder was written, by its `duplicates.json`; None where nothing was.

        Raises:
            VectorError: when that file is not there, or damaged.
        """
        file = folder / "duplicates.json"
        try:
            return cls.from_json(json.loads(file.read_text(encoding="utf8")).get("variants"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise VectorError(f"{file} is missing or damaged; run `item duplicates` again.") from None


@dataclass(frozen=True)
class Settings:
    """How duplicates are found; of the five ways to a threshold exactly one is given.

    Attributes:
        threshold: the lowest cosine of a pair that is joined.
        pairs: a file of judged pairs.
        answers: the file that the page of a sample has saved.
        labels: a column that names the product: `product_id`, or one of the feed.
        sample: how many pairs are written for review; nothing is clustered then.
        precision: the share of joined pairs that must be right.
        linkage: `complete` or `average`.
        variants: which listings are never joined.
        neighbours: how many neighbours of each vector are looked at.
        floor: the lowest cosine of a pair that is looked at.
        seed: of the sample, and of the vectors that the recall is measured on.

    Raises:
        ConfigError: when the settings contradict each other, or a number is out of its range.
    """

    threshold: float | None = None
    pairs: Path | None = None
    answers: Path | None = None
    labels: str | None = None
    sample: int | None = None
    precision: float = PRECISION
    linkage: Linkage = "complete"
    variants: Variants | None = None
    neighbours: int = NEIGHBOURS
    floor: float = FLOOR
    seed: int = 0

    def __post_init__(self) -> None:
        ways = ("threshold", "pairs", "answers", "labels", "sample")
        given = [f"--{name}" for name in ways if getattr(self, name) is not None]
        if not given:
            raise ConfigError(_WAYS)
        if len(given) > 1:
            raise ConfigError(f"{' and '.join(given)} each say where the threshold comes from; give one of them.")
        for name, low, high in (("precision", 0, 1), ("floor", -1, 1), ("threshold", -1, 1)):
            value = getattr(self, name)
            if value is not None and not low < value <= high:
                raise ConfigError(f"--{name} {value:g} is out of range; give a number above {low} and up to {high}.")
        if self.threshold is not None and self.threshold < self.floor:
            raise ConfigError(
                f"--threshold {self.threshold:g} lies below --floor {self.floor:g}, where no pairs are looked for; "
                "lower --floor as well."
            )
        if self.precision == 1:
            raise ConfigError("--precision 1 is more than answers can promise, however many; give less, as 0.99.")
        for name in ("neighbours", "sample"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"--{name} must be at least 1, not {value}.")
