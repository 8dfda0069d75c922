"""Global masked language modelling: the masked token i from h_CLS and the position embedding p_i, nothing else."""

import torch
from torch import Tensor

from item_embed.model.heads import GMLMHead
from item_embed.objectives.loss import Loss
from item_embed.objectives.vocabulary import token_loss


def gmlm_loss(head: GMLMHead, cls: Tensor, position: Tensor, vocabulary: Tensor, tokens: Tensor) -> Loss:
    """Cross-entropy of the masked tokens, predicted by [CLS] alone (ITEm, arXiv 2311.02084).

        loss = - sum over masked i of log softmax(head(h_CLS, p_i))[w_i]

    Args:
        head: (M, D) and (M, D) to vocabulary scores (M, V).
        cls: h_CLS of the pair that each masked token belongs to, (M, D).
        position: position embeddings p_i of the masked tokens, (M, D).
        vocabulary: word embeddings, the tied decoder's weights, (V, D).
        tokens: the tokens w_i that stood there, (M,).

    Returns:
        The loss, with the metric `gmlm_top1`.
    """
    features = head.transform(torch.cat([cls, position], dim=-1))
    return token_loss("gmlm", features, vocabulary, head.decoder.bias, tokens)
