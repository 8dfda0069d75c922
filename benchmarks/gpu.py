"""What a CUDA GPU makes of pre-training: speed, share of what it can do, and what ten minutes of it are worth.

    python benchmarks/gpu.py                                                  # a drawn marketplace
    python benchmarks/gpu.py --catalog catalog --queries relist.parquet --out runs/gpu
    python benchmarks/gpu.py --no-pretrain                                    # the speed alone

It measures the ceiling, a large product of bf16 matrices; a ViLT of the size of `base`, compiled, at its best as in
benchmarks/training.py; then `small` (6 x 384) and `base` (12 x 768) in bf16 with empty and masked patches left out,
with compiled blocks and without. Sequences go through the blocks without any padding (`encoder.attends_ragged`).

- `ready`: products per second on batches that lie on the GPU. `of the ceiling` and `memory` are of these steps; matrix
  products are counted of real tokens only.
- `fed`: by the loader's worker processes as in a run, so with decoding and copies to the GPU. `GPU busy` is the time of
  all kernels in a window of such steps, by torch.profiler, over what as many steps took without the profiler.

Then `item pretrain` trains `small` for some minutes: as many steps as fit by the rate that was measured. With
`--queries` their groups are left out of the training, and `item evaluate` looks for them.
"""

import argparse
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from item_embed.catalog.store import Catalog
from item_embed.config import RunConfig
from item_embed.parallel import cores
from item_embed.training.batches import PretrainingData, batches
from training import SWITCHES, Contestant, Stage, describe, draw, warmed

_READY = 4  # batches that lie on the GPU


@dataclass
class Speed:
    """What was measured of a contestant.

    Attributes:
        contestant: its name.
        rate: products per second on batches that lie on the device.
        flops: operations per second there, of matrix products of real tokens.
        memory: most that was allocated there, bytes.
        fed: products per second with the loader; None where it was not measured.
        busy: share of that time in which kernels ran.
    """

    contestant: str
    rate: float
    flops: float
    memory: int
    fed: float | None = None
    busy: float | None = None


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"), help="of the drawn catalogue and the run")
    parser.add_argument("--catalog", type=Path, help="made by `item prepare`; by default a marketplace is drawn")
    parser.add_argument("--products", type=int, default=4000, help="of the drawn marketplace, two to four rows each")
    parser.add_argument("--batch", type=int, default=512, help="products of a step")
    parser.add_argument("--steps", type=int, default=20, help="of each window that is timed")
    parser.add_argument("--workers", type=int, default=cores(), help="processes that prepare batches")
    parser.add_argument("--minutes", type=float, default=10, help="of pre-training")
    parser.add_argument("--queries", type=Path, help="second listings, as `item evaluate` takes them")
    parser.add_argument("--no-pretrain", action="store_true", help="only the speed")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("This benchmark is about a CUDA GPU, and torch finds none here; benchmarks/training.py runs on a CPU.")
    arguments.out.mkdir(parents=True, exist_ok=True)
    catalog = Catalog(arguments.catalog) if arguments.catalog else _drawn(arguments.out, arguments.products)
    stage = Stage.build(catalog, arguments.batch, _READY, torch.device("cuda"))
    most = ceiling(stage.device)
    print(f"{describe(stage)}\nceiling {most / 1e12:.0f} TFLOP/s in bf16; {arguments.workers} workers\n", flush=True)
    speeds = print_speeds(measure(stage, arguments.steps, arguments.workers), most)
    if not arguments.no_pretrain:
        small = next(speed.fed for speed in speeds if speed.fed is not None)  # the first: not compiled, as in a run
        run = Run(catalog.path, arguments.out / "run", arguments.queries, arguments.workers)
        run.pretrain(int(60 * arguments.minutes * small))
        run.evaluate()


def _drawn(folder: Path, products: int) -> Catalog:
    """The marketplace, drawn once."""
    made = folder / "catalog"
    return Catalog(made) if made.exists() else draw(folder, products)


