"""The heads and losses once more, as plain loops over numbers."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from item_embed.model.configuration import ItemConfig
from item_embed.model.heads import ModulatedCLS

Vector = list[float]

_SIZES: dict[str, Any] = {
    "image_size": (4, 4),
    "patch_size": 2,
    "hidden_size": 4,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "vocab_size": 9,
}
CONFIG = ItemConfig(**_SIZES)
GLOBAL_HEADS = {kind: ItemConfig(**_SIZES, global_head=kind) for kind in ("span", "linear", "conditioned")}


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


def joined(layers: nn.Module, h: Vector, p: Vector) -> Vector:
    """What a global head's decoder reads of [CLS] and a position."""
    if isinstance(layers, nn.Linear):
        return linear(layers.weight, layers.bias, h + p)
    if isinstance(layers, ModulatedCLS):
        modulation = linear(layers.scale_shift.weight, layers.scale_shift.bias, p)
        scales, shifts = modulation[: len(h)], modulation[len(h) :]
        modulated = [(1 + scale) * v + shift for v, scale, shift in zip(h, scales, shifts, strict=True)]
        return linear(layers.out.weight, layers.out.bias, modulated)
    assert isinstance(layers, nn.Sequential)
    return dense(layers[1], dense(layers[0], h + p))


def cross_entropy(scores: Vector, target: int) -> float:
    return math.log(sum(math.exp(s) for s in scores)) - scores[target]


def best(scores: Vector) -> int:
    return max(range(len(scores)), key=lambda i: scores[i])


def distance(a: Sequence[float], b: Sequence[float], kind: str) -> float:
    """Mean over the numbers of a patch."""
    return sum(abs(x - y) if kind == "l1" else (x - y) ** 2 for x, y in zip(a, b, strict=True)) / len(b)


def slopes(value: Callable[[], float], tensor: Tensor, step: float = 1e-5) -> Tensor:
    """The gradient of a number that depends on a float64 tensor, by central differences in each of its entries."""
    assert tensor.dtype == torch.float64
    entries, found = tensor.detach().view(-1), []
    for place, entry in enumerate(entries.tolist()):
        ends = []
        for moved in (entry + step, entry - step):
            entries[place] = moved
            ends.append(value())
        entries[place] = entry
        found.append((ends[0] - ends[1]) / (2 * step))
    return torch.tensor(found, dtype=torch.float64).view_as(tensor)
