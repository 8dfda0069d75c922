"""Which attention is faster on a CPU: torch's SDPA, or the plain formula, in fp32 and in bf16?

    OMP_NUM_THREADS=1 python benchmarks/attention_cpu.py

Times both ways to compute scaled dot-product attention with a mask over the keys: forward alone, as in embedding, and
forward with backward, as in training. By default at 37 positions (17 of a title and the 20 patches of `tiny`) and at
196 (the patches of a photo of 224 x 224 pixels). The ways take turns within each round, so that a busy machine slows
both alike. Medians over the rounds are printed, and how many times as fast as SDPA the plain formula is.

`plain` is `item_embed.model.encoder.plain_attention`, bf16 is autocast as in a training step.
The result, and what follows from it: docs/decisions/0003-attention-on-cpu.md.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from item_embed.model.encoder import plain_attention

Attention = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
_WARM_UP = 2  # rounds that fill caches and allocators


def sdpa(q: Tensor, k: Tensor, v: Tensor, attended: Tensor) -> Tensor:
    """Torch's own choice of kernel: on a CPU its flash kernel."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=attended)


WAYS: dict[str, Attention] = {"sdpa": sdpa, "plain": plain_attention}


def main() -> None:
    """Time both ways at every shape and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--width", type=int, default=64, help="of a head")
    parser.add_argument("--positions", type=int, nargs="+", default=[37, 196])
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, 1 thread")
    print(f"batch {arguments.batch}, heads {arguments.heads}, width {arguments.width}; milliseconds\n")
    print("| positions | precision | pass | sdpa | plain | sdpa / plain |\n|---|---|---|---|---|---|")
    for positions in arguments.positions:
        shape = (arguments.batch, arguments.heads, positions, arguments.width)
        for dtype, precision in ((torch.float32, "fp32"), (torch.bfloat16, "bf16")):
            for name, backward in (("forward", False), ("forward + backward", True)):
                times = measure(shape, dtype, backward, arguments.rounds)
                cells = " | ".join(f"{times[way] * 1e3:.1f}" for way in WAYS)
                print(f"| {positions} | {precision} | {name} | {cells} | {times['sdpa'] / times['plain']:.2f} |")


def measure(shape: tuple[int, int, int, int], dtype: torch.dtype, backward: bool, rounds: int) -> dict[str, float]:
    """Median seconds of each way, one after the other within every round."""
    torch.manual_seed(0)
    inputs = [torch.randn(shape).to(dtype).requires_grad_(backward) for _ in range(3)]
    attended = torch.ones(shape[0], 1, 1, shape[2], dtype=torch.bool)
    attended[::4, ..., -5:] = False  # some titles are shorter
    gradient = torch.randn(shape).to(dtype)
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(_WARM_UP + rounds):
        for name, way in WAYS.items():
            took = _once(way, inputs, attended, gradient)
            if number >= _WARM_UP:
                seconds[name].append(took)
    return {name: statistics.median(times) for name, times in seconds.items()}


def _once(way: Attention, inputs: list[Tensor], attended: Tensor, gradient: Tensor) -> float:
    for tensor in inputs:
        tensor.grad = None
    q, k, v = inputs
    began = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16) if q.dtype == torch.bfloat16 else nullcontext():
        out = way(q, k, v, attended)
    if out.requires_grad:
        out.backward(gradient.to(out.dtype))
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
