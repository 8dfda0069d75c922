"""Loading a model from its folder, with clear errors."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from item_embed.errors import ModelError
from item_embed.model.encoder import ItemPreTrainedModel
from item_embed.model.folder import CONFIG_FILE, EXPORT_FILE, MODEL_FILES
from item_embed.remote.urls import refuse_url

Model = TypeVar("Model", bound=ItemPreTrainedModel)


def load_model(folder: Path, kind: type[Model]) -> Model:
    """Load `ItemModel` or `ItemForPreTraining` from a model folder, `RUN/model` of `item pretrain`.

    Raises:
        ModelError: when a file is missing or damaged, or the folder holds a model of another type.

    Examples:
        >>> load_model(Path("run/model"), ItemModel)  # doctest: +SKIP
    """
    refuse_url(folder, "a model")
    missing = [name for name in MODEL_FILES if not (folder / name).is_file()]
    if (folder / EXPORT_FILE).is_file():
        raise ModelError(
            f"{folder} holds an exported model, which can embed and nothing else; give the model folder that it was "
            "made from."
        )
    if missing:
        raise ModelError(f"{folder} is no model folder: {missing[0]} is missing; give RUN/model of `item pretrain`.")
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf8"))
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
