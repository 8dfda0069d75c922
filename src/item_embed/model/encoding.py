"""Photos and titles through a model: h_CLS of each product, of length 1."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from item_embed.model.encoder import ItemModel
from item_embed.model.processor import ItemProcessor


def unit_vectors(
    model: ItemModel,
    processor: ItemProcessor,
    images: Sequence[Image.Image | None],
    titles: Sequence[str | None],
    precision: Literal["fp32", "bf16"],
) -> Tensor:
    """The vectors of some products, before any whitening.

    Args:
        model: the encoder; its device is where all is computed.
        processor: the one it was trained with.
        images: B photos, upright and RGB; None where there is none.
        titles: B titles; None where there is none.
        precision: what the encoder multiplies in.

    Returns:
        (B, D) float32 of length 1, on the model's device.

    Example:
        >>> unit_vectors(embedder.model, embedder.processor, [None], ["Red mug"], "fp32").shape  # doctest: +SKIP
        torch.Size([1, 192])
    """
    device = model.device
    inputs: dict[str, Tensor | None] = {name: value.to(device) for name, value in processor(titles, images).items()}
    if all(image is None for image in images):
        inputs["pixel_values"] = None  # titles alone need no patches
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        cls = model(**inputs).cls.float()
    return F.normalize(cls, dim=-1)
