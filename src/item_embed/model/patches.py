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


def hidden_patches(masked: Tensor, pixel_values: Tensor, patch_size: int) -> Tensor:
    """(B, P) True where a patch is masked, to (B, 1, height, width) True where a pixel is."""
    b, _, height, width = pixel_values.shape
    grid = masked.view(b, 1, height // patch_size, width // patch_size)
    return grid.repeat_interleave(patch_size, dim=2).repeat_interleave(patch_size, dim=3)


@dataclass(frozen=True)
class KeptPatches:
    """The patches that are left where some are left out, packed to the front.

    Attributes:
        index: by number, in their order, (B, N); padding names any other patch, none twice.
        padding: (B, N) True where a row keeps fewer than N.
    """

    index: Tensor
    padding: Tensor


def kept_patches(left_out: Tensor) -> KeptPatches:
    """What (B, P), True where a patch is left out, leaves; N is the most that a row keeps.

    Examples:
        >>> kept_patches(torch.tensor([[True, False, False], [True, True, True]])).index.tolist()
        [[1, 2], [0, 1]]
    """
    most = max((~left_out).sum(dim=1).tolist(), default=0)
    index = left_out.byte().argsort(dim=1, stable=True)[:, :most]
    return KeptPatches(index, left_out.gather(1, index))
