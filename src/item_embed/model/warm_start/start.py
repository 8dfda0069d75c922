"""A warm start: checkpoints that fit a model, what is taken from them, and what is new."""

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.activations import ACT2FN

from item_embed.config import ModelSettings, WarmStartSettings
from item_embed.errors import ConfigError, ModelError
from item_embed.model.encoder import PHOTO, TITLE
from item_embed.model.folder import TOKENIZER_FILE
from item_embed.model.heads import ItemForPreTraining
from item_embed.model.tokenizer import CLS
from item_embed.model.warm_start.checkpoint import KINDS, Checkpoint
from item_embed.model.warm_start.vocabulary import Vocabulary, adopt_vocabulary
from item_embed.model.warm_start.weights import (
    block_weights,
    both_sides,
    cls_weights,
    first_position,
    grid_size,
    patch_weights,
    text_weights,
    title_type,
)

_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
_VOCABULARY = ModelSettings().vocab_size
_MODALITY, _WORD, _POSITION = (f"embeddings.{name}.weight" for name in ("modality", "word", "title_position"))
_PART = re.compile(r"^(?:item\.)?((?:embeddings|heads)\.\w+|\w+).*$")  # of a model, in the name of a weight


@dataclass(frozen=True)
class Taken:
    """What a model begins with.

    Attributes:
        taken: what comes from which checkpoint, by the key of `warm_start` that names it.
        new: the parts of the model that begin at random, by their names.
    """

    taken: dict[str, str]
    new: list[str]

    def lines(self) -> list[str]:
        """To be printed."""
        return [*(f"{key} from {what}" for key, what in self.taken.items()), f"new: {', '.join(self.new) or 'nothing'}"]


@dataclass(frozen=True)
class WarmStart:
    """What is taken from checkpoints, read and checked against the architecture that it is for; nothing by default.

    Attributes:
        weights: of `ItemModel`, by name.
        rows: of embeddings of which no more is taken, by name and number.
        architecture: what of `ItemConfig` the blocks decide.
        vocabulary: the tokenizer of the text embeddings.
        taken: as `Taken.taken`.
    """

    weights: dict[str, Tensor]
    rows: dict[str, dict[int, Tensor]]
    architecture: dict[str, Any]
    vocabulary: Vocabulary | None
    taken: dict[str, str]

    @torch.no_grad()
    def fill(self, model: ItemForPreTraining) -> Taken:
        """Put it into a model whose configuration has `architecture`, and say what is new."""
        missing, unexpected = model.item.load_state_dict(self.weights, strict=False)
        assert not unexpected, unexpected
        new = dict.fromkeys(_PART.sub(r"\1", name) for name in (*missing, *model.heads.state_dict(prefix="heads.")))
        parameters = dict(model.item.named_parameters())
        for name, rows in self.rows.items():
            for number, values in rows.items():
                parameters[name][number] = values
            part = _PART.sub(r"\1", name)
            if new.pop(part, part) is None and len(rows) < len(parameters[name]):
                new[f"{part} but row {next(iter(rows))}"] = None
        return Taken(self.taken, list(new))


def load_warm_start(settings: WarmStartSettings, model: ModelSettings) -> WarmStart:
    """Read what a model is to begin with.

    [CLS] is ViT's where the blocks are, or where no text embeddings are taken, and else the text's.

    Args:
        settings: the checkpoints.
        model: the architecture that they are to fit.

    Raises:
        ConfigError: when the architecture does not fit a checkpoint, naming the settings to change.
        ModelError: when a checkpoint is missing, damaged, of another kind, or not in safetensors.

    Examples:
        >>> start = load_warm_start(WarmStartSettings(blocks="bert-base-uncased"), settings)  # doctest: +SKIP
        >>> print(*start.fill(model).lines(), sep="\\n")                                       # doctest: +SKIP
        blocks from bert-base-uncased (bert): 12 blocks
        new: embeddings.patch_mask, embeddings.word, ...
    """
    opened = {
        name: Checkpoint.open(f"warm_start.{name}", source)
        for name, source in settings.model_dump().items()
        if source is not None
    }
    blocks, text, patches = (opened.get(name) for name in ("blocks", "text_embeddings", "patch_embedding"))
    weights: dict[str, Tensor] = {}
    rows: dict[str, dict[int, Tensor]] = {}
    vocabulary = None
    if blocks:
        _check_blocks(blocks, model)
        weights |= block_weights(blocks)
    if text:
        vocabulary = _vocabulary(text, model)
        weights |= text_weights(text, vocabulary.old_ids, model)
        rows[_MODALITY] = {TITLE: title_type(text)}
    if patches:
        _check_patches(patches, model)
        weights |= patch_weights(patches, model)
        none = torch.zeros(model.hidden_size)  # ViT knows no types
        types = rows.setdefault(_MODALITY, {TITLE: none})
        types[PHOTO] = none
        if text is None or (blocks and blocks.family.reads == "photo"):
            token, position = cls_weights(patches)
            rows |= {_WORD: {CLS: token - types[TITLE]}, _POSITION: {0: position}}
    return WarmStart(weights, rows, _architecture(blocks, text, model), vocabulary, _described(opened, model, rows))


