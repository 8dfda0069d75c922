"""Memory of each of the processes that train one model: whole weights in each, or shares of them.

    python benchmarks/sharding.py                                # `base`, in 1, 2 and 4 processes
    python benchmarks/sharding.py --count 8 --config base        # on a machine with eight GPUs

It starts itself with torchrun, and each process trains a few steps of the package's loop, of two small pairs a process
and with activations computed again, so that little but weights, gradients and the optimiser's state is there. `between
steps` is what lies there when a step is done, `most` the most within one; both less what was there before the model.
On CPUs it is resident memory (glibc is told to give back what is freed), on GPUs what torch allocated. The last columns
are the formulas of docs/scaling.md.
"""

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from item_embed.catalog.store import Catalog
from item_embed.config import RunConfig
from item_embed.model.configuration import ItemConfig
from item_embed.model.heads import ItemForPreTraining
from item_embed.model.processor import ItemProcessor
from item_embed.model.tokenizer import train_tokenizer
from item_embed.objectives.pretraining import Pretraining
from item_embed.training.batches import PretrainingData
from item_embed.training.distributed import joined
from item_embed.training.loop import Trainer
from training import draw

_PAIRS = 2  # of a process
_STEPS = 3  # the first makes the optimiser's state, the others are watched


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, nargs="+", default=[1, 2, 4], help="of processes")
    parser.add_argument("--sharding", nargs="+", choices=["none", "full"], default=["none", "full"])
    parser.add_argument("--config", default="base")
    parser.add_argument("--worker", nargs=3, metavar=("CATALOG", "SHARDING", "REPORTS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        catalog, sharding, reports = arguments.worker
        work(Catalog(Path(catalog)), arguments.config, sharding, Path(reports))
        return
    columns = ["processes", "sharding", "parameters, M", "between steps, MB", "most, MB", "formula, between", "most"]
    print("|", " | ".join(columns), "|\n" + "|---" * len(columns) + "|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        catalog = draw(Path(folder), 40)
        for count in arguments.count:
            for sharding in arguments.sharding if count > 1 else ("none",):
                reports = Path(folder) / f"{count} {sharding}"
                reports.mkdir()
                command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count), __file__]
                command += ["--config", arguments.config, "--worker", str(catalog.path), sharding, str(reports)]
                subprocess.run(command, check=True, env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"})
                told = [json.loads(file.read_text()) for file in reports.glob("*.json")]
                print(row(count, sharding, told), flush=True)


def row(count: int, sharding: str, reports: list[dict[str, int]]) -> str:
    """A line of the table: what the process takes that takes most."""
    held, most = (max(report[key] for report in reports) for key in ("held", "most"))
    weights, block = reports[0]["weights"], reports[0]["block"]
    shares = 1 if sharding == "none" else count
    buckets = 4 * weights if sharding == "none" and count > 1 else 0
    lasting = 12 * weights / shares + buckets
    # In a step all gradients, and, brought together, what is around the blocks, and two of these with their gradients.
    around = 0 if shares == 1 else 8 * (weights - reports[0]["blocks"] * block) + 16 * block
    figures = [held, most, lasting, lasting + 4 * weights / shares + around]
    cells = [str(count), sharding, f"{weights / 1e6:.1f}", *(f"{figure / 2**20:,.0f}" for figure in figures)]
    return f"| {' | '.join(cells)} |"


def work(catalog: Catalog, name: str, sharding: str, reports: Path) -> None:
    """Train a few steps as one of the processes, and write down what they took."""
    torch.set_num_threads(1)
    with joined() as processes:
        settings = [f"training.batch_size={_PAIRS * processes.count}", f"training.sharding={sharding}"]
        settings += ["training.accumulation=1", "training.activation_checkpointing=true", "training.workers=0"]
        settings += ["model.image_size=[64,64]", "training.log_every=1000", "training.precision=fp32"]
        config = RunConfig.load(name, settings)
        rows = catalog.rows("train")
        tokenizer = train_tokenizer([catalog.titles[row] or "" for row in rows], config.model.vocab_size)
        architecture = ItemConfig.from_settings(config.model, config.objectives, tokenizer.get_vocab_size())
        data = PretrainingData(catalog, rows, ItemProcessor.for_config(tokenizer, architecture), config, processes)
        ready = [data[step] for step in range(_STEPS)]
        before = held()
        pretraining = Pretraining(ItemForPreTraining(architecture), config.objectives)
        weights = sum(parameter.numel() for parameter in pretraining.parameters())
        block = sum(parameter.numel() for parameter in pretraining.model.item.blocks[0].parameters())
        trainer = Trainer(pretraining, config.training, reports / "run", None, processes=processes)
        report = {"weights": weights, "block": block, "blocks": config.model.num_hidden_layers}
        trainer.fit(ready, lambda done, _: watch_anew() if done == 1 else None)
        report |= {"most": most() - before, "held": held() - before}
        (reports / f"{processes.rank}.json").write_text(json.dumps(report), encoding="utf8")
        processes.wait()


def held() -> int:
    """Bytes that this process has now."""
    gc.collect()
    if torch.cuda.is_available():
        return torch.cuda.memory_allocated()
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # what is free goes back
    return _status("VmRSS")


def most() -> int:
    """The most since `watch_anew`."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else _status("VmHWM")


def watch_anew() -> None:
    """Forget the most so far."""
    held()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


if __name__ == "__main__":
    main()
