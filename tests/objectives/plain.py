"""The heads and losses once more, as plain loops over numbers."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from item_embed.model.configuration import ItemConfig

Vector = list[float]

CONFIG = ItemConfig(
    image_size=(4, 4),
    patch_size=2,
    hidden_size=4,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=8,
    vocab_size=9,
)


def randomised(module: nn.Module, seed: int) -> nn.Module:
    """The module with every parameter drawn anew, biases and norms too."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return module


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def rows(tensor: Tensor) -> list[Vector]:
    result: list[Vector] = tensor.tolist()
    return result


def linear(weight: Tensor, bias: Tensor, x: Vector) -> Vector:
    return [
        sum(w * v for w, v in zip(row, x, strict=True)) + b for row, b in zip(rows(weight), bias.tolist(), strict=True)
    ]


def gelu(x: Vector) -> Vector:
    return [v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x]


def layer_norm(norm: nn.LayerNorm, x: Vector) -> Vector:
    mean = sum(x) / len(x)
    variance = sum((v - mean) ** 2 for v in x) / len(x)
    return [
        (v - mean) / math.sqrt(variance + norm.eps) * w + b
        for v, w, b in zip(x, norm.weight.tolist(), norm.bias.tolist(), strict=True)
    ]


def dense(layers: nn.Module, x: Vector) -> Vector:
    """Linear, GELU, LayerNorm."""
    assert isinstance(layers, nn.Sequential)
    first, _, norm = layers
    assert isinstance(first, nn.Linear)
    assert isinstance(norm, nn.LayerNorm)
    return layer_norm(norm, gelu(linear(first.weight, first.bias, x)))


def cross_entropy(scores: Vector, target: int) -> float:
    return math.log(sum(math.exp(s) for s in scores)) - scores[target]


def best(scores: Vector) -> int:
    return max(range(len(scores)), key=lambda i: scores[i])


def distance(a: Sequence[float], b: Sequence[float], kind: str) -> float:
    """Mean over the numbers of a patch."""
    return sum(abs(x - y) if kind == "l1" else (x - y) ** 2 for x, y in zip(a, b, strict=True)) / len(b)
