"""What all methods of a comparison share: catalogue, queries, configuration, tokenizer; kept, so that runs go on."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from item_embed.catalog.store import Catalog
from item_embed.config import RunConfig
from item_embed.evaluation.asked import RELISTINGS, Asked
from item_embed.evaluation.begun import begin, is_begun, read_begun
from item_embed.evaluation.learners.learner import Material, deciding
from item_embed.evaluation.measuring import Questions, open_questions
from item_embed.remote.places import Remote
from item_embed.training.run import run_tokenizer, training_rows

_WHAT = "comparison"


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
    path: Path | Remote
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
        return open_questions(self.catalog, self.asked.kept_in(self.out), leaf_category=self.leaf_category)

    def material(self, seed: int) -> Material:
        """What every learner is given; nothing that queries are made from is among it."""
        config = self.config.model_copy(update={"training": self.config.training.model_copy(update={"seed": seed})})
        rows, _ = training_rows(self.catalog, self.asked.file)
        return Material(
            catalog=self.catalog,
            rows=rows,
            config=config,
            train_tokenizer=lambda: run_tokenizer(self.out, self.catalog, rows, self.config),
            exclude_groups=self.asked.file,
        )

    def is_begun(self) -> bool:
        """Whether the folder was begun; one that holds something else, or was begun otherwise, is refused.

        Raises:
            ConfigError: saying which, and the mend.
        """
        return is_begun(self.out, _WHAT, self._identity(), {RELISTINGS}, _complete)

    def check(self) -> None:
        """Refuse a folder in which no comparison was begun, or one of something else.

        Raises:
            ConfigError: saying which, and the mend.
        """
        if not self.is_begun():
            read_begun(self.out, _WHAT, ())

    def begin(self) -> None:
        """Write down what this comparison is of, or check that the folder's is the same.

        Raises:
            ConfigError: when the folder holds a comparison of something else.
            ConfigError, CatalogError: when there are no such queries; then nothing is written.
        """
        if self.is_begun():
            return
        self.asked.kept_in(self.out).keep(self.catalog)
        _ = self.questions  # before anything is trained that could not be asked for them
        begin(self.out, self._identity())

    def _identity(self) -> dict[str, Any]:
        return {
            "catalogue": self.catalog.fingerprint,
            "queries": self.asked.identity(),
            "configuration": deciding(self.config),
            "--no-leaf-category": not self.leaf_category,
        }


def _complete(begun: dict[str, Any]) -> dict[str, Any]:
    """What a folder was begun with, less what decides nothing, with the defaults of settings that came later."""
    return {**begun, "configuration": deciding(RunConfig.model_validate(begun["configuration"]))}
