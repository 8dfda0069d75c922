"""ITEm itself, and itself with other settings, as a learner like the others."""

import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from item_embed.config import MASKED_TASKS, OBJECTIVES, ObjectiveWeights, RunConfig
from item_embed.embedding.embedder import Embedder
from item_embed.embedding.seen import Modalities
from item_embed.errors import ConfigError
from item_embed.evaluation.learners.learner import Fitted, Material, as_begun
from item_embed.evaluation.learners.resuming import pretrain_or_resume
from item_embed.evaluation.learners.trained import find_device, is_done, read_done, rows_hash
from item_embed.progress import OnProgress, silent
from item_embed.training.run import training_rows

#: Variants that have a name of their own, by the tasks that they are trained on; `item`: as configured.
VARIANTS: dict[str, tuple[str, ...]] = {
    "item": (),
    "item-five": MASKED_TASKS,
    "item-local": ("itm", "mlm", "mim"),
    "item-global": ("itm", "gmlm", "gmim"),
    "item-agreement": ("agreement",),
}
PREFIX = "item:"
_BETWEEN_SETTINGS = re.compile(r",(?=[\w.]+=)")  # a value may hold commas: [0.8, 0.1, 0.1]


@dataclass(frozen=True)
class Item:
    """`item`, a variant, or `item:KEY=VALUE,...`: `item pretrain` with some settings changed.

    A variant's tasks keep the weights that they are configured with, or get the default ones (agreement 1) where they
    are switched off; all others are switched off. The folder is the run's, so `FOLDER/model` is a model folder like any
    other. Minutes are those of the whole run, its validation included.

    Attributes:
        name: on the command line.
        settings: `KEY=VALUE` each.
        tasks: trained on, instead of those that are configured; empty: those.
    """

    name: str
    settings: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    sees: Modalities = "both"
    labels: bool = False
    trains: bool = True

    @classmethod
    def named(cls, name: str) -> "Item":
        """The variant of a name.

        Raises:
            ConfigError: when it holds something else than settings.

        Examples:
            >>> Item.named("item:model.patch_size=8,objectives.token_corruption=[1,0,0]").settings
            ('model.patch_size=8', 'objectives.token_corruption=[1,0,0]')
        """
        if name in VARIANTS:
            return cls(name, tasks=VARIANTS[name])
        settings = tuple(_BETWEEN_SETTINGS.split(name.removeprefix(PREFIX)))
        if any("=" not in setting for setting in settings):
            raise ConfigError(f"{name!r} is no method: write item:KEY=VALUE, such as item:objectives.weights.gmim=0.")
        return cls(name, settings)

    def fit(
        self, material: Material, folder: Path, device: str | None = None, on_progress: OnProgress = silent
    ) -> Fitted:
        """See `Learner.fit`.

        Raises:
            ConfigError: when a setting is unknown or out of range, the folder holds another run, or there is no such
                device.
        """
        chosen = find_device(device)
        config = as_begun(self.changed(material.config), folder)
        if is_done(folder):
            _check(folder, config, material)
        else:
            _pretrain(material, folder, config, chosen, on_progress)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # what is done is only loaded
        return read_done(folder, Embedder.from_pretrained(folder / "model", str(chosen), config.training.precision))

    def changed(self, config: RunConfig) -> RunConfig:
        """A configuration with the settings of this variant.

        Raises:
            ConfigError: naming the setting that is unknown or out of range.
        """
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "config.yaml"
            config.save(file)
            try:
                return RunConfig.load(file, (*self._weights(config), *self.settings))
            except ConfigError as error:
                raise ConfigError(str(error).replace(f"configuration {file}", f"the method {self.name}")) from None

    def _weights(self, config: RunConfig) -> list[str]:
        """Settings of the weight of every task, where the variant says which it is trained on."""
        if not self.tasks:
            return []
        weights = {"agreement": 1.0} | ObjectiveWeights().active() | config.objectives.weights.active()
        return [f"objectives.weights.{name}={weights[name] if name in self.tasks else 0}" for name in OBJECTIVES]


def _pretrain(
    material: Material, folder: Path, config: RunConfig, device: torch.device, on_progress: OnProgress
) -> None:
    rows, _ = training_rows(material.catalog, material.exclude_groups)
    if not np.array_equal(rows, material.rows):
        raise ValueError("the rows to learn from are not the training split less the groups of exclude_groups")
    pretrain_or_resume(
        material.catalog,
        folder,
        config,
        exclude_groups=material.exclude_groups,
        device=device,
        on_progress=on_progress,
    )


def _check(folder: Path, config: RunConfig, material: Material) -> None:
    """Refuse a finished run of other settings or rows, as `pretrain` refuses to go on with one."""
    begun = json.loads((folder / "run.json").read_text(encoding="utf8"))
    same_rows = begun["catalog_fingerprint"] == material.catalog.fingerprint and begun["rows_sha256"] == rows_hash(
        material
    )
    if not same_rows or RunConfig.load(folder / "config.yaml") != config:
        raise ConfigError(f"{folder} holds a run of other rows or settings: remove it, or choose another folder.")
