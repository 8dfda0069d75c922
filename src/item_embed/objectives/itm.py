"""Image-text matching: is this the title's own photo?"""

import torch.nn.functional as F
from torch import Tensor

from item_embed.model.heads import ITMHead
from item_embed.objectives.loss import Loss


def itm_loss(head: ITMHead, cls: Tensor, matched: Tensor) -> Loss:
    """Binary cross-entropy of matched against mismatched pairs, from h_CLS (ViLBERT, ITEm).

        loss = - sum over pairs b of log softmax(head(h_CLS_b))[matched_b]

    Args:
        head: (M, D) to the scores of (mismatched, matched), (M, 2).
        cls: h_CLS of pairs that have a title and a photo, (M, D).
        matched: (M,) True where the photo is the title's own.

    Returns:
        The loss, with the metric `itm_accuracy`.
    """
    scores = head(cls).float()
    target = matched.long()
    return Loss(
        F.cross_entropy(scores, target, reduction="sum"),
        len(target),
        {"itm_accuracy": (scores.argmax(dim=-1) == target).sum().detach()},
    )
