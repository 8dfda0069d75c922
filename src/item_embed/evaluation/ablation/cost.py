"""What a run costs, by formula: floating-point operations of its matrix products.

For one pair, with t positions of its title and p encoded patches, S = t + p, hidden size D, L blocks with MLPs of width
I, patches of C numbers and a vocabulary of V tokens, a forward pass takes

    encoder   E + L (S (8 D^2 + 4 D I) + 4 S^2 D)
              E = 2 p C D; with patch_embedding=convolutional the products of its layers, of the whole photo
    MLM       w (2 D^2 + 2 D V)             for each of w words asked for
    GMLM      w (G + 2 D V)                 G = 6 D^2; with global_head=linear 4 D^2
    MIM       q 2 D C                       for each of q patches asked for
              q (6 D^2 + 2 D C + 4 S D) + 4 S D^2   with patch_masking=drop, by its decoder
    GMIM      q (G + 2 D C)
    ITM       4 D                           with itm_input=whole also the encoder, once more, on the whole pair
    agreement the encoder, on each of two views; if it is the only task, nothing else

and training takes three times as much, less what a gradient of photos would take, which none needs: 2 p C D, or that of
the first convolution. Padding and what is missing cost nothing. What is no product of matrices (norms, softmax, the
optimiser) is not counted, nor what is done once a batch, as agreement's product of all views with all.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from item_embed.config import MASKED_TASKS, ModelSettings, RunConfig
from item_embed.objectives.batch import PretrainingBatch


@dataclass(frozen=True)
class Lengths:
    """How much of each of B pairs is encoded, and how much is asked for; (B,) each.

    Attributes:
        title: positions of the title, [CLS] and [SEP] included.
        photo: patches encoded.
        words: tokens predicted.
        patches: patches predicted.
        judged: 1 where ITM judges the pair, else 0.
        whole: patches that it would have with nothing masked.
        view_title: positions of the title in each of the two views of agreement, (B, 2); without agreement (B, 0).
        view_photo: patches encoded in each, (B, 2) or (B, 0).
    """

    title: NDArray[np.float64]
    photo: NDArray[np.float64]
    words: NDArray[np.float64]
    patches: NDArray[np.float64]
    judged: NDArray[np.float64]
    whole: NDArray[np.float64]
    view_title: NDArray[np.float64]
    view_photo: NDArray[np.float64]

    @classmethod
    def of(cls, batch: PretrainingBatch, config: RunConfig) -> "Lengths":
        """Those of a batch of a run."""
        left_out = batch.background | batch.photo_missing[:, None]
        views = batch.views
        none = np.zeros((len(batch), 0))
        masked = batch.masked_patches if config.objectives.patch_masking == "drop" else torch.zeros_like(left_out)
        return cls(
            title=_sum(~batch.token_padding),
            photo=_sum(~(left_out | masked)),
            words=_sum(batch.predicted_tokens),
            patches=_sum(batch.predicted_patches),
            judged=batch.judged_pairs.double().numpy(),
            whole=_sum(~left_out),
            view_title=none if views is None else _sum(~views.token_padding).reshape(2, -1).T,
            view_photo=none if views is None else _sum(~views.left_out).reshape(2, -1).T,
        )


def encoder_flops(model: ModelSettings, title: NDArray[np.float64], photo: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the encoder's forward pass: what embedding takes.

    Args:
        model: the size.
        title: (B,) positions of each title.
        photo: (B,) patches encoded of each photo.

    Examples:
        >>> float(encoder_flops(RunConfig.load("tiny").model, np.array([14.0]), np.array([20.0]))[0]) / 1e6
        45.815808
    """
    d, s = model.hidden_size, title + photo
    block = s * (8 * d * d + 4 * d * model.intermediate_size) + 4 * s * s * d
    return photo_flops(model, photo) + model.num_hidden_layers * block


