"""The model that a run begins with: drawn from its seed, or with weights of a trained one, or of BERT or ViT."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from item_embed.config import RunConfig
from item_embed.model.configuration import ItemConfig
from item_embed.model.heads import ItemForPreTraining
from item_embed.model.warm_start.start import load_warm_start
from item_embed.training.continuing import SOURCE_FOLDER, Source

#: Called with a sentence that the user should read before the work goes on.
OnRemark = Callable[[str], None]


def unsaid(remark: str) -> None:
    """Say nothing: the default."""


@dataclass(frozen=True)
class Beginning:
    """What a run begins with.

    Attributes:
        model: with its first weights.
        facts: where they were taken from, for `provenance.json`; nothing where all are drawn.
        remarks: the same for the user.
    """

    model: ItemForPreTraining
    facts: dict[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def initial_model(run: Path, config: RunConfig, tokenizer: Tokenizer) -> Beginning:
    """The model before its first step: a function of the run's folder and its configuration.

    Args:
        run: the run's folder; where it holds a model that it goes on from, weights are taken from that.
        config: of the run; its seed draws the weights that are new, `warm_start` names where others are taken from.
        tokenizer: of the run.

    Raises:
        ConfigError: when the architecture does not fit what `warm_start` names.
        ModelError: when a model to take weights from cannot be read.
    """
    source = Source.of(run / SOURCE_FOLDER) if (run / SOURCE_FOLDER).is_dir() else None
    start = load_warm_start(config.warm_start, config.model)
    torch.manual_seed(config.training.seed)
    if source is None:
        model_config = ItemConfig.from_settings(config.model, config.objectives, tokenizer.get_vocab_size())
        model_config.update(start.architecture)
        model = ItemForPreTraining(model_config)
        if not config.warm_start.on:
            return Beginning(model)
        filled = start.fill(model)
        return Beginning(model, {"warm_start": vars(filled)}, tuple(filled.lines()))
    model, taken = source.begin(config, tokenizer)
    origin = json.loads((run / "run.json").read_text(encoding="utf8"))["from"]  # the folder here is a copy
    return Beginning(model, {"from": origin | taken.as_json()}, (taken.told(origin["model"]),))
