"""Agreement: two views of one product, each changed at random, are nearer to each other than to other products.

What masked tasks leave open is what cosine between two vectors means: a vector may hold every word and every patch,
and yet lie where it likes. This task asks for what search asks for.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from item_embed.objectives.loss import Loss


def nt_xent(
    first: Tensor, second: Tensor, temperature: float, kinds: Tensor | None = None, alike: Tensor | None = None
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

    Returns:
        The loss over 2 B views, with the metric `view_top1`, how often the other view is the nearest of A_i.

    Example:
        >>> z = torch.eye(2)
        >>> float(nt_xent(z, z, temperature=1.0).metrics["view_top1"])
        4.0
    """
    b = len(first)
    with torch.autocast(first.device.type, enabled=False):  # bf16 tells no cosines apart that differ by 0.004
        z = F.normalize(torch.cat([first, second]).float(), dim=-1)
        scores = z @ z.T / temperature
    left_out = torch.zeros(b, b, dtype=torch.bool, device=z.device)
    if kinds is not None:
        left_out |= kinds[:, None] != kinds[None, :]
    if alike is not None:
        left_out |= alike
    left_out.fill_diagonal_(False)
    left_out = left_out.repeat(2, 2).fill_diagonal_(True)
    scores = scores.masked_fill(left_out, float("-inf"))
    other = torch.arange(2 * b, device=z.device).roll(b)
    right = (scores.argmax(dim=-1) == other).sum().detach() if b else scores.sum().detach()
    return Loss(F.cross_entropy(scores, other, reduction="sum"), 2 * b, {"view_top1": right})
