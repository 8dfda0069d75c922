"""`PREFIX:METHOD`: a method made of another."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from item_embed.embedding.seen import Modalities
from item_embed.evaluation.learners.learner import Fitted, Learner, Material
from item_embed.progress import OnProgress, silent


@dataclass(frozen=True)
class Wrapping(ABC):
    """What a method has of the one that it is made of: nearly all.

    Attributes:
        method: it.
    """

    method: Learner

    @property
    @abstractmethod
    def prefix(self) -> str:
        """What its name begins with."""

    @property
    def name(self) -> str:
        """As on the command line."""
        return self.prefix + self.method.name

    @property
    def labels(self) -> bool:
        """Whether the method learns from category labels."""
        return self.method.labels

    @property
    def trains(self) -> bool:
        """Whether the method is trained."""
        return self.method.trains

    @cached_property
    def sees(self) -> Modalities:
        """What of a product the method sees."""
        return self.method.sees

    def fit(
        self, material: Material, folder: Path, device: str | None = None, on_progress: OnProgress = silent
    ) -> Fitted:
        """See `Learner.fit`.

        The method has the folder beside this one that is named like it (`clip-3` beside `whitened:clip-3`): it is
        loaded from there, or trained there for whoever asks for it next.
        """
        return self.method.fit(material, folder.with_name(folder.name.removeprefix(self.prefix)), device, on_progress)
