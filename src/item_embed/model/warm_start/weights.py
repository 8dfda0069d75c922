"""The weights of BERT and ViT under the names, and in the shapes, of our encoder.

Shapes: L blocks, D hidden size, V tokens, T positions of a title, P patches of a photo.
"""

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.utils.constants import (
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
    IMAGENET_STANDARD_MEAN,
    IMAGENET_STANDARD_STD,
)

from item_embed.config import ModelSettings
from item_embed.errors import ModelError
from item_embed.model.encoder import resized_positions
from item_embed.model.warm_start.checkpoint import Checkpoint

_LAYERS = "encoder.layer."
_QKV = ("query", "key", "value")
# How the photos of each kind are normalised where no preprocessor_config.json says.
_NORMALISED = {
    "vit": (IMAGENET_STANDARD_MEAN, IMAGENET_STANDARD_STD),
    "vit_mae": (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD),
}


def block_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Its L blocks as `ItemModel.blocks`, and ViT's last norm as `ItemModel.norm`.

    Raises:
        ModelError: when a weight is missing or damaged, or a block has one that ours have no place for.
    """
    theirs, family = checkpoint.config, checkpoint.family
    d, m = theirs.hidden_size, theirs.intermediate_size
    parts = {
        "attention.out": ("attention.output.dense", (d, d)),
        "mlp.0": ("intermediate.dense", (m, d)),
        "mlp.2": ("output.dense", (d, m)),
        "attention_norm": (family.attention_norm, (d,)),
        "mlp_norm": (family.mlp_norm, (d,)),
    }
    asked = [f"{family.attention}.{name}" for name in _QKV]
    known = {f"{part}.{of}" for part in (*asked, *(name for name, _ in parts.values())) for of in ("weight", "bias")}
    blocks = sorted(name for name in checkpoint.names if name.startswith(_LAYERS))
    if strange := [name for name in blocks if name.removeprefix(_LAYERS).partition(".")[2] not in known]:
        raise ModelError(
            f"{checkpoint.setting}: the blocks of {checkpoint} have weights that ours have no place for, as "
            f"{strange[0]}; choose another model."
        )
    weights: dict[str, Tensor] = {}
    for number in range(theirs.num_hidden_layers):
        ours, block = f"blocks.{number}.", f"{_LAYERS}{number}."
        weights |= _qkv(checkpoint, ours + "attention.qkv", [block + name for name in asked])
        for part, (name, shape) in parts.items():
            weights |= _affine(checkpoint, ours + part, block + name, *shape)
    if family.norm_position == "pre":
        weights |= _affine(checkpoint, "norm", "layernorm", d)
    return weights


def _affine(checkpoint: Checkpoint, ours: str, theirs: str, *shape: int) -> dict[str, Tensor]:
    """Weight and bias of a linear map or a norm."""
    return {
        f"{ours}.weight": checkpoint.weight(f"{theirs}.weight", *shape),
        f"{ours}.bias": checkpoint.weight(f"{theirs}.bias", shape[0]),
    }


def _qkv(checkpoint: Checkpoint, ours: str, theirs: Sequence[str]) -> dict[str, Tensor]:
    """Queries, keys and values from one linear map, (3 D, D); biases that a ViT may lack are 0."""
    d = checkpoint.config.hidden_size
    biased = getattr(checkpoint.config, "qkv_bias", True)
    return {
        f"{ours}.weight": torch.cat([checkpoint.weight(f"{name}.weight", d, d) for name in theirs]),
        f"{ours}.bias": torch.cat(
            [checkpoint.weight(f"{name}.bias", d) if biased else torch.zeros(d) for name in theirs]
        ),
    }


def text_weights(checkpoint: Checkpoint, old_ids: list[int], model: ModelSettings) -> dict[str, Tensor]:
    """Its words, (V, D), its positions, (T, D), and, where ours norms embeddings, its norm.

    Args:
        checkpoint: of BERT or RoBERTa.
        old_ids: the number that each of our tokens has there, V of them.
        model: the architecture.

    Raises:
        ModelError: when a weight is missing or damaged.
    """
    theirs = checkpoint.config
    d, first = theirs.hidden_size, first_position(checkpoint)
    words = checkpoint.weight("embeddings.word_embeddings.weight", theirs.vocab_size, d)
    positions = checkpoint.weight("embeddings.position_embeddings.weight", theirs.max_position_embeddings, d)
    weights = {
        "embeddings.word.weight": words[old_ids],
        "embeddings.title_position.weight": positions[first : first + model.max_title_tokens],
    }
    if model.norm_position == "post":
        weights |= _affine(checkpoint, "embeddings.norm", "embeddings.LayerNorm", d)
    return weights


def title_type(checkpoint: Checkpoint) -> Tensor:
    """What BERT adds to the tokens of a first sentence, (D,): the row of titles in `modality`."""
    theirs = checkpoint.config
    return checkpoint.weight("embeddings.token_type_embeddings.weight", theirs.type_vocab_size, theirs.hidden_size)[0]


def first_position(checkpoint: Checkpoint) -> int:
    """The position of the first token: RoBERTa numbers them from the padding token's id + 1 on."""
    return 0 if checkpoint.kind == "bert" else int(checkpoint.config.pad_token_id) + 1


