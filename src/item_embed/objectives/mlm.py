"""Masked language modelling: the masked token i from its own output h_i."""

from torch import Tensor

from item_embed.model.heads import MLMHead
from item_embed.objectives.loss import Loss
from item_embed.objectives.vocabulary import token_loss


def mlm_loss(head: MLMHead, hidden: Tensor, vocabulary: Tensor, tokens: Tensor) -> Loss:
    """Cross-entropy of the masked tokens (BERT, arXiv 1810.04805).

        loss = - sum over masked i of log softmax(head(h_i))[w_i]

    Args:
        head: (M, D) to vocabulary scores (M, V).
        hidden: the outputs h_i of the masked positions, (M, D).
        vocabulary: word embeddings, the tied decoder's weights, (V, D).
        tokens: the tokens w_i that stood there, (M,).

    Returns:
        The loss, with the metric `mlm_top1`.
    """
    return token_loss("mlm", head.transform(hidden), vocabulary, head.decoder.bias, tokens)
