"""Which tasks make the vector: five, the three local ones, or the two global ones, on real listings.

    python benchmarks/objectives.py --data $ITEM_DATA --out runs/objectives

Prepares the catalogues, pre-trains `tiny` once per set of tasks and seed, evaluates every model on the frozen
relistings of fashion and on magento2 with both modalities and each alone, and prints the tables of
docs/experiments.md. Every step is an `item` command; what exists is not made again, so the script can be stopped and
started. `--jobs` runs go side by side with one thread each.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ITEM = str(Path(sys.executable).with_name("item"))
TASKS = {
    "five tasks": [],
    "three local": ["objectives.weights.gmlm=0", "objectives.weights.gmim=0"],
    "two global": [f"objectives.weights.{task}=0" for task in ("itm", "mlm", "mim")],
}
FIGURES = ("hit_at_1", "macro_recall_at_10", "map_at_10")
Job = tuple[Path, list[str], Path | None]  # what exists when it is done, the command, where its output goes


def main() -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of fashion.parquet and the others")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("settings", nargs="*", help="settings of every run, as training.steps=4000")
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    relist = str(arguments.data / "fashion_relist.parquet")
    run_all(_prepare(arguments.data, out), 1)
    trained = [_pretrain(out, relist, tasks, seed, arguments.settings) for seed in arguments.seeds for tasks in TASKS]
    run_all(trained, arguments.jobs)
    runs = {(tasks, seed): _run(out, tasks, seed) for tasks in TASKS for seed in arguments.seeds}
    run_all([job for run in runs.values() for job in _evaluate(out, relist, run)], arguments.jobs)
    run_all(_simple(out, relist), arguments.jobs)
    _print_tables(out, arguments.seeds)


def run_all(jobs: list[Job], at_once: int) -> None:
    """Run the commands whose result is missing."""
    missing = [job for job in jobs if not job[0].exists()]
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(_execute, missing))


def _execute(job: Job) -> None:
    done, command, output = job
    print(" ".join(command), file=sys.stderr, flush=True)
    threads = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ | threads, check=False)
    if result.returncode:
        raise SystemExit(f"{' '.join(command)}\n{result.stderr}")
    if output is not None:
        aside = output.with_suffix(".partial")
        aside.write_text(result.stdout, encoding="utf8")
        aside.rename(done)


def _prepare(data: Path, out: Path) -> list[Job]:
    fashion = [ITEM, "prepare", str(data / "fashion.parquet"), "--out", str(out / "fashion")]
    magento = [ITEM, "prepare", str(data / "magento2.parquet"), "--out", str(out / "magento2")]
    return [
        (out / "fashion", [*fashion, "--group-column", "split_group"], None),
        (out / "magento2", magento, None),
    ]


def _run(out: Path, tasks: str, seed: int) -> Path:
    return out / f"{tasks.replace(' ', '-')}-{seed}"


def _pretrain(out: Path, relist: str, tasks: str, seed: int, settings: list[str]) -> Job:
    run = _run(out, tasks, seed)
    options = ["--out", str(run), "--config", "tiny", "--exclude-groups", relist]
    resume = ["--resume"] if run.exists() else []
    chosen = [*TASKS[tasks], *settings, f"training.seed={seed}"]
    return run / "model", [ITEM, "pretrain", str(out / "fashion"), *options, *resume, *chosen], None


def _evaluate(out: Path, relist: str, run: Path) -> list[Job]:
    jobs: list[Job] = []
    for modalities in ("both", "image", "title"):
        for data, options in (("fashion", ["--queries", relist, "--by", "kind"]), ("magento2", [])):
            file = run / f"{data}-{modalities}.json"
            command = [ITEM, "evaluate", str(run / "model"), str(out / data), "--modalities", modalities, "--json"]
            jobs.append((file, [*command, *options], file))
    file = run / "reconstruction.json"
    command = [ITEM, "evaluate", str(run / "model"), str(out / "fashion"), "--task", "reconstruction", "--json"]
    return [*jobs, (file, command, file)]


def _simple(out: Path, relist: str) -> list[Job]:
    jobs: list[Job] = []
    for data, options in (("fashion", ["--queries", relist, "--by", "kind"]), ("magento2", [])):
        file = out / f"{data}-simple.json"
        jobs.append((file, [ITEM, "evaluate", "simple", str(out / data), "--baselines", "--json", *options], file))
    return jobs


def _print_tables(out: Path, seeds: list[int]) -> None:
    for data in ("fashion", "magento2"):
        print(f"\n{data}\n\n| method | sees | hit@1 | macro recall@10 | MAP@10 |\n|---|---|---|---|---|")
        simple = _read(out / f"{data}-simple.json")
        methods = {"simple": {"modalities": "both", **simple}, **simple["baselines"]}
        for name, figures in methods.items():
            cells = " | ".join(_interval(figures[figure]) for figure in FIGURES)
            print(f"| {name} | {figures['modalities']} | {cells} |")
        for tasks in TASKS:
            for modalities in ("both", "image", "title"):
                results = [_read(_run(out, tasks, seed) / f"{data}-{modalities}.json") for seed in seeds]
                cells = " | ".join(_over_seeds([result[figure] for result in results]) for figure in FIGURES)
                print(f"| {tasks} | {modalities} | {cells} |")
    print("\nreconstruction of held-out rows\n\n| tasks | figure | model | position only |\n|---|---|---|---|")
    for tasks in TASKS:
        results = [_read(_run(out, tasks, seed) / "reconstruction.json") for seed in seeds]
        for name in results[0]["model"]:
            alone = _over_seeds([result["position_only"][name.split("_")[1]] for result in results])
            print(f"| {tasks} | {name} | {_over_seeds([result['model'][name] for result in results])} | {alone} |")


def _read(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text(encoding="utf8")))


def _interval(figure: dict[str, float]) -> str:
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def _over_seeds(figures: list[dict[str, float]]) -> str:
    """The mean over seeds, the mean of their 95 % intervals, and the lowest and highest seed."""
    value, low, high = (statistics.mean(figure[key] for figure in figures) for key in ("value", "low", "high"))
    values = [figure["value"] for figure in figures]
    return f"{value:.3f} [{low:.3f}, {high:.3f}] ({min(values):.3f}-{max(values):.3f})"


if __name__ == "__main__":
    main()
