"""A small encoder, and titles and photos for it."""

from typing import Any

import torch
from torch import Tensor

from item_embed.model.configuration import ItemConfig
from item_embed.model.encoder import ItemModel

CONFIG: dict[str, Any] = {
    "image_size": (24, 16),  # 3 x 2 patches
    "patch_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 70,
    "max_title_tokens": 10,
    "dropout": 0.0,
}


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def small_model() -> ItemModel:
    torch.manual_seed(0)
    model = ItemModel(ItemConfig(**CONFIG))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.train(False)
    return model


IDS = torch.tensor([[2, 11, 12, 13, 3], [2, 21, 3, 0, 0], [2, 3, 0, 0, 0]])
PADDING = IDS == 0
PHOTOS = drawn(3, 3, 24, 16).clamp(-1, 1)
