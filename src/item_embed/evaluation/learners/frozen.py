"""`frozen:NAME_OR_FOLDER`: a model that somebody trained before, on whatever, as it is."""

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import MODEL_MAPPING, AutoConfig, AutoModel, AutoTokenizer
from transformers.image_processing_base import ImageProcessingMixin
from transformers.utils.hub import cached_file

from item_embed.embedding.bulk import Embeds
from item_embed.embedding.embedder import Embedder
from item_embed.embedding.seen import Modalities
from item_embed.embedding.torch_backend import TorchBackend
from item_embed.errors import ConfigError, ModelError
from item_embed.evaluation.learners.learner import Fitted, Material
from item_embed.evaluation.learners.matching import parameters
from item_embed.evaluation.learners.preprocessing import Preprocessing
from item_embed.evaluation.learners.trained import find_device, load_pretrained
from item_embed.evaluation.learners.vectors import Joined, OneModality
from item_embed.evaluation.run import training_note
from item_embed.model.configuration import ItemConfig
from item_embed.model.folder import provenance
from item_embed.progress import OnProgress, silent

PREFIX = "frozen:"
_BOUNDLESS = 100_000  # tokenizers that know no longest text say 10 ** 30
_LONG = 512  # tokens, where the model knows no longest text either: titles are shorter
_MEND = "give another model"
_PADDED = {"siglip", "siglip2"}  # trained on texts that were all padded to the same length


@dataclass(frozen=True)
class Frozen:
    """A frozen model: one of ours, or of transformers or sentence-transformers, by folder or by name on the hub.

    A dual encoder such as CLIP or SigLIP gives its two vectors one after the other, each of length 1. An encoder of
    texts gives the mean output of a title's tokens, one of images its pooled output, or that of [CLS] where no pooling
    was trained. Weights are read from safetensors alone, and no code that comes with a model is run.

    Attributes:
        name: on the command line.
        source: the folder, or the name on the hub.
    """

    name: str
    source: str
    labels: bool = False
    trains: bool = False

    @classmethod
    def named(cls, name: str) -> "Frozen":
        """The learner of `frozen:NAME_OR_FOLDER`.

        Raises:
            ConfigError: when nothing is named.
        """
        source = name.removeprefix(PREFIX)
        if not source:
            raise ConfigError(f"{name!r} names no model: write frozen:FOLDER, or frozen:NAME of one on the hub.")
        return cls(name, source)

    @cached_property
    def sees(self) -> Modalities:
        """What of a product it makes a vector of, as its configuration says.

        Raises:
            ModelError: when there is no such model, or it is none that makes vectors of photos or titles.
        """
        return self._kind[0]

    def fit(
        self, material: Material, folder: Path, device: str | None = None, on_progress: OnProgress = silent
    ) -> Fitted:
        """Load it; nothing is trained or kept. See `Learner.fit`.

        What it saw in training is known of models of ours alone; others may have seen anything.

        Raises:
            ConfigError: when there is no such device, or a package is missing.
        """
        embeds, size = self._kind[1](self.source, find_device(device))
        model = Path(self.source)
        note = training_note(model, material.catalog, material.rows)
        return Fitted(embeds, size, _samples(provenance(model)), minutes=0.0, cpu_minutes=0.0, note=note)

    @cached_property
    def _kind(self) -> tuple[Modalities, "_Load"]:
        if _holds(self.source, "modules.json"):
            return "title", _sentences
        config = _configuration(self.source)
        if isinstance(config, ItemConfig):
            return "both", _ours
        kind: Any = MODEL_MAPPING.get(type(config), None)
        if getattr(config, "is_encoder_decoder", False):
            kind = None
        if hasattr(kind, "get_text_features") and hasattr(kind, "get_image_features"):
            return "both", _dual
        asked = getattr(kind, "main_input_name", None)
        if asked == "pixel_values":
            return "image", _images
        if asked == "input_ids":
            return "title", _texts
        raise ModelError(f"{self.source} is a {config.model_type}, which makes no vectors of photos or titles.")


def _samples(known: dict[str, Any]) -> int:
    """How many samples training saw, by what a model of ours says of it; 0 of others."""
    if "catalog_fingerprint" not in known:
        return 0
    training = known["config"]["training"]
    return int(training["steps"] * training["batch_size"])


#: Loads a model onto a device: what makes vectors, and its parameters.
_Load = Callable[[str, torch.device], tuple[Embeds, int]]


def _holds(source: str, file: str) -> bool:
    """Whether a folder, or a model on the hub as far as it can be reached, has a file."""
    quietly = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": False}
    try:
        return cached_file(source, file, **quietly) is not None
    except OSError:  # no name that a model could have
        return False


def _configuration(source: str) -> Any:
    """The configuration of a model by folder or name.

    Raises:
        ModelError: when there is none.
    """
    local = Path(source).is_dir()
    if local and not (Path(source) / "config.json").is_file():
        raise ModelError(f"{source} is no model folder: config.json is missing; give a folder that holds a model.")
    try:
        return AutoConfig.from_pretrained(source)
    except (OSError, ValueError, KeyError, json.JSONDecodeError) as error:
        reason = str(error).strip().splitlines()[0]
        where = (
            "its config.json cannot be read" if local else "it is no folder here, and cannot be fetched by that name"
        )
        raise ModelError(
            f"the model {source} cannot be used: {where} ({reason}); give the folder of a model, or the name of one "
            "that can be downloaded."
        ) from None