def photo_flops(model: ModelSettings, photo: NDArray[np.float64]) -> NDArray[np.float64]:
    """(...) what turns (...) encoded patches into vectors: of each patch, or of the whole photo where there is one."""
    d = model.hidden_size
    if model.patch_embedding == "linear":
        return np.asarray(2.0 * photo * 3 * model.patch_size**2 * d, np.float64)
    return np.where(photo > 0, sum(_convolutions(model)) + 2.0 * model.patches * d * d, 0.0)


def _convolutions(model: ModelSettings) -> list[int]:
    """The layers of a convolutional stem, for one photo: 3 x 3 products for each pixel that they make."""
    halvings = model.patch_size.bit_length() - 1
    widths = [3, *(model.hidden_size >> left for left in reversed(range(halvings)))]
    pixels = [model.image_size[0] * model.image_size[1] >> 2 * (layer + 1) for layer in range(halvings)]
    return [18 * a * b * n for a, b, n in zip(widths[:-1], widths[1:], pixels, strict=True)]


def _photo_gradient(model: ModelSettings, photo: NDArray[np.float64]) -> NDArray[np.float64]:
    """(...) what a gradient of (...) patches of photos would take."""
    if model.patch_embedding == "linear":
        return photo_flops(model, photo)
    return np.where(photo > 0, float(_convolutions(model)[0]), 0.0)


def forward_flops(config: RunConfig, vocab_size: int, lengths: Lengths) -> NDArray[np.float64]:
    """(B,) of the forward pass of a training step, for each pair: the encoder and the heads that have a weight."""
    d, c = config.model.hidden_size, 3 * config.model.patch_size**2
    active = config.objectives.weights.active()
    joined = 4 * d * d if config.objectives.global_head == "linear" else 6 * d * d
    length = lengths.title + lengths.photo
    asked = lengths.patches
    if config.objectives.patch_masking == "drop":
        mim = asked * (6 * d * d + 2 * d * c + 4 * length * d) + 4 * length * d * d * (asked > 0)
    else:
        mim = asked * 2 * d * c
    itm = 4 * d * lengths.judged
    if config.objectives.itm_input == "whole":
        itm = itm + lengths.judged * encoder_flops(config.model, lengths.title, lengths.whole)
    heads = {
        "itm": itm,
        "mlm": lengths.words * (2 * d * d + 2 * d * vocab_size),
        "mim": mim,
        "gmlm": lengths.words * (joined + 2 * d * vocab_size),
        "gmim": asked * (joined + 2 * d * c),
    }
    heads["agreement"] = encoder_flops(config.model, lengths.view_title, lengths.view_photo).sum(axis=1)
    masked = any(name in active for name in MASKED_TASKS)
    total = encoder_flops(config.model, lengths.title, lengths.photo) * masked
    for name in active:
        total = total + heads[name]
    return total


def training_flops(config: RunConfig, vocab_size: int, lengths: Lengths) -> float:
    """Of a training step, forward and backward, per pair.

    Args:
        config: of the run.
        vocab_size: tokens of the trained vocabulary.
        lengths: of the pairs to take the mean over, as `Lengths.of` reads them from a batch.

    Examples:
        >>> training_flops(config, 6000, Lengths.of(batch, config)) / 1e9  # doctest: +SKIP
        0.19
    """
    active = config.objectives.weights.active()
    free = _photo_gradient(config.model, lengths.view_photo).sum(axis=1)
    if any(name in active for name in MASKED_TASKS):
        free = free + _photo_gradient(config.model, lengths.photo)
    if "itm" in active and config.objectives.itm_input == "whole":
        free = free + lengths.judged * _photo_gradient(config.model, lengths.whole)
    return float(np.mean(3 * forward_flops(config, vocab_size, lengths) - free))


def _sum(mask: Tensor) -> NDArray[np.float64]:
    """(B, n) True or False to (B,)."""
    found: NDArray[np.float64] = mask.sum(dim=1).double().numpy()
    return found
