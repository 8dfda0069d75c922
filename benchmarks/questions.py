"""The questions that the paper leaves open, each by `item` commands on real and drawn catalogues.

    python benchmarks/questions.py --data $ITEM_DATA --out runs/questions            # all; about a night on two cores
    python benchmarks/questions.py --data $ITEM_DATA --out runs/questions main 1 7   # some
    python benchmarks/questions.py --data $ITEM_DATA --out runs/questions --commands # only print the commands
    python benchmarks/questions.py --data $ITEM_DATA --out runs/questions --scale benchmarks/questions/evening.yaml

main  the paper's table: every method of one size on fashion's frozen relistings
1     each of the five tasks removed, both global ones removed; `keep` against `drop`
2     image-dominant, title-dominant and balanced drawn marketplaces
3     no title, or a short one
4     variants: other products of one family
5     another domain
6     the whole image against a crop to its salient region
7     no labels against category labels, and how that changes with samples
8     scale: samples, parameters, rows

What is done is not done again, so the script can be stopped and started. How large all is stands in one file, by
default benchmarks/questions/night.yaml: to scale up, give another with --scale.
"""

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from item_embed.catalog.references import rows_of_items
from item_embed.catalog.store import Catalog
from item_embed.hashing import hash64

HERE = Path(__file__).parent
ITEM = str(Path(sys.executable).with_name("item"))
MAIN = [
    *("simple", "tfidf", "pixels+colours", "phash", "resnet50", "resnet50-categories", "roberta", "roberta-categories"),
    *("clip", "concatenation", "supervised", "item-local", "item", "item-agreement"),
    *(f"whitened:{name}" for name in ("roberta", "clip", "supervised", "item-local", "item", "item-agreement")),
]
TASKS = ("itm", "mlm", "mim", "gmlm", "gmim")


@dataclass(frozen=True)
class Step:
    """A command: what exists once it is done, the file that its output goes to, and what is made ready before it."""

    done: Path
    command: list[str]
    output: Path | None = None
    first: Callable[[], None] | None = None

    def run(self) -> None:
        """Run it, unless it was."""
        if self.done.exists():
            return
        print(shlex.join(self.command), file=sys.stderr, flush=True)
        begun = self.done.parent.exists()
        resumed = ["--resume"] if begun and self.command[1] == "pretrain" else []
        self.done.parent.mkdir(parents=True, exist_ok=True)
        if self.first is not None:
            self.first()
        shown = subprocess.run([*self.command, *resumed], stdout=subprocess.PIPE, text=True, check=False)
        if shown.returncode:
            sys.exit(f"{shlex.join(self.command)}\nended with {shown.returncode}")
        if self.output is not None:
            write(self.output, shown.stdout)


def write(file: Path, text: str) -> None:
    """Write a file that is whole or not there."""
    aside = file.with_name(f"{file.name}.partial")
    aside.write_text(text, encoding="utf8")
    aside.rename(file)


