"""Agreement: two views of one product, each changed at random, are nearer to each other than to other products.

What masked tasks leave open is what cosine between two vectors means: a vector may hold every word and every patch,
and yet lie where it likes. This task asks for what search asks for.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from item_embed.objectives.loss import Loss

#: Brings together the rows, (B, ...), of all that share a batch, in order, and tells where those given begin.
Gather = Callable[[Tensor], tuple[Tensor, int]]


def alone(rows: Tensor) -> tuple[Tensor, int]:
    """Gather where the batch is not shared: the rows are all there are."""
    return rows, 0


def nt_xent(
    first: Tensor,
    second: Tensor,
    temperature: float,
    kinds: Tensor | None = None,
    alike: Tensor | None = None,
    *,
    own: slice = slice(None),
) -> Loss:
    """NT-Xent, the normalised, temperature-scaled cross-entropy of SimCLR (arXiv 2002.05709, equation 1).

    With z the 2 B vectors at length 1 and j the other view of i's product,

        loss = - sum over i of log( exp(z_i z_j / t) / sum over k in A_i of exp(z_i z_k / t) )

    where A_i are j and the views of all other products that show what i shows (`kinds`), less those that are right
    answers, too (`alike`). Nothing is learnt from telling a photo from a title.

    Args:
        first: (B, D) a view of each product, of any length.
        second: (B, D) another view, in the same order.
        temperature: t.
        kinds: (B,) what both views of a product show; None: all the same.
        alike: (B, B) True where two products show the same and cannot be told apart; its diagonal does not matter.
        own: the products over whose views i the sum goes; all are told from. Sums of parts add up to the whole.

    Returns:
        The loss over the 2 B views, or those of `own`, with the metric `view_top1`, how often the other view is the
        nearest of A_i.

    Examples:
        >>> z = torch.eye(2)
        >>> float(nt_xent(z, z, temperature=1.0).metrics["view_top1"])
        4.0
    """
    b = len(first)
    with torch.autocast(first.device.type, enabled=False):  # bf16 tells no cosines apart that differ by 0.004
        z = F.normalize(torch.cat([first, second]).float(), dim=-1)
        scores = z.unflatten(0, (2, b))[:, own].flatten(0, 1) @ z.T / temperature
    left_out = torch.zeros(b, b, dtype=torch.bool, device=z.device)
    if kinds is not None:
        left_out |= kinds[:, None] != kinds[None, :]
    if alike is not None:
        left_out |= alike
    left_out.fill_diagonal_(False)
    places = torch.arange(2 * b, device=z.device)
    itself, other = (of.unflatten(0, (2, b))[:, own].flatten() for of in (places, places.roll(b)))
    left_out = left_out[own].repeat(2, 2).scatter_(1, itself[:, None], True)
    scores = scores.masked_fill(left_out, float("-inf"))
    right = (scores.argmax(dim=-1) == other).sum().detach() if b else scores.sum().detach()
    return Loss(F.cross_entropy(scores, other, reduction="sum"), len(other), {"view_top1": right})
