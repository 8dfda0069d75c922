"""What an objective returns: a sum and a count, so that parts of a batch add up to exactly the whole batch's mean."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Loss:
    """The loss of one objective over part of a batch.

    Only `total` is ever summed into what is optimised; `metrics` are logged.

    Attributes:
        total: sum of the loss over the predicted positions, a differentiable scalar.
        count: number of predicted positions.
        metrics: sums over the same positions, by name; divided by `count` they are means.
    """

    total: Tensor
    count: int
    metrics: dict[str, Tensor] = field(default_factory=dict)