def _ours(source: str, device: torch.device) -> tuple[Embeds, int]:
    backend = TorchBackend.from_pretrained(source, str(device))
    return Embedder(backend), parameters(backend.model)


def _dual(source: str, device: torch.device) -> tuple[Embeds, int]:
    model, _ = _loaded(source, device)
    photos = _photo_vectors(source, device, lambda pixels: model.get_image_features(pixel_values=pixels).pooler_output)
    titles = _title_vectors(source, device, model, lambda texts: model.get_text_features(**texts).pooler_output)
    return Joined([photos, titles]), parameters(model)


def _texts(source: str, device: torch.device) -> tuple[Embeds, int]:
    model, _ = _loaded(source, device)

    def features(texts: dict[str, Tensor]) -> Tensor:
        hidden: Tensor = model(**texts).last_hidden_state
        there = texts["attention_mask"][..., None]
        return (hidden * there).sum(dim=1) / there.sum(dim=1)

    return _title_vectors(source, device, model, features), parameters(model)


def _images(source: str, device: torch.device) -> tuple[Embeds, int]:
    model, pooling = _loaded(source, device)

    def features(pixels: Tensor) -> Tensor:
        output = model(pixel_values=pixels)
        pooled: Tensor | None = getattr(output, "pooler_output", None)
        if pooled is not None and pooling:
            return pooled.flatten(1)
        hidden: Tensor = output.last_hidden_state
        return hidden[:, 0] if hidden.dim() == 3 else hidden.flatten(2).mean(dim=-1)

    return _photo_vectors(source, device, features), parameters(model)


def _sentences(source: str, device: torch.device) -> tuple[Embeds, int]:
    try:
        package = importlib.import_module("sentence_transformers")
    except ImportError:
        raise ConfigError(
            f"{source} is a model of sentence-transformers: `pip install sentence-transformers`, or give another model."
        ) from None
    try:
        model = package.SentenceTransformer(source, device=str(device), model_kwargs={"use_safetensors": True})
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise _unusable(source, error) from None

    def encode(titles: list[str]) -> Tensor:
        vectors: Tensor = model.encode(titles, convert_to_tensor=True, show_progress_bar=False)
        return vectors

    return OneModality("title", _width(encode, "a mug"), encode), parameters(model)


def _loaded(source: str, device: torch.device) -> tuple[Any, bool]:
    """The model, and whether its pooling was trained: many are published without."""
    model, missing = load_pretrained(AutoModel, source, device, _MEND)
    lacking = [name for name in missing if "pooler" not in name]
    if lacking:
        raise ModelError(f"the model {source} lacks weights ({lacking[0]} and others); {_MEND}.")
    return model, not missing


def _photo_vectors(source: str, device: torch.device, features: Callable[[Tensor], Tensor]) -> OneModality:
    try:
        settings, _ = ImageProcessingMixin.get_image_processor_dict(source)
    except (OSError, ValueError) as error:
        raise _unusable(source, error) from None
    preprocessing = Preprocessing.of(settings, source)

    def encode(photos: list[NDArray[np.float32]]) -> Tensor:
        return features(torch.from_numpy(np.stack(photos)).to(device))

    height, width = preprocessing.shape
    return OneModality("image", _width(encode, np.zeros((3, height, width), np.float32)), encode, preprocessing)


def _title_vectors(
    source: str, device: torch.device, model: nn.Module, features: Callable[[dict[str, Tensor]], Tensor]
) -> OneModality:
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise _unusable(source, error) from None
    if tokenizer.pad_token is None:  # GPT-2's, for one: attention leaves out what is added, whatever it is
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
        if tokenizer.pad_token is None:
            raise ModelError(f"the tokenizer of {source} has no token to make titles equally long with; {_MEND}.")
    config: Any = model.config
    longest = tokenizer.model_max_length
    if longest > _BOUNDLESS:
        places = getattr(config.get_text_config(), "max_position_embeddings", None) or 0
        longest = places - 2 if places > 2 else _LONG  # RoBERTa's first two positions are no token's
    padding: Any = "max_length" if config.model_type in _PADDED else True

    def encode(titles: list[str]) -> Tensor:
        texts = tokenizer(titles, padding=padding, truncation=True, max_length=longest, return_tensors="pt")
        return features({name: tensor.to(device) for name, tensor in texts.items()})

    return OneModality("title", _width(encode, "a mug"), encode)


def _width(encode: Callable[[list[Any]], Tensor], example: Any) -> int:
    """How many numbers a vector has."""
    with torch.inference_mode():
        return encode([example]).shape[1]


def _unusable(source: str, error: Exception) -> ModelError:
    reason = str(error).strip().splitlines()[0]
    return ModelError(f"the model {source} cannot be used ({reason}); {_MEND}.")
