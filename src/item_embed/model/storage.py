"""A model's folder: what it holds, loading it with clear errors, and the fingerprint of what decides a vector."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from item_embed.errors import ModelError
from item_embed.model.encoder import ItemPreTrainedModel
from item_embed.model.processor import PROCESSOR_FILE, TOKENIZER_FILE
from item_embed.model.whitening import WHITENING_FILE

PROVENANCE_FILE = "provenance.json"
MODEL_FILES = ("config.json", "model.safetensors", TOKENIZER_FILE, PROCESSOR_FILE)

Model = TypeVar("Model", bound=ItemPreTrainedModel)


def is_model_folder(folder: Path) -> bool:
    """Whether a folder has all files of a model; not whether they can be read."""
    return all((folder / name).is_file() for name in MODEL_FILES)


def load_model(folder: Path, kind: type[Model]) -> Model:
    """Load `ItemModel` or `ItemForPreTraining` from a model folder, `RUN/model` of `item pretrain`.

    Raises:
        ModelError: when a file is missing or damaged, or the folder holds a model of another type.

    Example:
        >>> load_model(Path("run/model"), ItemModel)  # doctest: +SKIP
    """
    missing = [name for name in MODEL_FILES if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"{folder} is no model folder: {missing[0]} is missing; give RUN/model of `item pretrain`.")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf8"))
        if config.get("model_type") != kind.config_class.model_type:
            raise ModelError(f"{folder} holds a model of type {config.get('model_type')!r}, not one of item-embed.")
        with quiet_transformers():
            loaded: Any = kind.from_pretrained(folder, output_loading_info=True)
    except (OSError, ValueError, TypeError, AttributeError, SafetensorError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"the model {folder} cannot be loaded ({reason}); copy the whole model folder.") from None
    model: Model = loaded[0]
    report: dict[str, set[str]] = loaded[1]
    if absent := sorted(report["missing_keys"]):  # transformers would go on with random weights
        raise ModelError(f"the model {folder} lacks weights ({absent[0]} and others); copy the whole model folder.")
    model.train(False)
    return model


def provenance(folder: Path) -> dict[str, Any]:
    """How a model came to be, as its run wrote it beside the weights: catalogue, rows, samples, configuration.

    Returns:
        The content of `provenance.json`, or {} where a folder has none.
    """
    try:
        found = json.loads((folder / PROVENANCE_FILE).read_text(encoding="utf8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def fingerprint(folder: Path) -> str:
    """SHA-256 over weights, configuration, tokenizer, image settings and whitening: what decides a vector.

    Vectors are comparable only where fingerprints are equal.
    """
    digest = hashlib.sha256()
    whitening = (WHITENING_FILE,) if (folder / WHITENING_FILE).is_file() else ()
    for name in (*MODEL_FILES, *whitening):
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' own progress bars off the user's screen."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
