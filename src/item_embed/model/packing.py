"""Sequences of unequal length, computed without most of the padding that a rectangle of them would have.

Shapes: B sequences, S positions of the longest. Masks: True means absent.
"""

from typing import NamedTuple

import torch
from torch import Tensor

# Sequences of similar length go through the blocks together: at most so many groups, of no fewer sequences, whose
# length is rounded up so that shapes repeat: matrix kernels are made, and kept, for each.
_GROUPS, _GROUP_ROWS, _LENGTH_STEP = 8, 8, 8

# Moving vectors to their groups and back costs about so large a share of what the blocks do.
_WORTH = 0.05


class Group(NamedTuple):
    """Sequences that go through the blocks together.

    Attributes:
        places: the positions taken, by number in (B * S), (R, L).
        absent: which of them are absent after all, (R, L).
    """

    places: Tensor
    absent: Tensor


class Ragged(NamedTuple):
    """Sequences of any length, one after the other and nothing between: what attention has to know of them.

    Attributes:
        bounds: where each begins, and the end of the last, (B + 1,) int32.
        longest: positions of the longest.
    """

    bounds: Tensor
    longest: int


def groups(absent: Tensor) -> list[Group] | None:
    """Cut sequences into groups of similar length; None where that saves too little.

    What is present of a sequence moves to its front.

    Args:
        absent: (B, S) True where a position is no part of its sequence.

    Example:
        >>> lengths = torch.tensor([[5]] * 8 + [[37]] * 8)
        >>> [tuple(group.places.shape) for group in groups(torch.arange(37) >= lengths)]
        [(8, 8), (8, 37)]
    """
    b, s = absent.shape
    cut = length_groups((~absent).sum(dim=1).tolist())
    if sum(len(rows) * length for rows, length in cut) > (1 - _WORTH) * b * s:
        return None
    order = absent.byte().argsort(dim=1, stable=True)
    found = []
    for numbers, length in cut:
        rows = torch.tensor(numbers, device=absent.device)[:, None]
        columns = order[rows[:, 0], :length]
        found.append(Group(rows * s + columns, absent[rows, columns]))
    return found


def length_groups(lengths: list[int]) -> list[tuple[list[int], int]]:
    """Sequences by length, shortest first, cut into groups: the sequences of each, and the length that holds them."""
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    size = max(_GROUP_ROWS, -(-len(order) // _GROUPS))
    groups = (order[start : start + size] for start in range(0, len(order), size))
    return [(rows, min(lengths[order[-1]], -(-lengths[rows[-1]] // _LENGTH_STEP) * _LENGTH_STEP)) for rows in groups]
