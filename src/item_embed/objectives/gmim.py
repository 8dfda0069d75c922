"""Global masked image modelling: the masked patch j from h_CLS and the position embedding p_j, nothing else."""

from torch import Tensor

from item_embed.model.heads import GMIMHead
from item_embed.objectives.loss import Loss
from item_embed.objectives.mim import patch_loss


def gmim_loss(head: GMIMHead, cls: Tensor, position: Tensor, patches: Tensor, kind: str = "l2") -> Loss:
    """Distance between true patches and those that [CLS] alone constructs (ITEm, arXiv 2311.02084).

        loss = sum over masked j of mean over pixels c of |head(h_CLS, p_j)_c - x_jc|     (l1; squared: l2)

    Args:
        head: (M, D) and (M, D) to pixels (M, C).
        cls: h_CLS of the pair that each masked patch belongs to, (M, D).
        position: position embeddings p_j of the masked patches, (M, D).
        patches: the true patches x_j, (M, C).
        kind: `l1` or `l2`.

    Returns:
        The loss, with the metric `gmim_error`, the same number.
    """
    return patch_loss("gmim", head(cls, position), patches, kind)
