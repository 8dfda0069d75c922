"""Models as large as ITEm's encoder: sizes are chosen so that parameters come as near as a shape allows."""

from bisect import bisect_left
from collections.abc import Callable, Sequence

import torch
from torch import nn


def parameters(model: nn.Module) -> int:
    """How many numbers a model learns; weights that two of its parts share count once."""
    return sum(parameter.numel() for parameter in model.parameters())


def nearest_size(make: Callable[[int], nn.Module], sizes: Sequence[int], wanted: int) -> int:
    """The size whose model comes nearest to a number of parameters.

    Args:
        make: builds a model of a size; larger sizes have more parameters. Nothing is put in memory.
        sizes: to choose from, ascending.
        wanted: parameters.

    Examples:
        >>> nearest_size(lambda width: nn.Linear(width, width, bias=False), range(1, 100), wanted=70)
        8
    """

    def count(size: int) -> int:
        with torch.device("meta"):
            return parameters(make(size))

    place = bisect_left(sizes, wanted, key=count)
    return min(sizes[max(0, place - 1) : place + 1], key=lambda size: abs(count(size) - wanted))
