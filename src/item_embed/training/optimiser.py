"""AdamW with warm-up and cosine decay, and how many kernels a CPU keeps."""

import math
import os

import torch
from torch import nn

from item_embed.config import TrainingSettings

# Embeddings of words by the names that ITEm, RoBERTa and CLIP give them.
_WORDS = ("word", "word_embeddings", "token_embedding")


def make_optimizer(model: nn.Module, settings: TrainingSettings) -> torch.optim.AdamW:
    """AdamW (arXiv 1711.05101); biases, norms, embeddings of positions and other vectors are not decayed."""
    matrices = {
        id(module.weight)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) or (isinstance(module, nn.Embedding) and name.endswith(_WORDS))
    }
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if id(p) in matrices], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if id(p) not in matrices], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas, fused=True)


def learning_rate(step: int, settings: TrainingSettings) -> float:
    """Linear warm-up, then a cosine to zero (arXiv 1608.03983); a function of the step, so that nothing is resumed.

    Examples:
        >>> settings = TrainingSettings(steps=100, warmup_steps=10, learning_rate=1.0)
        >>> learning_rate(4, settings), learning_rate(10, settings)
        (0.5, 1.0)
    """
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / (settings.steps - settings.warmup_steps)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def keep_few_kernels() -> None:
    """Let oneDNN, torch's matrix library on a CPU, keep 128 kernels instead of 1,024, unless the environment says.

    It makes one for each shape, and every batch has another number of tokens: some 350 MB of kernels that hardly
    anything asks for again. With 128, a step of `tiny` makes 50 new ones; with 1,024, 43. For commands, before anything
    is computed: later it has no effect.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")