def patch_weights(checkpoint: Checkpoint, model: ModelSettings) -> dict[str, Tensor]:
    """Its linear map of patches, (D, 3 * patch_size ** 2), of pixels in [-1, 1], and its positions, (P, D).

    Theirs reads (pixel - mean) / std, with pixels in [0, 1]; of ours, y = 2 pixel - 1, that is y / (2 std) +
    (0.5 - mean) / std. The first factor goes into the weight, the second term into the bias. Positions of another grid
    are interpolated.

    Args:
        checkpoint: of ViT or MAE.
        model: the architecture.

    Raises:
        ModelError: when a weight is missing or damaged.
    """
    d, size = checkpoint.config.hidden_size, model.patch_size
    mean, std = (torch.tensor(values)[:, None, None] for values in _normalisation(checkpoint))
    weight = checkpoint.weight("embeddings.patch_embeddings.projection.weight", d, 3, size, size)
    bias = checkpoint.weight("embeddings.patch_embeddings.projection.bias", d)
    height, width = model.image_size
    positions = resized_positions(_positions(checkpoint)[1:], grid_size(checkpoint), (height // size, width // size))
    return {
        "embeddings.patch.weight": (weight / (2 * std)).flatten(1),  # channel first, as `patchify` has it
        "embeddings.patch.bias": bias + (weight * (0.5 - mean) / std).sum(dim=(1, 2, 3)),
        "embeddings.patch_position.weight": positions,
    }


def cls_weights(checkpoint: Checkpoint) -> tuple[Tensor, Tensor]:
    """ViT's [CLS] and its position, (D,) each."""
    token = checkpoint.weight("embeddings.cls_token", 1, 1, checkpoint.config.hidden_size)
    return token.flatten(), _positions(checkpoint)[0]


def grid_size(checkpoint: Checkpoint) -> tuple[int, int]:
    """Rows and columns of the patches that a ViT was trained on."""
    (height, width), (down, across) = (
        both_sides(checkpoint.config.image_size),
        both_sides(checkpoint.config.patch_size),
    )
    return height // down, width // across


def both_sides(value: Any) -> tuple[int, int]:
    """Height and width of what a configuration gives as a pair, or as one number where they are equal."""
    height, width = (value, value) if isinstance(value, int) else value
    return height, width


def _positions(checkpoint: Checkpoint) -> Tensor:
    """(1 + P, D), that of [CLS] first."""
    rows, columns = grid_size(checkpoint)
    return checkpoint.weight("embeddings.position_embeddings", 1, 1 + rows * columns, checkpoint.config.hidden_size)[0]


def _normalisation(checkpoint: Checkpoint) -> tuple[list[float], list[float]]:
    """Mean and standard deviation that a ViT's photos are normalised by, for red, green and blue."""
    usual = _NORMALISED[checkpoint.kind]
    file = checkpoint.file("preprocessor_config.json")
    if file is None:
        return usual
    try:
        settings = json.loads(file.read_text(encoding="utf8"))
        if not settings.get("do_normalize", True):
            return [0.0] * 3, [1.0] * 3
        mean, std = (list(map(float, settings.get(f"image_{of}", usual[n]))) for n, of in enumerate(("mean", "std")))
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ValueError("no mean and deviation of three colours")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{checkpoint.setting}: {file} cannot be used ({error}); copy the whole model again."
        ) from None
    return mean, std
