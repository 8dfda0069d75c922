"""Cross-entropy over the vocabulary, whose scores are never in memory all at once.

The scores of M masked tokens over V words and their gradient are the largest tensors of a step: 480 MB each at
M = 4,000 and V = 30,000. Here they exist for some tokens at a time, and the gradient is taken while they do.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from item_embed.objectives.loss import Loss

_BLOCK = 1 << 24  # scores at once: 64 MB in fp32


def token_loss(
    name: str, features: Tensor, vocabulary: Tensor, bias: Tensor, tokens: Tensor, *, block: int = _BLOCK
) -> Loss:
    """Summed cross-entropy of masked tokens, and how often the best word is right.

        loss = - sum over i of log softmax(vocabulary @ x_i + bias)[w_i]

    Args:
        name: of the objective.
        features: x_i, (M, D).
        vocabulary: word embeddings, the tied decoder's weights, (V, D).
        bias: of the decoder, (V,).
        tokens: the right words w_i, (M,).
        block: most scores that are in memory at once.

    Returns:
        The loss, with the metric `NAME_top1`.
    """
    size = max(1, block // len(vocabulary))
    if len(tokens) <= size:
        total, right = _plain(features, vocabulary, bias, tokens)
    else:
        total, right = _InBlocks.apply(features, vocabulary, bias, tokens, size)  # type: ignore[no-untyped-call]
    return Loss(total, len(tokens), {f"{name}_top1": right})


def _plain(features: Tensor, vocabulary: Tensor, bias: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """The sum, and how many are right; all scores at once."""
    scores = F.linear(features, vocabulary, bias).float()
    return F.cross_entropy(scores, tokens, reduction="sum"), (scores.argmax(dim=-1) == tokens).sum().detach()


class _InBlocks(torch.autograd.Function):
    """`_plain` for `size` tokens at a time; the gradients are taken on the way forward, so nothing is done twice."""

    @staticmethod
    def forward(  # noqa: PLR0917 - torch passes them by position
        ctx: Any, features: Tensor, vocabulary: Tensor, bias: Tensor, tokens: Tensor, size: int
    ) -> tuple[Tensor, Tensor]:
        wanted = any(ctx.needs_input_grad)
        device = features.device.type
        fast = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else features.dtype
        x, words = features.to(fast), vocabulary.to(fast)
        total, right = features.new_zeros((), dtype=torch.float32), tokens.new_zeros(())
        of_x = torch.empty_like(x) if wanted else x
        of_words = torch.zeros_like(vocabulary, dtype=torch.float32) if wanted else vocabulary
        of_bias = torch.zeros_like(bias, dtype=torch.float32) if wanted else bias
        for part, asked, out in zip(x.split(size), tokens.split(size), of_x.split(size), strict=True):
            scores = F.linear(part, words, bias.to(fast)).float()
            right += (scores.argmax(dim=-1) == asked).sum()
            scores = F.log_softmax(scores, dim=-1)
            total += F.nll_loss(scores, asked, reduction="sum")
            if wanted:  # d loss / d scores = softmax - 1 at the right word
                gradient = scores.exp_()
                gradient[torch.arange(len(asked), device=asked.device), asked] -= 1
                of_bias += gradient.sum(dim=0)
                gradient = gradient.to(fast)
                torch.mm(gradient, words, out=out)
                of_words += gradient.T @ part
        ctx.save_for_backward(of_x, of_words, of_bias)
        ctx.types = (features.dtype, vocabulary.dtype, bias.dtype)
        ctx.mark_non_differentiable(right)
        return total, right

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        gradients = [(g * outer).to(kind) for g, kind in zip(ctx.saved_tensors, ctx.types, strict=True)]
        return *gradients, None, None