def _check_blocks(checkpoint: Checkpoint, model: ModelSettings) -> None:
    config = checkpoint.config
    wanted = {name: getattr(config, name) for name in _SIZES}
    _check_fit(checkpoint, model, {**wanted, "norm_position": checkpoint.family.norm_position})
    if config.hidden_act not in ACT2FN:
        raise ModelError(f"{checkpoint.setting}: {checkpoint} has an unknown hidden_act, {config.hidden_act!r}.")


def text_vocabulary(source: str, model: ModelSettings) -> Vocabulary:
    """The tokenizer of `warm_start.text_embeddings`, without the weights.

    Args:
        source: the checkpoint.
        model: the architecture that it is to fit.

    Raises:
        ConfigError: when it does not fit.
        ModelError: when there is no such checkpoint, or no tokenizer that belongs to it.

    Examples:
        >>> text_vocabulary("bert-base-uncased", ModelSettings()).tokenizer.encode("Red mug").tokens  # doctest: +SKIP
        ['[CLS]', 'red', 'mug', '[SEP]']
    """
    return _vocabulary(Checkpoint.open("warm_start.text_embeddings", source), model)


def _vocabulary(checkpoint: Checkpoint, model: ModelSettings) -> Vocabulary:
    _check_reads(checkpoint, "title")
    _check_fit(checkpoint, model, {"hidden_size": checkpoint.config.hidden_size})
    file = checkpoint.file(TOKENIZER_FILE)
    if file is None:
        raise ModelError(
            f"{checkpoint.setting}: {checkpoint.source} has no {TOKENIZER_FILE}; save its tokenizer with "
            "AutoTokenizer.from_pretrained(...).save_pretrained(...) of transformers."
        )
    vocabulary = adopt_vocabulary(file)
    if max(vocabulary.old_ids) >= checkpoint.config.vocab_size:
        raise ModelError(
            f"{checkpoint.setting}: the tokenizer of {checkpoint.source} numbers tokens up to "
            f"{max(vocabulary.old_ids)}, and there are {checkpoint.config.vocab_size} embeddings; they do not belong "
            "together."
        )
    if model.vocab_size != _VOCABULARY:
        _check_fit(checkpoint, model, {"vocab_size": len(vocabulary.old_ids)})
    places = checkpoint.config.max_position_embeddings - first_position(checkpoint)
    if model.max_title_tokens > places:
        raise ConfigError(
            f"{checkpoint.setting} is {checkpoint}, whose titles have at most {places} tokens: lower "
            f"model.max_title_tokens, which is {model.max_title_tokens}."
        )
    return vocabulary


def _check_patches(checkpoint: Checkpoint, model: ModelSettings) -> None:
    _check_reads(checkpoint, "photo")
    config = checkpoint.config
    height, width = both_sides(config.patch_size)
    size = height if height == width else (height, width)  # ours are square
    _check_fit(checkpoint, model, {"hidden_size": config.hidden_size, "patch_size": size})
    if config.num_channels != 3:
        raise ConfigError(
            f"{checkpoint.setting} is {checkpoint}, whose photos have {config.num_channels} channels, and ours have 3: "
            "choose another model."
        )


def _check_reads(checkpoint: Checkpoint, wanted: str) -> None:
    if checkpoint.family.reads != wanted:
        kinds = [name for name, (family, _) in KINDS.items() if family.reads == wanted]
        raise ConfigError(f"{checkpoint.setting} is {checkpoint}; it is taken from {', '.join(kinds)}.")


def _check_fit(checkpoint: Checkpoint, model: ModelSettings, wanted: dict[str, Any]) -> None:
    given = {name: getattr(model, name) for name in wanted}
    if wrong := [name for name, value in wanted.items() if given[name] != value]:
        raise ConfigError(
            f"{checkpoint.setting} is {checkpoint}, which does not fit "
            f"{', '.join(f'model.{name}={given[name]}' for name in wrong)}: set "
            f"{' '.join(f'model.{name}={wanted[name]}' for name in wrong)}, or choose another model."
        )


def _architecture(blocks: Checkpoint | None, text: Checkpoint | None, model: ModelSettings) -> dict[str, Any]:
    """Settings of `ItemConfig` that weights were trained with; the norm of embeddings has no other eps than blocks."""
    if blocks:
        return {"layer_norm_eps": blocks.config.layer_norm_eps, "hidden_act": blocks.config.hidden_act}
    if text and model.norm_position == "post":
        return {"layer_norm_eps": text.config.layer_norm_eps}
    return {}


def _described(opened: dict[str, Checkpoint], model: ModelSettings, rows: dict[str, Any]) -> dict[str, str]:
    """What is taken, in words."""
    post = model.norm_position == "post"
    taken = {}
    for name, checkpoint in opened.items():
        if name == "blocks":
            what = f"{model.num_hidden_layers} blocks" + ("" if post else " and the last norm")
        elif name == "text_embeddings":
            places = checkpoint.config.max_position_embeddings - first_position(checkpoint)
            what = f"its vocabulary, {model.max_title_tokens} of {places} positions, the type of titles"
            what += ", the norm of embeddings" if post else ""
        else:
            trained, ours = grid_size(checkpoint), tuple(side // model.patch_size for side in model.image_size)
            what = f"patches of {model.patch_size} pixels, positions of {trained[0]} x {trained[1]}"
            what += "" if trained == ours else f" interpolated to {ours[0]} x {ours[1]}"
            what += ", [CLS]" if _WORD in rows else ""
        taken[name] = f"{checkpoint}: {what}"
    return taken
