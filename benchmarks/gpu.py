"""What a CUDA GPU makes of pre-training: speed, share of what it can do, and what ten minutes of it are worth.

    python benchmarks/gpu.py                                                  # a drawn marketplace
    python benchmarks/gpu.py --catalog catalog --queries relist.parquet --out runs/gpu
    python benchmarks/gpu.py --no-pretrain                                    # the speed alone

It measures the ceiling, a large product of bf16 matrices; a ViLT of the size of `base`, at its best as in
benchmarks/training.py; then `small` (6 x 384) and `base` (12 x 768) with empty and masked patches left out; all in bf16
with dropout as in a run, with compiled blocks and without. Our sequences go through the blocks without any padding
(`encoder.attends_ragged`). A batch is computed in one part, also where the shipped configuration has several. Rates are
medians of three windows of steps.

- `ready`: products per second on a few batches that lie on the GPU. `of the ceiling` is of these steps, their matrix
  products counted of real tokens only; `memory` too, the most that was allocated besides those batches.
- `fed`: by the loader's worker processes, so with decoding and copies to the GPU, in windows so long that what the
  workers hold ready counts little. `GPU busy` is the time of all kernels of a step, by torch.profiler, over what a step
  took without the profiler.

Between the steps of a window the script waits for nothing, but our forward pass and ViLT's wait for the GPU a few times
by themselves, where they ask how many tokens or patches there are (`nonzero`, `tolist`). A run does more than `fed`: it
reads the norm of the gradient in each step, measures each objective's now and then, logs, validates and writes
checkpoints.

Then `item pretrain` trains `small` for some minutes, with batches of the same size: as many steps as fit by the rate
that was measured. With `--queries` their groups are left out of the training, and `item evaluate` looks for them.
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
from models import Contestant, leaving_out, wait
from torch.profiler import profile, supported_activities

from item_embed.catalog.store import Catalog
from item_embed.config import ModelSettings, RunConfig
from item_embed.parallel import cores
from item_embed.training.batches import PretrainingData, batches
from item_embed.training.optimiser import keep_few_kernels
from training import SWITCHES, Stage, ceiling, describe, draw

_READY = 4  # batches that lie on the GPU
_WINDOWS = 3  # that are timed
_AHEAD = 2  # batches that each worker prepares ahead: torch's default
_AS_IN_A_RUN = [f"model.dropout={ModelSettings().dropout}"]


@dataclass
class Speed:
    """What was measured of a contestant.

    Attributes:
        contestant: its name.
        rate: products per second on batches that lie on the device.
        flops: operations per second there, of matrix products of real tokens.
        memory: most that was allocated there besides the batches, bytes.
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
    parser.add_argument("--steps", type=int, default=20, help="of each window that is timed, at least")
    parser.add_argument("--workers", type=int, default=cores(), help="processes that prepare batches")
    parser.add_argument("--minutes", type=float, default=10, help="of pre-training")
    parser.add_argument("--queries", type=Path, help="second listings, as `item evaluate` takes them")
    parser.add_argument("--no-pretrain", action="store_true", help="only the speed")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("This benchmark is about a CUDA GPU, and torch finds none here; benchmarks/training.py runs on a CPU.")
    if not arguments.no_pretrain and (arguments.out / "run").exists():  # `item pretrain` would, after the measuring
        sys.exit(f"{arguments.out / 'run'} exists: remove it, choose another --out, or give --no-pretrain.")
    keep_few_kernels()  # as a run does
    arguments.out.mkdir(parents=True, exist_ok=True)
    catalog = Catalog(arguments.catalog) if arguments.catalog else _drawn(arguments.out, arguments.products)
    stage = Stage.build(catalog, arguments.batch, _READY, torch.device("cuda"))
    most = ceiling(stage.device, torch.bfloat16, 8192)
    print(f"{describe(stage)}\nceiling {most / 1e12:.0f} TFLOP/s in bf16; {arguments.workers} workers\n", flush=True)
    speeds = print_speeds(measure(stage, arguments.steps, arguments.workers), most)
    if not arguments.no_pretrain:
        small = next(speed.fed for speed in speeds if speed.fed is not None)  # the first: not compiled, as in a run
        run = Run(Path(str(catalog.path)), arguments.out / "run", arguments.queries, arguments.workers, arguments.batch)
        run.pretrain(int(60 * arguments.minutes * small))
        run.evaluate()


def _drawn(folder: Path, products: int) -> Catalog:
    """The marketplace, drawn once."""
    made = folder / "catalog"
    return Catalog(made) if made.exists() else draw(folder, products)