def ceiling(device: torch.device, size: int = 8192, rounds: int = 20) -> float:
    """Operations per second of the product of two square matrices in bf16: the median, after as many to warm up."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(2 * rounds):
        _wait(device)
        began = time.perf_counter()
        torch.matmul(a, b)
        _wait(device)
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / statistics.median(seconds[rounds:])


def measure(stage: Stage, steps: int, workers: int) -> Iterator[Speed]:
    """All contestants, one after the other, so that each has the memory to itself; none that fails to compile."""
    vilt = stage.vilt("base", name="ViLT, base, compiled", precision="bf16", compiled=True)
    if (speed := on_ready_batches(vilt, steps)) is not None:
        yield speed
    del vilt
    for size in ("small", "base"):
        for compiled in (False, True):
            _empty(stage.device)
            name = f"ours, {size}{', compiled' if compiled else ''}"
            ours = stage.ours(size, SWITCHES["both"], name=name, precision="bf16", compiled=compiled)
            if (speed := on_ready_batches(ours, steps)) is not None:
                data = stage.data(fed_config(stage, size, 3 * steps, workers))
                speed.fed, speed.busy = fed_by_the_loader(ours, data, steps)
                yield speed
            del ours


def fed_config(stage: Stage, size: str, steps: int, workers: int) -> RunConfig:
    """Of a run with both switches and worker processes."""
    return stage.config(size, [*SWITCHES["both"], f"training.steps={steps}", f"training.workers={workers}"])


def on_ready_batches(contestant: Contestant, steps: int) -> Speed | None:
    """Train on batches that lie on the device; None where the contestant does not work here."""
    if not warmed([contestant]):
        return None
    rate = steps * contestant.products / window(contestant, islice(cycle(contestant.batches), steps))
    memory = torch.cuda.max_memory_allocated() if contestant.device.type == "cuda" else 0
    return Speed(contestant.name, rate, contestant.flops * rate, memory)


def fed_by_the_loader(contestant: Contestant, data: PretrainingData, steps: int) -> tuple[float, float]:
    """Train as a run does: products per second, and the share of the time in which kernels ran.

    Args:
        contestant: warm.
        data: of three windows.
        steps: of a window: one for the workers to get going, one that is timed, one that is profiled.
    """
    feed = (contestant.module.ready(parts[0], contestant.device) for parts in batches(data, 0))
    window(contestant, islice(feed, steps))
    seconds = window(contestant, islice(feed, steps))
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        window(contestant, islice(feed, steps))
    return steps * contestant.products / seconds, kernel_seconds(profiler) / seconds


def window(contestant: Contestant, feed: Iterable[tuple[Any, ...]]) -> float:
    """Seconds of training on these batches, until the device has done them; between them nothing waits for it."""
    _wait(contestant.device)
    began = time.perf_counter()
    for batch in feed:
        contestant.step(batch)
    _wait(contestant.device)
    return time.perf_counter() - began


def kernel_seconds(profiler: profile) -> float:
    """Time of all kernels on the GPU: without copies, and without the spans that only name what runs in them."""
    kernels = (
        event
        for event in profiler.events() or []
        if event.device_type.name == "CUDA" and not event.is_user_annotation and not event.name.startswith("Mem")
    )
    return float(sum(event.time_range.elapsed_us() for event in kernels)) / 1e6


def print_speeds(speeds: Iterable[Speed], most: float) -> list[Speed]:
    """Print the table row by row; the ratio to ViLT is of models of its size. Returns the rows."""
    columns = ["contestant", "ready, products/s", "TFLOP/s", "of the ceiling", "memory, GB", "x ViLT"]
    print("|", " | ".join([*columns, "fed, products/s", "GPU busy"]), "|\n" + "|---" * 8 + "|", flush=True)
    printed: list[Speed] = []
    for s in speeds:
        printed.append(s)
        vilt = printed[0] if "ViLT" in printed[0].contestant else None
        ratio = f"{s.rate / vilt.rate:.2f}" if vilt is not None and "base" in s.contestant else ""
        ready = [f"{s.rate:,.0f}", f"{s.flops / 1e12:.1f}", f"{s.flops / most:.1%}", f"{s.memory / 1e9:.1f}", ratio]
        fed = ["" if s.fed is None else f"{s.fed:,.0f}", "" if s.busy is None else f"{s.busy:.0%}"]
        print("|", " | ".join([s.contestant, *ready, *fed]), "|", flush=True)
    return printed


@dataclass(frozen=True)
class Run:
    """A pre-training run by the package's commands.

    Attributes:
        catalog: the catalogue's folder.
        folder: of the run.
        queries: second listings to look for, if there are any.
        workers: processes that prepare batches.
    """

    catalog: Path
    folder: Path
    queries: Path | None
    workers: int

    def pretrain(self, samples: int) -> None:
        """Train `small` with both switches on about so many pairs, and print what it took."""
        steps = max(2, samples // RunConfig.load("small").training.batch_size)
        warmup = min(RunConfig.load("small").training.warmup_steps, steps // 4)
        settings = [f"training.steps={steps}", f"training.warmup_steps={warmup}", f"training.workers={self.workers}"]
        left_out = [] if self.queries is None else ["--exclude-groups", str(self.queries)]
        options = ["--out", str(self.folder), "--config", "small", *left_out]
        began = time.monotonic()
        self._item("pretrain", str(self.catalog), *options, *SWITCHES["both"], *settings)
        minutes = (time.monotonic() - began) / 60
        print(
            f"\n| steps | minutes, start and validation included |\n|---|---|\n| {steps:,} | {minutes:.1f} |",
            flush=True,
        )

    def evaluate(self) -> None:
        """Print what `item evaluate` finds of the queries."""
        if self.queries is not None:
            print(flush=True)
            model = str(self.folder / "model")
            self._item("evaluate", model, str(self.catalog), "--queries", str(self.queries), "--json")

    def _item(self, *arguments: str) -> None:
        print("item", *arguments, file=sys.stderr, flush=True)
        code = "from item_embed.cli.main import main; main()"
        if subprocess.run([sys.executable, "-c", code, *arguments], check=False).returncode:
            sys.exit(f"item {arguments[0]} failed")


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _empty(device: torch.device) -> None:
    """Give back what the last contestant had, so that the peak is the next one's own."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


if __name__ == "__main__":
    main()