@dataclass(frozen=True)
class Bench:
    """Where data lie, where results go, and how large the experiments are."""

    data: Path
    out: Path
    scale: dict[str, Any]

    @property
    def relistings(self) -> Path:
        """The frozen queries of fashion."""
        return self.data / "fashion_relist.parquet"

    @property
    def first(self) -> int:
        """The steps of a run."""
        return int(self.scale["steps"])

    def settings(self, steps: int | None = None, **more: Any) -> dict[str, Any]:
        """Of a run of so many steps."""
        steps = steps or self.first
        whole = {"training.steps": steps, "training.warmup_steps": min(200, steps // 10)}
        return {**whole, **self.scale["settings"], **more}

    def prepared(self, name: str, feed: Path, *options: str) -> tuple[Path, list[Step]]:
        """A catalogue."""
        catalog = self.out / "catalogues" / name
        return catalog, [Step(catalog, [ITEM, "prepare", str(feed), "--out", str(catalog), *options])]

    def fashion(self) -> tuple[Path, list[Step]]:
        """The catalogue that most questions are asked of."""
        return self.prepared("fashion", self.data / "fashion.parquet", "--group-column", "split_group")

    def compared(
        self,
        name: str,
        catalog: Path,
        methods: list[str],
        *options: str,
        steps: int | None = None,
        seeds: int | None = None,
    ) -> Step:
        """`item compare`: its tables in NAME.txt, the same as JSON beside its folder."""
        out, text = self.out / name, self.out / f"{name}.txt"
        settings = [f"{key}={json.dumps(value)}" for key, value in self.settings(steps).items()]
        command = [
            ITEM,
            "compare",
            str(catalog),
            *methods,
            *settings,
            "--out",
            str(out),
            "--config",
            self.scale["config"],
        ]
        repeated = ["--seeds", str(seeds or self.scale["seeds"]), "--jobs", str(self.scale["jobs"])]
        return Step(text, [*command, *repeated, *options, "--html", str(self.out / f"{name}.html")], text)

    def ablated(self, name: str, catalog: Path, axes: dict[str, Any], *options: str) -> Step:
        """`item ablate` on a grid that is written beside its folder."""
        grid, out = self.out / f"{name}.yaml", self.out / name
        seeds = list(range(self.scale["seeds"]))
        written = {"config": self.scale["config"], "settings": self.settings(), "seeds": seeds, "axes": axes}
        command = [ITEM, "ablate", str(grid), str(catalog), "--out", str(out), "--jobs", str(self.scale["jobs"])]
        text = self.out / f"{name}.txt"
        first = partial(write, grid, yaml.safe_dump(written, sort_keys=False))
        return Step(text, [*command, *options], text, first)

    def evaluated(self, name: str, model: Path, catalog: Path, *options: str) -> Step:
        """`item evaluate`: its tables in NAME.txt."""
        text = self.out / f"{name}.txt"
        return Step(text, [ITEM, "evaluate", str(model), str(catalog), *options], text)

    def models(self, comparison: str, method: str) -> list[Path]:
        """The models of one method of a comparison, by seed."""
        return [self.out / comparison / "methods" / f"{method}-{seed}" / "model" for seed in range(self.scale["seeds"])]


def main_table(bench: Bench) -> Iterator[Step]:
    """Every method of one size."""
    catalog, steps = bench.fashion()
    yield from steps
    yield bench.compared("main", catalog, MAIN, "--queries", str(bench.relistings))


def tasks(bench: Bench) -> Iterator[Step]:
    """Each task removed, the global ones removed, masked patches dropped."""
    catalog, steps = bench.fashion()
    yield from steps
    without = {f"no {task.upper()}": {f"objectives.weights.{task}": 0} for task in TASKS}
    local = {f"objectives.weights.{task}": 0 for task in ("gmlm", "gmim")}
    axes = {
        "tasks": {"all five": {}, **without, "no global ones": local},
        "masked patches": {"keep": {}, "drop": {"objectives.patch_masking": "drop"}},
    }
    yield bench.ablated("tasks", catalog, axes, "--queries", str(bench.relistings))


def marketplaces(bench: Bench) -> Iterator[Step]:
    """Which side tells more is drawn; is the weaker one kept?"""
    for dominance in ("image", "title", "balanced"):
        catalog, steps = drawn(bench, dominance)
        yield from steps
        methods = ["simple", "tfidf", "pixels+colours", "clip", "concatenation", "item-local", "item", "item-agreement"]
        yield bench.compared(f"market-{dominance}", catalog, methods, steps=bench.scale["market_steps"])


def drawn(bench: Bench, dominance: str) -> tuple[Path, list[Step]]:
    """A drawn marketplace, prepared."""
    feed = bench.out / "feeds" / dominance
    products = str(bench.scale["products"])
    drawing = [ITEM, "draw", "--out", str(feed), "--products", products, "--dominance", dominance, "--workers", "2"]
    catalog, steps = bench.prepared(f"market-{dominance}", feed)
    return catalog, [Step(feed, drawing), *steps]


def short_titles(bench: Bench) -> Iterator[Step]:
    """What is found as titles are cut; without any, the main table tells by the photo alone."""
    yield from main_table(bench)
    catalog, _ = bench.fashion()
    options = ["--task", "robustness", "--queries", str(bench.relistings)]
    for method in ("item", "item-local", "item-agreement"):
        for seed, model in enumerate(bench.models("main", method)):
            yield bench.evaluated(f"robustness-{method}-{seed}", model, catalog, *options)


def variants(bench: Bench) -> Iterator[Step]:
    """Other products of one family: found before the product itself, or not?"""
    yield from main_table(bench)
    catalog, _ = bench.fashion()
    options = ["--queries", str(bench.relistings), "--variants", "family_id"]
    for method in ("item", "item-agreement"):
        for seed, model in enumerate(bench.models("main", method)):
            yield bench.evaluated(f"variants-{method}-{seed}", model, catalog, *options)
    simple = [ITEM, "evaluate", "simple", str(catalog), *options]
    yield Step(bench.out / "variants-simple.txt", simple, bench.out / "variants-simple.txt")


def domains(bench: Bench) -> Iterator[Step]:
    """Models of one domain on another, beside those trained there and beside what needs no training."""
    yield from main_table(bench)
    market, steps = drawn(bench, "balanced")
    yield from [step for step in marketplaces(bench) if "balanced" in str(step.done)]
    yield from steps
    magento, steps = bench.prepared("magento2", bench.data / "magento2.parquet")
    yield from steps
    fashion, _ = bench.fashion()
    trained = {
        name: ["frozen:" + ",".join(map(str, bench.models(name, method))) for method in ("item", "item-agreement")]
        for name in ("main", "market-balanced")
    }
    everything = ["simple", "tfidf", *trained["main"], *trained["market-balanced"]]
    yield bench.compared("domain-magento2", magento, everything, "--split", "all", seeds=1)
    yield bench.compared("domain-market", market, ["simple", *trained["main"]], seeds=1)
    options = ["--queries", str(bench.relistings)]
    yield bench.compared("domain-fashion", fashion, ["simple", *trained["market-balanced"]], *options, seeds=1)


def regions(bench: Bench) -> Iterator[Step]:
    """The same rows and queries with photos cropped to what stands out."""
    yield from main_table(bench)
    feeds = bench.out / "feeds"
    cropped = {name: feeds / f"{name}-cropped.parquet" for name in ("fashion", "fashion_relist")}
    for name, target in cropped.items():
        command = [sys.executable, str(HERE / "cropping.py"), str(bench.data / f"{name}.parquet"), str(target)]
        yield Step(target, command)
    catalog, steps = bench.prepared("fashion-cropped", cropped["fashion"], "--group-column", "split_group")
    yield from steps
    methods = ["pixels+colours", "item", "item-agreement"]
    yield bench.compared("regions", catalog, methods, "--queries", str(cropped["fashion_relist"]))


def labels(bench: Bench) -> Iterator[Step]:
    """Trained on categories or on nothing but the listings, after fewer and after more samples than the main table."""
    yield from main_table(bench)
    catalog, _ = bench.fashion()
    options = ["--queries", str(bench.relistings)]
    for count in bench.scale["samples"]:
        yield bench.compared(f"samples-{count}", catalog, ["supervised", "item"], *options, steps=count)


def scale(bench: Bench) -> Iterator[Step]:
    """Quality and loss against samples, which question 7 has, parameters and rows."""
    yield from labels(bench)
    catalog, _ = bench.fashion()
    axes = {"parameters": {"as configured": {}, **bench.scale["sizes"]}}
    yield bench.ablated("parameters", catalog, axes, "--queries", str(bench.relistings))
    for rows in bench.scale["rows"]:
        left_out = bench.out / "feeds" / f"all-but-{rows}.parquet"
        part = partial(write_left_out, left_out, catalog, bench.relistings, rows)
        for seed in range(bench.scale["seeds"]):
            run = bench.out / "fewer" / f"{rows}-{seed}"
            settings = [f"{key}={json.dumps(value)}" for key, value in bench.settings().items()]
            command = [ITEM, "pretrain", str(catalog), *settings, f"training.seed={seed}", "--out", str(run)]
            options = ["--config", bench.scale["config"], "--exclude-groups", str(left_out)]
            yield Step(run / "model", [*command, *options], first=part)
            yield bench.evaluated(f"rows-{rows}-{seed}", run / "model", catalog, "--queries", str(bench.relistings))


def write_left_out(target: Path, catalog: Path, queries: Path, rows: int) -> None:
    """The items whose groups are left out so that about so many training rows stay, none of a group of a query."""
    opened = Catalog(catalog)
    asked = np.unique(opened.groups[rows_of_items(queries, opened, "--queries")])
    train = opened.rows("train")
    train = train[~np.isin(opened.groups[train], asked)]
    groups, counts = np.unique(opened.groups[train], return_counts=True)
    order = np.argsort(hash64(0, groups), kind="stable")
    kept = groups[order[: int(np.searchsorted(np.cumsum(counts[order]), rows)) + 1]]
    without = np.unique(np.concatenate([np.setdiff1d(groups, kept), asked]))
    _, first = np.unique(opened.groups, return_index=True)
    named = first[np.isin(opened.groups[first], without)]  # a row of each group is enough
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f"{target.name}.partial")
    pq.write_table(pa.table({"item_id": [opened.ids[row] for row in named]}), aside)
    aside.rename(target)


QUESTIONS: dict[str, Callable[[Bench], Iterator[Step]]] = {
    "main": main_table,
    "1": tasks,
    "2": marketplaces,
    "3": short_titles,
    "4": variants,
    "5": domains,
    "6": regions,
    "7": labels,
    "8": scale,
}


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", nargs="*", help="some of them; by default all")
    parser.add_argument("--data", type=Path, required=True, help="folder of fashion.parquet and the others")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scale", type=Path, default=HERE / "questions" / "night.yaml")
    parser.add_argument("--commands", action="store_true", help="print the commands that are left, run nothing")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.questions if name not in QUESTIONS]:
        parser.error(f"there is no question {unknown[0]}; there are {', '.join(QUESTIONS)}")
    bench = Bench(arguments.data, arguments.out, yaml.safe_load(arguments.scale.read_text(encoding="utf8")))
    for name in arguments.questions or QUESTIONS:
        for step in QUESTIONS[name](bench):
            if not arguments.commands:
                step.run()
            elif not step.done.exists():
                print(shlex.join(step.command))


if __name__ == "__main__":
    main()