def measure(stage: Stage, steps: int, workers: int) -> Iterator[Speed]:
    """All contestants, one after the other, so that each has the memory to itself; none that fails to compile."""
    for compiled in (True, False):
        _empty()
        name = f"ViLT, base{', compiled' if compiled else ''}"
        vilt = stage.vilt("base", _AS_IN_A_RUN, name=name, precision="bf16", compiled=compiled)
        with leaving_out(vilt):
            yield on_ready_batches(vilt, steps)
        del vilt
    for size in ("small", "base"):
        for compiled in (False, True):
            _empty()
            name = f"ours, {size}{', compiled' if compiled else ''}"
            switches = [*SWITCHES["both"], *_AS_IN_A_RUN]
            ours = stage.ours(size, switches, name=name, precision="bf16", compiled=compiled)
            with leaving_out(ours):
                speed = on_ready_batches(ours, steps)
                settings = [f"training.workers={workers}", f"training.steps={fed_steps(steps, workers)}"]
                data = stage.data(stage.config(size, [*switches, *settings]))
                speed.fed, speed.busy = fed_by_the_loader(ours, data, steps)
                yield speed
            del ours


def on_ready_batches(contestant: Contestant, steps: int) -> Speed:
    """Train on batches that lie on the device, in windows of so many steps."""
    made = [contestant.data[number][0] for number in range(_READY)]
    before = torch.cuda.memory_allocated()  # 0 where there is no GPU, as is the peak
    ready = [contestant.module.ready(batch, contestant.device) for batch in made]
    held = torch.cuda.memory_allocated() - before
    for arguments in ready:
        contestant.step(arguments)
    seconds = statistics.median(window(contestant, cycle(ready), steps) for _ in range(_WINDOWS))
    flops = statistics.mean(map(contestant.module.flops, made))
    memory = torch.cuda.max_memory_allocated() - held
    return Speed(contestant.name, contestant.products / seconds, flops / seconds, memory)


def fed_steps(steps: int, workers: int) -> int:
    """What `fed_by_the_loader` has to have: its windows, and so many more that the workers have work to the end."""
    return (1 + _WINDOWS) * _fed_window(steps, workers) + steps + 2 * _AHEAD * workers


def fed_by_the_loader(contestant: Contestant, data: PretrainingData, steps: int) -> tuple[float, float]:
    """Train as a run does: products per second, and the share of the time in which kernels ran.

    Args:
        contestant: warm.
        data: of `fed_steps`: a window for the workers to get going, some that are timed, some steps that are profiled.
        steps: that are profiled, and at least in a window.
    """
    assert len(data) >= fed_steps(steps, data.training.workers)
    length = _fed_window(steps, data.training.workers)
    feed = (contestant.module.ready(parts[0], contestant.device) for parts in batches(data, 0))
    window(contestant, feed, length)
    seconds = statistics.median(window(contestant, feed, length) for _ in range(_WINDOWS))
    with profile(activities=supported_activities()) as profiler:
        window(contestant, feed, steps)
    return contestant.products / seconds, kernel_seconds(profiler) / steps / seconds


def _fed_window(steps: int, workers: int) -> int:
    """Twice as many steps as the workers have batches ready, or more."""
    return max(steps, 2 * _AHEAD * workers)


def window(contestant: Contestant, feed: Iterable[tuple[Any, ...]], steps: int) -> float:
    """Seconds per step of so many, until the device has done them."""
    wait(contestant.device)
    began = time.perf_counter()
    for arguments in islice(feed, steps):
        contestant.step(arguments)
    wait(contestant.device)
    return (time.perf_counter() - began) / steps


def kernel_seconds(profiler: profile) -> float:
    """Time of all kernels on the GPU: without copies, and without the spans that only name what runs in them."""
    kernels = (
        event
        for event in profiler.events() or []
        if event.device_type.name == "CUDA" and not event.is_user_annotation and not event.name.startswith("Mem")
    )
    return float(sum(event.time_range.elapsed_us() for event in kernels)) / 1e6


def print_speeds(speeds: Iterable[Speed], most: float) -> list[Speed]:
    """Print the table row by row, with what ours of ViLT's size is to the faster of the ViLTs. Returns the rows."""
    columns = ["contestant", "ready, products/s", "TFLOP/s", "of the ceiling", "memory, GB", "x ViLT"]
    print("|", " | ".join([*columns, "fed, products/s", "GPU busy"]), "|\n" + "|---" * 8 + "|", flush=True)
    printed: list[Speed] = []
    for s in speeds:
        printed.append(s)
        vilt = max((other.rate for other in printed if "ViLT" in other.contestant), default=None)
        ratio = f"{s.rate / vilt:.2f}" if vilt is not None and "ours, base" in s.contestant else ""
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
        batch: pairs of a step.
    """

    catalog: Path
    folder: Path
    queries: Path | None
    workers: int
    batch: int

    def pretrain(self, samples: int) -> None:
        """Train `small` with both switches on about so many pairs, and print what it took."""
        steps = max(2, samples // self.batch)
        warmup = min(RunConfig.load("small").training.warmup_steps, steps // 4)
        settings = [f"training.steps={steps}", f"training.warmup_steps={warmup}"]
        settings += [f"training.workers={self.workers}", f"training.batch_size={self.batch}"]
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


def _empty() -> None:
    """Give back what the last contestant had, so that the peak is the next one's own."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()


if __name__ == "__main__":
    main()
