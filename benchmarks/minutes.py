"""What a user gets for the time: retrieval after so many CPU minutes of pre-training, with and without each switch.

    python benchmarks/minutes.py --data $ITEM_DATA --out runs/minutes
    python benchmarks/minutes.py --table --out runs/minutes                # what is there, without running anything

Pre-trains `tiny` on fashion without the groups of the frozen relistings, one thread per run: for each of the minutes
with each set of switches, as many steps as fit; and with each set of switches the steps that the first set makes in
the fewest minutes: equal samples. How long a step takes is measured first, the sets taking turns, so that other work
on the machine slows all alike; batches are made within it, from photos that were decoded before. Every run has its own
whole learning rate schedule. Then it evaluates every model on the relistings and prints the tables of
docs/experiments.md. Every step is an `item` command on a CPU; what exists is not made again, so the script can be
stopped and started, with the same seed and settings.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from models import Contestant, Ours

from item_embed.catalog.store import Catalog
from item_embed.config import RunConfig
from item_embed.model.configuration import ItemConfig
from item_embed.model.precision import choose_precision
from item_embed.model.processor import ItemProcessor
from item_embed.model.tokenizer import train_tokenizer
from item_embed.training.batches import PretrainingData
from item_embed.training.optimiser import keep_few_kernels
from training import SWITCHES as LONG_SWITCHES

SWITCHES = {name.removesuffix("=drop"): switches for name, switches in LONG_SWITCHES.items()}  # folders have the names
FIGURES = ("hit_at_1", "macro_recall_at_10", "map_at_10")
MODALITIES = ("both", "image", "title")
_WARM_UP, _ROUNDS = 4, 24  # steps of each set that decode the photos, and that are timed
ONE_CORE = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": ""}  # of every process


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
    parser.add_argument("--data", type=Path, help="folder of fashion.parquet and fashion_relist.parquet")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, nargs="+", default=[10, 30], help="of one CPU, per run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="only print what is there")
    parser.add_argument("settings", nargs="*", help="settings of every run, as training.batch_size=128")
    arguments = parser.parse_args()
    minutes = sorted(arguments.minutes)
    if arguments.table:
        print_table(arguments.out, minutes)
        return
    if arguments.data is None:
        parser.error("--data is needed for anything but --table")
    os.environ.update(ONE_CORE)
    keep_few_kernels()  # as `item pretrain` does
    relist = arguments.data / "fashion_relist.parquet"
    bench = Bench(arguments.out, relist, arguments.seed, arguments.settings, "tiny", SWITCHES)
    bench.prepare(arguments.data / "fashion.parquet")
    with ThreadPoolExecutor(arguments.jobs) as pool:
        list(pool.map(bench.finish, plan(bench.seconds_per_step(), minutes)))
    print_table(arguments.out, minutes)


def plan(seconds: dict[str, float], minutes: list[float]) -> list[Run]:
    """The runs, shortest first."""
    timed = [Run(name, int(60 * m / seconds[name]), f"{m:g} minutes") for m in minutes for name in seconds]
    first = next(iter(seconds))
    equal = [Run(name, timed[0].steps, "equal samples") for name in seconds if name != first]
    return [*timed[: len(seconds)], *equal, *timed[len(seconds) :]]


@dataclass(frozen=True)
class Bench:
    """Runs commands of the package with one thread each, and keeps what they took and said.

    Attributes:
        out: the folder of all runs.
        relist: the frozen relistings, whose groups are not trained on.
        seed: of every run.
        settings: of every run.
        config: the preset that they change.
        sets: the settings of each kind of run, by the name that `Run.switches` has.
    """

    out: Path
    relist: Path
    seed: int
    settings: list[str]
    config: str
    sets: Mapping[str, Sequence[str]]

    def prepare(self, feed: Path) -> None:
        """The catalogue, in a folder whose runs all have the same seed and settings."""
        RunConfig.load(self.config, self.settings)  # a mistake in them is not kept
        self.out.mkdir(parents=True, exist_ok=True)
        file, wanted = self.out / "settings.json", {"seed": self.seed, "settings": self.settings}
        if file.exists() and (begun := read(file)) != wanted:
            sys.exit(f"{self.out} was begun with {json.dumps(begun)}: go on with those, or choose another --out.")
        write(file, json.dumps(wanted))
        if not (self.out / "fashion").exists():
            self._item("prepare", str(feed), "--out", str(self.out / "fashion"), "--group-column", "split_group")

    def seconds_per_step(self) -> dict[str, float]:
        """CPU seconds of a step with each set, its batch included."""
        file = self.out / "seconds_per_step.json"
        if not file.exists():
            torch.set_num_threads(1)
            contestants = {name: self._contestant(name) for name in self.sets}
            taken: dict[str, list[float]] = {name: [] for name in self.sets}
            for number in range(_WARM_UP + _ROUNDS):
                for name, contestant in contestants.items():
                    began = time.process_time()
                    contestant.step(contestant.ready(number))
                    if number >= _WARM_UP:
                        taken[name].append(time.process_time() - began)
            write(file, json.dumps({name: statistics.median(times) for name, times in taken.items()}))
        return read(file)

    def _contestant(self, name: str) -> Contestant:
        """Trains with these switches on so few rows that it has decoded their photos when it is warm."""
        whole = ["training.accumulation=1"]  # a batch in parts takes about as long
        config = RunConfig.load(self.config, [*self.sets[name], *self.settings, *whole])
        catalog = Catalog(self.out / "fashion")
        rows = catalog.rows("train")[: _WARM_UP * config.training.batch_size]
        tokenizer = train_tokenizer(filter(None, catalog.titles), config.model.vocab_size)
        architecture = ItemConfig.from_settings(config.model, config.objectives, tokenizer.get_vocab_size())
        data = PretrainingData(catalog, rows, ItemProcessor.for_config(tokenizer, architecture), config)
        module = Ours(config, tokenizer.get_vocab_size())
        precision = choose_precision(config.training.precision)
        return Contestant(name, precision, module, module.optimizer(), torch.device("cpu"), data)

    def finish(self, run: Run) -> None:
        """Pre-train and evaluate."""
        self.pretrain(run)
        for modalities in MODALITIES:
            file = self.out / run.name / f"{modalities}.json"
            if not file.exists():
                options = ["--modalities", modalities, "--queries", str(self.relist), "--json"]
                said, _ = self._item(
                    "evaluate", str(self.out / run.name / "model"), str(self.out / "fashion"), *options
                )
                write(file, said)

    def pretrain(self, run: Run) -> float:
        """Train; the CPU seconds that it took."""
        folder = self.out / run.name
        took = folder / "seconds.json"
        if not took.exists():
            if folder.exists():  # a part of a run has no time that means anything
                sys.exit(f"{folder} is half a run: remove it.")
            steps = [f"training.steps={run.steps}", f"training.warmup_steps={min(200, run.steps // 4)}"]
            quiet = ["training.validate_every=1000000", "training.checkpoint_every=1000000"]
            options = ["--out", str(folder), "--config", self.config, "--exclude-groups", str(self.relist)]
            chosen = [*self.sets[run.switches], *self.settings, *steps, *quiet, f"training.seed={self.seed}"]
            _, seconds = self._item("pretrain", str(self.out / "fashion"), *options, *chosen)
            write(took, json.dumps(seconds))
        return float(json.loads(took.read_text(encoding="utf8")))

    def _item(self, *arguments: str) -> tuple[str, float]:
        """Run a command: what it printed, and the CPU seconds of it and its children."""
        print("item", *arguments, file=sys.stderr, flush=True)
        with subprocess.Popen([sys.executable, "-c", _TIMED, *arguments], stdout=subprocess.PIPE, text=True) as process:
            said, _ = process.communicate()
        if process.returncode:
            sys.exit(f"item {' '.join(arguments)} failed")
        said, _, seconds = said.rstrip("\n").rpartition("\n")
        return said, float(seconds)


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


def print_table(out: Path, minutes: list[float]) -> None:
    """What came out of the runs so far."""
    if not (out / "seconds_per_step.json").exists():
        sys.exit(f"{out} has no seconds_per_step.json: nothing was measured there yet.")
    seconds = read(out / "seconds_per_step.json")
    print("| switch | CPU ms per step |\n|---|---|")
    for name, each in seconds.items():
        print(f"| {name} | {each * 1e3:.0f} |")
    sees = [f"recall@10, {modalities}" for modalities in MODALITIES[1:]]
    columns = ["run", "switch", "steps", "CPU minutes", *FIGURES, *sees]
    print("\n| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for run in plan(seconds, minutes):
        took = out / run.name / "seconds.json"
        each = f"{json.loads(took.read_text(encoding='utf8')) / 60:.1f}" if took.exists() else "missing"
        print("|", " | ".join([run.why, run.switches, f"{run.steps:,}", each, *figures(out / run.name)]), "|")


def figures(run: Path) -> list[str]:
    """The cells of what was evaluated of a run."""
    wanted = [(MODALITIES[0], name) for name in FIGURES] + [(alone, "macro_recall_at_10") for alone in MODALITIES[1:]]
    files = [(run / f"{modalities}.json", name) for modalities, name in wanted]
    return [_interval(read(file)[name]) if file.exists() else "missing" for file, name in files]


def write(file: Path, text: str) -> None:
    """Write a file whole."""
    aside = file.with_suffix(".partial")
    aside.write_text(text, encoding="utf8")
    aside.rename(file)


def read(file: Path) -> dict[str, Any]:
    """The object that a JSON file holds."""
    return dict(json.loads(file.read_text(encoding="utf8")))


def _interval(figure: dict[str, float]) -> str:
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


if __name__ == "__main__":
    main()
