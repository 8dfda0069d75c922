"""What a user gets for the time: retrieval after so many CPU minutes of pre-training, with and without each switch.

    python benchmarks/minutes.py --data $ITEM_DATA --out runs/minutes

Pre-trains `tiny` on fashion without the groups of the frozen relistings, one thread per run: for each of the minutes
with each set of switches, as many steps as fit (found by two short runs, whose difference leaves the start out); and
with each set of switches the steps that the first set makes in the fewest minutes: equal samples. Every run has its
own whole learning rate schedule. Then it evaluates every model on the relistings and prints the tables of
docs/experiments.md. Every step is an `item` command; what exists is not made again, so the script can be stopped and
started.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SWITCHES = {
    "keep": [],
    "patch_masking": ["objectives.patch_masking=drop"],
    "background": ["model.background=drop"],
    "both": ["objectives.patch_masking=drop", "model.background=drop"],
}
FIGURES = ("hit_at_1", "macro_recall_at_10", "map_at_10")
MODALITIES = ("both", "image", "title")
_SHORT = (140, 240)  # steps of the runs that tell how long a step takes: both past the epoch that decodes photos


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
    with ThreadPoolExecutor(arguments.jobs) as pool:
        seconds = dict(zip(SWITCHES, pool.map(bench.seconds_per_step, SWITCHES), strict=True))
        runs = plan(seconds, sorted(arguments.minutes))
        for minutes in dict.fromkeys(run.why for run in runs):
            list(pool.map(bench.finish, [run for run in runs if run.why == minutes]))
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

    def seconds_per_step(self, switches: str) -> float:
        """CPU seconds of a step, its batch included, once the run has begun."""
        short, longer = (self._pretrain(Run(switches, steps, "")) for steps in _SHORT)
        return (longer - short) / (_SHORT[1] - _SHORT[0])

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
