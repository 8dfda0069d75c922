"""A checkpoint of transformers: its configuration, and its weights by name, read from safetensors alone."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import BertConfig, PretrainedConfig, RobertaConfig, ViTConfig, ViTMAEConfig, XLMRobertaConfig
from transformers.utils.hub import cached_file

from item_embed.errors import ModelError

_WEIGHTS = "model.safetensors"
_INDEX = f"{_WEIGHTS}.index.json"  # of weights in several files
_PREFIX = re.compile(r"^(bert|roberta|vit)\.")  # of an encoder that was saved with a head
_OLD = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}  # in checkpoints of 2018


@dataclass(frozen=True)
class Family:
    """What kinds of models have in common, and what their blocks' parts are called below `encoder.layer.N`.

    Attributes:
        reads: titles or photos.
        norm_position: where their blocks norm.
        attention: what holds `query`, `key` and `value`.
        attention_norm: the norm of the attention's branch.
        mlp_norm: the norm of the MLP's.
    """

    reads: Literal["title", "photo"]
    norm_position: Literal["pre", "post"]
    attention: str
    attention_norm: str
    mlp_norm: str


_BERT = Family("title", "post", "attention.self", "attention.output.LayerNorm", "output.LayerNorm")
_VIT = Family("photo", "pre", "attention.attention", "layernorm_before", "layernorm_after")

#: The kinds of models that weights are taken from, by the `model_type` of their config.json.
KINDS: dict[str, tuple[Family, type[PretrainedConfig]]] = {
    "bert": (_BERT, BertConfig),
    "roberta": (_BERT, RobertaConfig),
    "xlm-roberta": (_BERT, XLMRobertaConfig),
    "vit": (_VIT, ViTConfig),
    "vit_mae": (_VIT, ViTMAEConfig),
}


@dataclass(frozen=True)
class Checkpoint:
    """A model of transformers on disk; `open` finds it.

    Attributes:
        setting: that names it, as `warm_start.blocks`.
        source: its folder, or its name on the hub.
        kind: its `model_type`, one of `KINDS`.
        config: its configuration, as transformers reads it.
    """

    setting: str
    source: str
    kind: str
    config: Any

    @classmethod
    def open(cls, setting: str, source: str) -> "Checkpoint":
        """Find a checkpoint by folder, or by name on the hub, from where it is downloaded once.

        Raises:
            ModelError: when there is none, or it is of another kind.

        Examples:
            >>> Checkpoint.open("warm_start.blocks", "google-bert/bert-base-uncased").kind  # doctest: +SKIP
            'bert'
        """
        file = _find(setting, source, "config.json")
        if file is None:
            raise _absent(setting, source, "no config.json is found")
        try:
            data = dict(json.loads(file.read_text(encoding="utf8")))
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f"{setting}: {file} cannot be read ({error}); copy the whole model again.") from None
        kind = data.get("model_type")
        if kind not in KINDS:
            raise ModelError(
                f"{setting} is {source}, a model of type {kind!r}; weights are taken from {', '.join(KINDS)}."
            )
        try:
            config = KINDS[kind][1].from_dict(data)
        except Exception as error:  # transformers checks types with exceptions of its own that share no base
            reason = str(error).strip().splitlines()[0]
            raise ModelError(f"{setting}: {file} is no configuration of a {kind} ({reason}).") from None
        return cls(setting, source, kind, config)

    def __str__(self) -> str:
        return f"{self.source} ({self.kind})"

    @property
    def family(self) -> Family:
        """What it shares with others of its kind."""
        return KINDS[self.kind][0]

    @property
    def names(self) -> frozenset[str]:
        """The names of its weights, those of the encoder without the prefix that a head gives them."""
        return frozenset(self._places)

    def weight(self, name: str, *shape: int) -> Tensor:
        """A weight in fp32.

        Raises:
            ModelError: when it is missing, damaged or not of this shape.
        """
        if name not in self._places:
            raise ModelError(f"{self.setting}: {self.source} has no weight {name}; give a whole model.")
        file, stored = self._places[name]
        try:
            with safe_open(file, framework="pt") as tensors:
                found: Tensor = tensors.get_tensor(stored).float()
        except (OSError, SafetensorError) as error:
            raise self._damaged(file, error) from None
        if tuple(found.shape) != shape:
            raise ModelError(
                f"{self.setting}: the weight {name} of {self.source} is {tuple(found.shape)}, and by its config.json "
                f"it would be {shape}; copy the whole model again."
            )
        return found

    def file(self, name: str) -> Path | None:
        """One of its files; None where it has none of this name."""
        return _find(self.setting, self.source, name)

    @cached_property
    def _places(self) -> dict[str, tuple[Path, str]]:
        """The file of each weight, and its name there."""
        places = {}
        for file in self._weight_files():
            try:
                with safe_open(file, framework="pt") as tensors:
                    stored = list(tensors.keys())
            except (OSError, SafetensorError) as error:
                raise self._damaged(file, error) from None
            for name in stored:
                plain = _PREFIX.sub("", name)
                for old, new in _OLD.items():
                    plain = plain.replace(old, new)
                places[plain] = file, name
        return places

    def _weight_files(self) -> list[Path]:
        if whole := self.file(_WEIGHTS):
            return [whole]
        index = self.file(_INDEX)
        if index is None:
            raise ModelError(
                f"{self.setting}: {self.source} has no {_WEIGHTS}, and pickled weights (pytorch_model.bin) are never "
                "loaded; save the model with save_pretrained of transformers, which writes safetensors."
            )
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf8"))["weight_map"].values()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._damaged(index, error) from None
        files = [file for name in names if (file := self.file(name))]
        if len(files) < len(names):
            raise ModelError(f"{self.setting}: {self.source} lacks one of {', '.join(names)}; copy the whole model.")
        return files

    def _damaged(self, file: Path, error: Exception) -> ModelError:
        return ModelError(f"{self.setting}: {file} is damaged ({error}); copy the whole model again.")


def _find(setting: str, source: str, name: str) -> Path | None:
    """A file of a folder, or of a model on the hub; None where it has none of this name."""
    if Path(source).is_dir():
        file = Path(source) / name
        return file if file.is_file() else None
    try:
        found = cached_file(source, name, _raise_exceptions_for_missing_entries=False)
    except (OSError, ValueError) as error:  # no name that a model could have; nothing that can be reached
        reason = str(error).strip().splitlines()[0]
        raise _absent(setting, source, reason) from None
    return Path(found) if found else None


def _absent(setting: str, source: str, reason: str) -> ModelError:
    if Path(source).is_dir():
        return ModelError(f"{setting}: {source} has no config.json; give the folder of a model of transformers.")
    return ModelError(
        f"{setting}: {source} is no folder here, and cannot be fetched by that name ({reason}); give the folder of a "
        "model of transformers, or the name of one that can be downloaded."
    )
