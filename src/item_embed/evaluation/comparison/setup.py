"""What all methods of a comparison share: catalogue, queries, configuration, tokenizer; kept, so that runs go on."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from item_embed.catalog.store import Catalog
from item_embed.config import RunConfig
from item_embed.evaluation.asked import Asked
from item_embed.evaluation.begun import begin, is_begun
from item_embed.evaluation.learners.learner import Material
from item_embed.evaluation.measuring import Questions, open_questions
from item_embed.evaluation.relisting import write_queries
from item_embed.model.configuration import ItemConfig
from item_embed.model.encoder import ItemModel
from item_embed.training.run import run_tokenizer, training_rows

_RELISTINGS = "relistings.parquet"


@dataclass(frozen=True)
class Setup:
    """A comparison's folder and what its methods are given and asked.

    Attributes:
        out: the folder.
        path: of the catalogue.
        config: the size that all are matched with, and how all are trained; its seed is the first one.
        asked: the same-product queries.
        leaf_category: whether leaf category is measured where the catalogue has labels.
        batch_size: products embedded at once.
        device: a torch device; None: the best there is.
    """

    out: Path
    path: Path
    config: RunConfig
    asked: Asked
    leaf_category: bool = True
    batch_size: int = 256
    device: str | None = None

    @cached_property
    def catalog(self) -> Catalog:
        """The catalogue."""
        return Catalog(self.path)

    @cached_property
    def questions(self) -> Questions:
        """What every method is asked."""
        made, asked = self.out / _RELISTINGS, self.asked
        if asked.relist is not None and made.is_file():
            asked = replace(asked, file=made)
        return open_questions(self.catalog, asked, leaf_category=self.leaf_category)

    def material(self, seed: int) -> Material:
        """What every learner is given; nothing that queries are made from is among it."""
        config = self.config.model_copy(update={"training": self.config.training.model_copy(update={"seed": seed})})
        rows, _ = training_rows(self.catalog, self.asked.file)
        tokenizer = run_tokenizer(self.out, self.catalog, rows, self.config)
        return Material(
            catalog=self.catalog,
            rows=rows,
            config=config,
            tokenizer=tokenizer,
            parameters=encoder_parameters(config, tokenizer.get_vocab_size()),
            exclude_groups=self.asked.file,
        )

    def begin(self) -> None:
        """Write down what this comparison is of, or check that the folder's is the same.

        Raises:
            ConfigError: when the folder holds a comparison of something else.
        """
        wanted = self._identity()
        if is_begun(self.out, "comparison", wanted, {_RELISTINGS}):
            return
        if self.asked.relist is not None:  # made once: every method is asked for the same photos
            write_queries(self.out / _RELISTINGS, self.asked.queries(self.catalog), self.catalog)
        begin(self.out, wanted)

    def _identity(self) -> dict[str, Any]:
        config = self.config.model_dump(mode="json")
        return {
            "catalogue": self.catalog.fingerprint,
            "queries": self.asked.identity(),
            "configuration": config,
            "--no-leaf-category": not self.leaf_category,
        }


def encoder_parameters(config: RunConfig, vocab_size: int) -> int:
    """Parameters of the ITEm encoder of a configuration, without heads; no memory is taken for them.

    Example:
        >>> encoder_parameters(RunConfig.load("tiny"), 6000)  # doctest: +SKIP
        1464832
    """
    with torch.device("meta"):
        encoder = ItemModel(ItemConfig.from_settings(config.model, config.objectives, vocab_size))
    return sum(parameter.numel() for parameter in encoder.parameters())
