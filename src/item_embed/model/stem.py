"""A convolutional stem: patches that are described by what is in and around them, in place of one linear map."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from item_embed.model.configuration import ItemConfig

_GROUP = 16  # channels that a norm takes together


class ConvolutionalStem(nn.Module):
    """Photos to a vector for each patch, by convolutions of stride 2 (arXiv 2106.14881).

    Each halves both sides until a position is a patch wide, the last as wide as the encoder and each before it half as
    wide as the next; a linear map follows. Norms are over the positions of one photo, 16 channels together, or all
    where 16 does not divide them (group normalisation, arXiv 1803.08494). The paper's are over batches; here what is
    made of a product must not depend on what it is seen with, nor a batch on how it is split.

    Args:
        config: `patch_size` is a power of two, `hidden_size` divisible by half of it.

    Examples:
        >>> stem = ConvolutionalStem(ItemConfig(patch_size=16, hidden_size=64))
        >>> stem(torch.zeros(2, 3, 80, 64)).shape
        torch.Size([2, 20, 64])
    """

    def __init__(self, config: ItemConfig) -> None:
        super().__init__()
        halvings = config.patch_size.bit_length() - 1
        widths = [3, *(config.hidden_size >> left for left in reversed(range(halvings)))]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(inputs, outputs, kernel_size=3, stride=2, padding=1) for inputs, outputs in pairwise(widths)
        )
        self.norms = nn.ModuleList(
            nn.GroupNorm(width // _GROUP if width % _GROUP == 0 else 1, width, eps=config.layer_norm_eps)
            for width in widths[1:]
        )
        self.out = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """(B, 3, height, width) in [-1, 1] -> (B, P, D), row by row as `patchify` cuts them."""
        x = pixel_values.contiguous(memory_format=torch.channels_last)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = F.relu(norm(convolution(x)))
        return self.out(x.flatten(2).transpose(1, 2))  # type: ignore[no-any-return]
