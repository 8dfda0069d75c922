"""Sequences of unequal length, computed without the padding that a rectangle of them would have.

What is present moves together, one position after the other, and goes through norms, projections and MLPs so. Only
attention has to know where a sequence begins. Shapes: B sequences, S positions of the longest, N present positions of
all of them. Masks: True means absent.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

# Attention takes sequences of similar length together: at most so many groups, of no fewer sequences, whose length is
# rounded up so that shapes repeat, since a kernel is made for each. More groups spare little: at 224 pixels 5 % of
# attention, which is itself a few hundredths of the whole.
_GROUPS, _GROUP_ROWS, _LENGTH_STEP = 8, 8, 8

# Moving vectors together and back costs about so large a share of what the blocks do.
_WORTH = 0.05


class Ragged(NamedTuple):
    """Sequences one after the other, for a kernel that attends within each.

    Attributes:
        taken: the positions that are present, by number in (B * S), (N,).
        bounds: where each sequence begins, and the end of the last, (B + 1,) int32.
        longest: positions of the longest.
    """

    taken: Tensor
    bounds: Tensor
    longest: int


class Grouped(NamedTuple):
    """Sequences in groups of similar length, each a rectangle (R, L) while it attends.

    Attributes:
        taken: the positions that are present, by number in (B * S), group by group, (N,).
        place: where each lies in the rectangles, laid one after the other, (N,).
        absent: what else is in each rectangle, (R, L).
    """

    taken: Tensor
    place: Tensor
    absent: list[Tensor]

    @property
    def sizes(self) -> list[int]:
        """Positions of each rectangle."""
        return [absent.numel() for absent in self.absent]


def ragged(absent: Tensor) -> Ragged:
    """The present positions of (B, S), sequence by sequence."""
    present = ~absent
    (taken,) = present.flatten().nonzero(as_tuple=True)
    lengths = present.sum(dim=1)
    return Ragged(taken, F.pad(lengths.cumsum(0, dtype=torch.int32), (1, 0)), max(lengths.tolist(), default=0))


def grouped(absent: Tensor) -> Grouped | None:
    """The present positions of (B, S), group by group; None where a rectangle costs about as much.

    Examples:
        >>> lengths = torch.tensor([[5]] * 8 + [[37]] * 8)
        >>> found = grouped(torch.arange(37) >= lengths)
        >>> len(found.taken), [tuple(rectangle.shape) for rectangle in found.absent]
        (336, [(8, 8), (8, 37)])
    """
    b, s = absent.shape
    lengths = (~absent).sum(dim=1).tolist()
    if sum(lengths) >= (1 - _WORTH) * b * s:
        return None
    order = absent.byte().argsort(dim=1, stable=True)  # what is present of a sequence, then what is not
    taken, place, rectangles, start = [], [], [], 0
    for numbers, length in length_groups(lengths):
        rows = torch.tensor(numbers, device=absent.device)[:, None]
        columns = order[rows[:, 0], :length]
        rectangle = absent[rows, columns]
        (present,) = (~rectangle).flatten().nonzero(as_tuple=True)
        taken.append((rows * s + columns).flatten()[present])
        place.append(start + present)
        rectangles.append(rectangle)
        start += rectangle.numel()
    return Grouped(torch.cat(taken), torch.cat(place), rectangles)


def length_groups(lengths: list[int]) -> list[tuple[list[int], int]]:
    """Sequences by length, shortest first, cut into groups: the sequences of each, and the length that holds them."""
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    size = max(_GROUP_ROWS, -(-len(order) // _GROUPS))
    groups = (order[start : start + size] for start in range(0, len(order), size))
    return [(rows, min(lengths[order[-1]], -(-lengths[rows[-1]] // _LENGTH_STEP) * _LENGTH_STEP)) for rows in groups]


def take(x: Tensor, places: Tensor) -> Tensor:
    """`x[places]`, no place twice: (M, D), (N,) -> (N, D)."""
    taken: Tensor = _Take.apply(x, places)  # type: ignore[no-untyped-call]
    return taken


def put(x: Tensor, places: Tensor, size: int) -> Tensor:
    """The inverse of `take`, zero elsewhere: (N, D), (N,) -> (size, D)."""
    return x.new_zeros(size, *x.shape[1:]).index_copy(0, places, x)


class _Take(torch.autograd.Function):
    """Torch's own gradient of indexing adds up what comes to the same place, one row after the other."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.size = len(x)
        return x.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        return put(gradient, places, ctx.size), None
