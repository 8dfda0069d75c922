"""`Trained`: a learner that is trained by the loop of the baselines; what differs is its task and its vectors."""

import hashlib
import json
import shutil
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel

import item_embed
from item_embed.config import RunConfig, TrainingSettings
from item_embed.embedding.bulk import Embeds
from item_embed.embedding.seen import Modalities
from item_embed.errors import ConfigError, ModelError
from item_embed.evaluation.learners.fitting import Spent, Task, train
from item_embed.evaluation.learners.learner import BESIDE_THE_RESULT, Fitted, Material
from item_embed.evaluation.learners.matching import parameters
from item_embed.files import whole_file, whole_folder
from item_embed.model.folder import PROVENANCE_FILE
from item_embed.model.storage import quiet_transformers
from item_embed.progress import OnProgress, silent

_BEGUN, _DONE, _MODEL = "begun.json", "done.json", "model"

Encoder = TypeVar("Encoder", bound=PreTrainedModel)


class Trained(ABC):
    """A baseline of matched size; see `Learner`."""

    name: str
    sees: Modalities
    labels = False
    trains = True

    @abstractmethod
    def prepare(self, material: Material) -> Task:
        """What to train, with weights drawn from torch's generator, which is seeded.

        Raises:
            CatalogError: when the rows have nothing that it could learn from.
        """

    @abstractmethod
    def load(self, folder: Path, device: torch.device) -> Embeds:
        """What makes vectors, from a folder that holds a trained encoder and its processor.

        Raises:
            ModelError: when it cannot be read.
        """

    def fit(
        self, material: Material, folder: Path, device: str | None = None, on_progress: OnProgress = silent
    ) -> Fitted:
        """See `Learner.fit`.

        Raises:
            ConfigError: when the folder was begun with other rows or settings, or there is no such device.
        """
        chosen = find_device(device)
        facts = facts_of(self.name, material)
        _begin(folder, facts)
        if not is_done(folder):
            torch.manual_seed(material.config.training.seed)
            task = self.prepare(material)
            spent = train(task, material.config.training, folder, chosen, on_progress)
            _save(folder, task, facts | {"excluded_rows": _excluded(material)})
            write_done(folder, parameters(task.encoder), material.config.training, spent)
            shutil.rmtree(folder / "checkpoints")  # what is done is only loaded
        return read_done(folder, self.load(folder / _MODEL, chosen))


def facts_of(name: str, material: Material) -> dict[str, Any]:
    """What decides the weights that a learner comes to have."""
    return {
        "learner": name,
        "catalog_fingerprint": material.catalog.fingerprint,
        "rows_sha256": rows_hash(material),
        "config": _deciding(material.config),
    }


def _deciding(config: RunConfig) -> dict[str, Any]:
    """The settings that decide what a baseline comes to, as JSON."""
    return config.model_dump(
        mode="json", include={"model", "augmentation", "training"}, exclude={"training": BESIDE_THE_RESULT}
    )


def rows_hash(material: Material) -> str:
    """A hash of the rows to learn from, as ITEm's own runs write it down."""
    return hashlib.sha256(material.rows.tobytes()).hexdigest()


def is_fitted(folder: Path, name: str, material: Material) -> bool:
    """Whether a folder holds what a learner came to from just this material."""
    return is_done(folder) and _begun(folder) == facts_of(name, material)


def find_device(device: str | None) -> torch.device:
    """The device of a name; by default a GPU where there is one.

    Raises:
        ConfigError: when there is none of this name.
    """
    try:
        found = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:  # the latter from a torch that was built without CUDA
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"the device {device!r} cannot be used: {reason}.") from None
    return found


def load_encoder(kind: type[Encoder], folder: Path, device: torch.device, **options: Any) -> Encoder:
    """Load what a baseline was trained to be.

    Raises:
        ModelError: when a file is missing or damaged.
    """
    mend = f"remove {folder.parent} and train it again"
    model, missing = load_pretrained(kind, folder, device, mend, **options)
    if missing:
        raise ModelError(f"the model {folder} lacks weights ({missing[0]} and others); {mend}.")
    encoder: Encoder = model
    return encoder


def load_pretrained(
    kind: Any, source: str | Path, device: torch.device, mend: str, **options: Any
) -> tuple[Any, list[str]]:
    """Load a model of transformers, ready to make vectors, from safetensors alone.

    Args:
        kind: a class of models, or `AutoModel`.
        source: its folder, or its name on the hub.
        device: where it is put.
        mend: what to do if it cannot be loaded.
        options: of `from_pretrained`.

    Returns:
        The model, and the names of the weights that are not there: transformers has made them up.

    Raises:
        ModelError: when a file is missing or damaged.
    """
    try:
        with quiet_transformers():
            model, report = kind.from_pretrained(source, use_safetensors=True, output_loading_info=True, **options)
    except (OSError, ValueError, TypeError, KeyError, ImportError, SafetensorError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"the model {source} cannot be loaded ({reason}); {mend}.") from None
    model.train(False)
    model.requires_grad_(False)
    return model.to(device), sorted(report["missing_keys"])


def write_done(folder: Path, size: int, settings: TrainingSettings, spent: Spent) -> None:
    """Write down that all is there, and what it took."""
    done = {"parameters": size, "samples": settings.steps * settings.batch_size, **vars(spent)}
    with whole_file(folder / _DONE) as aside:
        aside.write_text(json.dumps(done, indent=2) + "\n", encoding="utf8")


def is_done(folder: Path) -> bool:
    """Whether `write_done` was reached."""
    return (folder / _DONE).is_file()


def read_done(folder: Path, embeds: Embeds) -> Fitted:
    """What a folder says of a fitted method.

    Raises:
        ModelError: when it cannot be read.
    """
    try:
        return Fitted(embeds, **json.loads((folder / _DONE).read_text(encoding="utf8")))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{folder / _DONE} cannot be read ({error}); remove {folder}.") from None


def _begin(folder: Path, facts: dict[str, Any]) -> None:
    begun = _begun(folder)
    if begun is None:
        with whole_file(folder / _BEGUN) as aside:
            aside.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf8")
    elif begun != facts:
        other = [name for name, value in facts.items() if begun.get(name) != value]
        raise ConfigError(
            f"{folder} was begun with another {' and '.join(other)}: remove it, or choose another folder."
        )


def _begun(folder: Path) -> dict[str, Any] | None:
    """What a folder was begun with, with the defaults of settings that came later; None where it was not."""
    file = folder / _BEGUN
    if not file.is_file():
        return None
    try:
        facts = json.loads(file.read_text(encoding="utf8"))
        return {**facts, "config": _deciding(RunConfig.model_validate(facts["config"]))}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{file} cannot be read ({error}); remove {folder}.") from None


def _excluded(material: Material) -> int:
    return len(material.catalog.rows("train")) - len(material.rows)


def _save(folder: Path, task: Task, provenance: dict[str, Any]) -> None:
    versions = {"item_embed": item_embed.__version__, "torch": str(torch.__version__)}
    text = json.dumps({**provenance, "versions": versions}, indent=2) + "\n"
    with whole_folder(folder / _MODEL, replace=True) as aside:
        with quiet_transformers():
            task.encoder.save_pretrained(aside)
        task.samples.processor.save_pretrained(aside)
        (aside / PROVENANCE_FILE).write_text(text, encoding="utf8")
