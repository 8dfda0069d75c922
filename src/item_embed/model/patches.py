"""Patches of photos: cutting them out, and packing those that are kept where some are left out.

Shapes: B photos, P patches of each, N the most that one keeps, C numbers in a patch. Masks: True means left out.
"""

from dataclasses import dataclass

from torch import Tensor


def patchify(pixel_values: Tensor, patch_size: int) -> Tensor:
    """Cut photos into square patches, row by row.

    Args:
        pixel_values: (B, 3, height, width), both sides multiples of `patch_size`.
        patch_size: in pixels.

    Returns:
        (B, P, 3 * patch_size ** 2), channel first within a patch.
    """
    b, c, height, width = pixel_values.shape
    rows, columns = height // patch_size, width // patch_size
    x = pixel_values.reshape(b, c, rows, patch_size, columns, patch_size)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(b, rows * columns, c * patch_size**2)


def patches_at(pixel_values: Tensor, patch_size: int, pair: Tensor, position: Tensor) -> Tensor:
    """`patchify(pixel_values, patch_size)[pair, position]`, (..., C), without cutting out the others."""
    b, c, height, width = pixel_values.shape
    rows, columns = height // patch_size, width // patch_size
    x = pixel_values.reshape(b, c, rows, patch_size, columns, patch_size).permute(0, 2, 4, 1, 3, 5)
    return x[pair, position // columns, position % columns].flatten(-3)


@dataclass(frozen=True)
class KeptPatches:
    """The patches that are left where some are left out, packed to the front.

    Attributes:
        index: by number, in their order, (B, N); padding names any other patch, none twice.
        padding: (B, N) True where a row keeps fewer than N.
        counts: how many each row keeps, B of them.
    """

    index: Tensor
    padding: Tensor
    counts: list[int]


def kept_patches(left_out: Tensor) -> KeptPatches:
    """What (B, P), True where a patch is left out, leaves; N is the most that a row keeps.

    Example:
        >>> kept_patches(torch.tensor([[True, False, False], [True, True, True]])).index.tolist()
        [[1, 2], [0, 1]]
    """
    counts = (~left_out).sum(dim=1).tolist()
    index = left_out.byte().argsort(dim=1, stable=True)[:, : max(counts, default=0)]
    return KeptPatches(index, left_out.gather(1, index), counts)


# Rows of similar length go through the blocks together: at most so many groups, of no fewer rows, whose length is
# rounded up so that shapes repeat.
_GROUPS, _GROUP_ROWS, _LENGTH_STEP = 8, 8, 8


def length_groups(lengths: list[int]) -> list[tuple[list[int], int]]:
    """Rows by length, shortest first, cut into groups: the rows of each, and the length that holds all of them."""
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    size = max(_GROUP_ROWS, -(-len(order) // _GROUPS))
    groups = (order[start : start + size] for start in range(0, len(order), size))
    return [(rows, min(lengths[order[-1]], -(-lengths[rows[-1]] // _LENGTH_STEP) * _LENGTH_STEP)) for rows in groups]
