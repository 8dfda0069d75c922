"""What an explanation holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from item_embed.embedding.embedder import ImageInput

#: How weights are found: along a path from a blank listing, or by leaving out one thing after the other.
Method = Literal["gradients", "occlusion"]


@dataclass(frozen=True)
class Listing:
    """A listing as a user has it; one of the two may be missing."""

    title: str | None = None
    photo: ImageInput = None


class Seen(NamedTuple):
    """A listing as the model sees it: its photo opened and upright, its title cleaned."""

    photo: Image.Image | None
    title: str | None


@dataclass(frozen=True)
class Word:
    """A word as it is written in the title, `title[start:end]`, and what it adds to the score."""

    text: str
    start: int
    end: int
    weight: float


@dataclass(frozen=True)
class Side:
    """One of the two listings, while the other stays as it is.

    Attributes:
        photo: as the model sees it, before it is scaled; None without one.
        title: as the model sees it; None without one.
        words: those of the title, in order.
        patches: what each patch adds to the score, (rows, columns) of the photo scaled to fit with white around it;
            0 where the model leaves out empty background; None without a photo.
        baseline: the score that this listing has when it is blank; None where weights are found by occlusion.
        remainder: what is missing to the score when all weights are added to the baseline; None as above.
    """

    photo: Image.Image | None
    title: str | None
    words: tuple[Word, ...]
    patches: NDArray[np.float32] | None
    baseline: float | None = None
    remainder: float | None = None

    @property
    def by_words(self) -> float:
        """What all words add together."""
        return sum(word.weight for word in self.words)

    @property
    def by_patches(self) -> float:
        """What all patches add together."""
        return 0.0 if self.patches is None else float(self.patches.sum())

    def as_json(self) -> dict[str, Any]:
        """Everything but the photo."""
        return {
            "title": self.title,
            "words": [vars(word) for word in self.words],
            "patches": None if self.patches is None else self.patches.tolist(),
            "baseline": self.baseline,
            "remainder": self.remainder,
        }


@dataclass(frozen=True)
class Explanation:
    """Why two listings have the score they have: the cosine of their vectors."""

    score: float
    method: Method
    a: Side
    b: Side

    def as_json(self) -> dict[str, Any]:
        """`{"score", "method", "a": {"title", "words", "patches", "baseline", "remainder"}, "b": …}`."""
        return {"score": self.score, "method": self.method, "a": self.a.as_json(), "b": self.b.as_json()}


def words_with(title: str | None, spans: Sequence[tuple[int, int]], weights: Sequence[float]) -> tuple[Word, ...]:
    """The words at the spans of a title, with their weights."""
    assert title is not None or not spans
    return tuple(
        Word((title or "")[start:end], start, end, float(weight))
        for (start, end), weight in zip(spans, weights, strict=True)
    )
