"""Masked image modelling: the masked patch j from its own output h_j."""

import torch
import torch.nn.functional as F
from torch import Tensor

from item_embed.model.heads import MIMDecoderHead, MIMHead
from item_embed.objectives.loss import Loss

#: MAE's constant: a uniform patch has no deviation to divide by.
_EPSILON = 1e-6


def mim_loss(head: MIMHead, hidden: Tensor, patches: Tensor, kind: str = "l2") -> Loss:
    """Distance between constructed and true patches (SimMIM, MAE).

        loss = sum over masked j of mean over pixels c of |head(h_j)_c - x_jc|     (l1; squared: l2)

    Args:
        head: (M, D) to pixels (M, C).
        hidden: the outputs h_j of the masked positions, (M, D).
        patches: the true patches x_j, (M, C); see `patch_targets`.
        kind: `l1` or `l2`.

    Returns:
        The loss, with the metric `mim_error`, the same number.
    """
    return patch_loss("mim", head(hidden), patches, kind)


def decoded_mim_loss(
    head: MIMDecoderHead,
    *,
    queries: Tensor,
    index: Tensor,
    padding: Tensor,
    memory: Tensor,
    absent: Tensor,
    patches: Tensor,
    kind: str = "l2",
) -> Loss:
    """`mim_loss` where masked patches are not encoded: a decoder asks for each in the encoder's outputs (CrossMAE).

    Args:
        head: to pixels (M, C).
        queries: the embedding of a masked patch at each position, (P, D).
        index: the masked patches of each pair that has any, (R, Q), in order.
        padding: (R, Q) True where `index` asks for nothing.
        memory: the outputs of each such pair's sequence, (R, S, D).
        absent: (R, S) True where that is padding.
        patches: the true patches, (M, C), pair by pair.
        kind: `l1` or `l2`.

    Returns:
        The loss, with the metric `mim_error`, the same number.
    """
    return patch_loss("mim", head(queries, index, padding, memory, absent), patches, kind)


def patch_loss(name: str, constructed: Tensor, patches: Tensor, kind: str) -> Loss:
    """Distance of constructed patches (M, C) from true ones (M, C), the mean over C and the sum over M."""
    distance = F.l1_loss if kind == "l1" else F.mse_loss
    total = distance(constructed.float(), patches, reduction="sum") / patches.shape[-1]
    return Loss(total, len(patches), {f"{name}_error": total.detach()})


def patch_targets(patches: Tensor, kind: str) -> Tensor:
    """What a patch is to be constructed as: `raw` pixels, or pixels `normalized` within the patch (MAE).

    Args:
        patches: (..., C) pixels in [-1, 1].
        kind: `raw` or `normalized`.
    """
    if kind == "raw":
        return patches
    variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)
    return (patches - mean) / (variance + _EPSILON).sqrt()
