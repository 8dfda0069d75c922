"""What a user gets for the time: retrieval after so many CPU minutes of pre-training, with and without each switch.

    python benchmarks/minutes.py --data $ITEM_DATA --out runs/minutes

Pre-trains `tiny` on fashion without the groups of the frozen relistings, one thread per run: for each of the minutes
with each set of switches, as many steps as fit; and with each set of switches the steps that the first set makes in
the fewest minutes: equal samples. How long a step takes is measured first, the sets taking turns, so that other work
on the machine slows all alike; batches are made within it, from photos that were decoded before. Every run has its own
whole learning rate schedule. Then it evaluates every model on the relistings and prints the tables of
docs/experiments.md. Every step is an `item` command; what exists is not made again, so the script can be stopped and
started.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from item_embed.catalog.store import Catalog
from item_embed.config import RunConfig
from item_embed.model.configuration import ItemConfig
from item_embed.model.heads import ItemForPreTraining
from item_embed.model.processor import ItemProcessor
from item_embed.model.tokenizer import train_tokenizer
from item_embed.objectives.batch import total_counts
from item_embed.objectives.pretraining import Pretraining, weighted_sum
from item_embed.training.batches import PretrainingData
from item_embed.training.optimiser import choose_precision, make_optimizer

SWITCHES = {
    "keep": [],
    "patch_masking": ["objectives.patch_masking=drop"],
    "background": ["model.background=drop"],
    "both": ["objectives.patch_masking=drop", "model.background=drop"],
}
FIGURES = ("hit_at_1", "macro_recall_at_10", "map_at_10")
MODALITIES = ("both", "image", "title")
_WARM_UP, _ROUNDS = 4, 24  # steps of each set that decode the photos, and that are timed


@dataclass(frozen=True)
class Run:
    """A pre-training run: the switches, its steps, and what asked for them."""

    switches: str
    steps: int
    why: str

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.switches}-{self.steps}"


def main() -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of fashion.parquet and fashion_relist.parquet")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, nargs="+", default=[10, 30], help="of one CPU, per run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("settings", nargs="*", help="settings of every run, as training.batch_size=128")
    arguments = parser.parse_args()
    bench = Bench(arguments.out, arguments.data / "fashion_relist.parquet", arguments.seed, arguments.settings)
    bench.prepare(arguments.data / "fashion.parquet")
    seconds = bench.seconds_per_step()
    with ThreadPoolExecutor(arguments.jobs) as pool:
        runs = plan(seconds, sorted(arguments.minutes))
        list(pool.map(bench.finish, runs))
    bench.print_table(runs, seconds)


def plan(seconds: dict[str, float], minutes: list[float]) -> list[Run]:
    """The runs, shortest first."""
    timed = [Run(name, int(60 * m / seconds[name]), f"{m:g} minutes") for m in minutes for name in seconds]
    first = next(iter(seconds))
    equal = [Run(name, timed[0].steps, "equal samples") for name in seconds if name != first]
    return [*timed[: len(seconds)], *equal, *timed[len(seconds) :]]


@dataclass(frozen=True)
class Bench:
    """Runs commands of the package with one thread each, and keeps what they took and said."""

    out: Path
    relist: Path
    seed: int
    settings: list[str]

    def prepare(self, feed: Path) -> None:
        """The catalogue."""
        self.out.mkdir(parents=True, exist_ok=True)
        if not (self.out / "fashion").exists():
            self._item("prepare", str(feed), "--out", str(self.out / "fashion"), "--group-column", "split_group")

    def seconds_per_step(self) -> dict[str, float]:
        """CPU seconds of a step with each set of switches, its batch included."""
        file = self.out / "seconds_per_step.json"
        if not file.exists():
            torch.set_num_threads(1)
            steps = {name: self._steps(switches) for name, switches in SWITCHES.items()}
            taken: dict[str, list[float]] = {name: [] for name in steps}
            for number in range(_WARM_UP + _ROUNDS):
                for name, step in steps.items():
                    began = time.process_time()
                    next(step)
                    if number >= _WARM_UP:
                        taken[name].append(time.process_time() - began)
            _write(file, json.dumps({name: statistics.median(times) for name, times in taken.items()}))
        return _read(file)

    def _steps(self, switches: list[str]) -> Iterator[None]:
        """Make a training step at each `next`."""
        config = RunConfig.load("tiny", [*switches, *self.settings])
        catalog = Catalog(self.out / "fashion")
        rows = catalog.rows("train")[: _WARM_UP * config.training.batch_size]
        tokenizer = train_tokenizer(filter(None, catalog.titles), config.model.vocab_size)
        architecture = ItemConfig.from_settings(config.model, config.objectives, tokenizer.get_vocab_size())
        pretraining = Pretraining(ItemForPreTraining(architecture), config.objectives)
        optimizer = make_optimizer(pretraining.model, config.training)
        data = PretrainingData(catalog, rows, ItemProcessor.for_config(tokenizer, architecture), config)
        bf16 = choose_precision(config.training.precision) == "bf16"
        for step in range(len(data)):
            parts = data[step]
            for part in parts:
                with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                    losses = pretraining(part).losses
                weighted_sum(losses, config.objectives.weights.active(), total_counts(parts)).backward()
            torch.nn.utils.clip_grad_norm_(pretraining.parameters(), config.training.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad()
            yield

    def finish(self, run: Run) -> None:
        """Pre-train and evaluate."""
        self._pretrain(run)
        for modalities in MODALITIES:
            file = self.out / run.name / f"{modalities}.json"
            if not file.exists():
                options = ["--modalities", modalities, "--queries", str(self.relist), "--json"]
                said, _ = self._item(
                    "evaluate", str(self.out / run.name / "model"), str(self.out / "fashion"), *options
                )
                _write(file, said)

    def _pretrain(self, run: Run) -> float:
        """Train; the CPU seconds that it took."""
        folder = self.out / run.name
        took = folder / "seconds.json"
        if not took.exists():
            if folder.exists():  # a part of a run has no time that means anything
                sys.exit(f"{folder} is half a run: remove it.")
            steps = [f"training.steps={run.steps}", f"training.warmup_steps={min(200, run.steps // 4)}"]
            quiet = ["training.validate_every=1000000", "training.checkpoint_every=1000000"]
            options = ["--out", str(folder), "--config", "tiny", "--exclude-groups", str(self.relist)]
            chosen = [*SWITCHES[run.switches], *self.settings, *steps, *quiet, f"training.seed={self.seed}"]
            _, seconds = self._item("pretrain", str(self.out / "fashion"), *options, *chosen)
            _write(took, json.dumps(seconds))
        return float(json.loads(took.read_text(encoding="utf8")))

    def _item(self, *arguments: str) -> tuple[str, float]:
        """Run a command: what it printed, and the CPU seconds of it and its children."""
        print("item", *arguments, file=sys.stderr, flush=True)
        environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        with subprocess.Popen(
            [sys.executable, "-c", _TIMED, *arguments], stdout=subprocess.PIPE, text=True, env=environment
        ) as process:
            said, _ = process.communicate()
        if process.returncode:
            sys.exit(f"item {' '.join(arguments)} failed")
        said, _, seconds = said.rstrip("\n").rpartition("\n")
        return said, float(seconds)

    def print_table(self, runs: list[Run], seconds: dict[str, float]) -> None:
        """What came out."""
        print("| switch | CPU ms per step |\n|---|---|")
        for name, each in seconds.items():
            print(f"| {name} | {each * 1e3:.0f} |")
        sees = [f"recall@10, {modalities}" for modalities in MODALITIES[1:]]
        columns = ["run", "switch", "steps", "CPU minutes", *FIGURES, *sees]
        print("\n| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
        for run in runs:
            both, *alone = (_read(self.out / run.name / f"{modalities}.json") for modalities in MODALITIES)
            figures = [_interval(both[name]) for name in FIGURES]
            figures += [_interval(single["macro_recall_at_10"]) for single in alone]
            took = json.loads((self.out / run.name / "seconds.json").read_text(encoding="utf8")) / 60
            print("|", " | ".join([run.why, run.switches, f"{run.steps:,}", f"{took:.1f}", *figures]), "|")


# The command itself, then the CPU seconds of its process and children: a clock that other work does not slow.
_TIMED = """
import resource, sys
from item_embed.cli.main import main
try:
    main()
except SystemExit as exit:
    if exit.code:
        raise
usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(sum(u.ru_utime + u.ru_stime for u in usage))
"""


def _write(file: Path, text: str) -> None:
    aside = file.with_suffix(".partial")
    aside.write_text(text, encoding="utf8")
    aside.rename(file)


def _read(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text(encoding="utf8")))


def _interval(figure: dict[str, float]) -> str:
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


if __name__ == "__main__":
    main()
