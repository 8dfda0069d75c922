"""One interface for every method that learns: fit on rows, embed rows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

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
        train_tokenizer: gives the tokenizer of the titles of `rows`; asked by `tokenizer` alone, once.
        exclude_groups: the file whose items' groups are not among `rows`; None where the whole training split is.
    """

    catalog: Catalog
    rows: NDArray[np.int64]
    config: RunConfig
    train_tokenizer: Callable[[], "Tokenizer"]
    exclude_groups: Path | None = None

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """Trained on the titles of `rows` when a learner first asks: some never do."""
        return self.train_tokenizer()

    @cached_property
    def parameters(self) -> int:
        """Of the ITEm encoder of `config`, without heads: what others come as near to as their shape allows."""
        return encoder_parameters(self.config, self.tokenizer.get_vocab_size())


@dataclass(frozen=True)
class Fitted:
    """A method that has learnt.

    Attributes:
        embeds: what makes vectors.
        parameters: of what makes vectors, without heads.
        samples: pairs, photos or titles seen in training, each time it was seen; 0 where nothing was trained.
        minutes: of training, by the clock on the wall, however often it was resumed.
        cpu_minutes: of training, of all threads of the process.
        note: what a reader of its figures should know of its training.
    """

    embeds: Embeds
    parameters: int
    samples: int
    minutes: float
    cpu_minutes: float
    note: str = ""


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


def encoder_parameters(config: RunConfig, vocab_size: int) -> int:
    """Parameters of the ITEm encoder of a configuration, without heads; no memory is taken for them.

    Examples:
        >>> encoder_parameters(RunConfig.load("tiny"), 6000)  # doctest: +SKIP
        1464832
    """
    import torch  # the readers of a plan need the names of settings alone

    from item_embed.model.configuration import ItemConfig
    from item_embed.model.encoder import ItemModel

    with torch.device("meta"):
        encoder = ItemModel(ItemConfig.from_settings(config.model, config.objectives, vocab_size))
    return sum(parameter.numel() for parameter in encoder.parameters())


def deciding(config: RunConfig) -> dict[str, Any]:
    """The settings that decide what comes out, as JSON: all but those of `BESIDE_THE_RESULT`."""
    return config.model_dump(mode="json", exclude={"training": BESIDE_THE_RESULT})


def as_begun(config: RunConfig, folder: Path) -> RunConfig:
    """The configuration that a run goes on with: that of its folder, where all that decides is equal.

    How often a run is written down stays as it was begun, and may be asked for otherwise without harm.

    Raises:
        ConfigError: when the folder's cannot be read.
    """
    file = folder / "config.yaml"
    if not file.is_file():
        return config
    begun = RunConfig.load(file)
    return begun if deciding(begun) == deciding(config) else config
