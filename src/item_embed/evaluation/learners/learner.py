"""One interface for every method that learns: fit on rows, embed rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.config import RunConfig
from item_embed.embedding.bulk import Embeds
from item_embed.embedding.seen import Modalities
from item_embed.progress import OnProgress, silent

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: Settings of training that decide how it is watched and fed, not what comes out.
BESIDE_THE_RESULT = {"log_every", "validate_every", "validation_rows", "checkpoint_every", "workers", "pixel_cache_mb"}


@dataclass(frozen=True)
class Material:
    """What every learner is given, the same for all.

    Attributes:
        catalog: the catalogue.
        rows: (n,) the rows to learn from: those of the training split, less the groups of the queries.
        config: the architecture that others are matched with in size, and steps, batch, optimiser, precision and seed
            of every learner.
        tokenizer: trained on the titles of `rows`.
        parameters: of the ITEm encoder of `config`, without heads: what others come as near to as their shape allows.
        exclude_groups: the file whose items' groups are not among `rows`; None where the whole training split is.
    """

    catalog: Catalog
    rows: NDArray[np.int64]
    config: RunConfig
    tokenizer: "Tokenizer"
    parameters: int
    exclude_groups: Path | None = None


@dataclass(frozen=True)
class Fitted:
    """A method that has learnt.

    Attributes:
        embeds: what makes vectors.
        parameters: of what makes vectors, without heads.
        samples: pairs, photos or titles seen in training, each time it was seen; 0 where nothing was trained.
        minutes: of training, by the clock on the wall, however often it was resumed.
        cpu_minutes: of training, of all threads of the process.
    """

    embeds: Embeds
    parameters: int
    samples: int
    minutes: float
    cpu_minutes: float


class Learner(Protocol):
    """A method that can be trained on a catalogue."""

    @property
    def name(self) -> str:
        """As on the command line."""

    @property
    def sees(self) -> Modalities:
        """What of a product it makes a vector of."""

    @property
    def labels(self) -> bool:
        """Whether it learns from category labels."""

    @property
    def trains(self) -> bool:
        """Whether it is trained at all, so that another seed gives another result."""

    def fit(
        self, material: Material, folder: Path, device: str | None = None, on_progress: OnProgress = silent
    ) -> Fitted:
        """Learn from the rows of the material.

        Args:
            material: what to learn from.
            folder: where it keeps what it learns: it goes on from there where it was killed, and where it was done it
                is only loaded.
            device: a torch device; by default a GPU where there is one.
            on_progress: told of steps.

        Raises:
            CatalogError: when the rows have nothing that it could learn from, such as no labels.
            ModelError: when it diverges, or cannot be loaded.
        """
