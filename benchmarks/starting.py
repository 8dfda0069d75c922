"""How soon a run makes its first step, and what memory it takes, as catalogues grow.

    python benchmarks/starting.py runs/preparing/catalog-10000 runs/preparing/catalog-1000000

For each catalogue (of `item prepare`; benchmarks/preparing.py makes some) it runs `item pretrain` with `tiny` for some
steps and watches the process: seconds from its start, imports included, until the first step is logged, and the most
memory at any time. Decoded photos are not kept, as they are not in a large catalogue, and every step reads photos from
all over it.
"""

import argparse
import json
import tempfile
import threading
import time
from pathlib import Path

from watching import run_item


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogs", type=Path, nargs="+")
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()
    print("| rows | first step after, s | peak memory, MB |\n|---|---|---|")
    taken: list[tuple[int, int]] = []
    for catalog in arguments.catalogs:
        rows = int(json.loads((catalog / "manifest.json").read_text(encoding="utf8"))["splits"]["train"])
        first, memory = measure(catalog, arguments.steps)
        taken.append((rows, memory))
        print(f"| {rows:,} | {first:.1f} | {memory / 1e6:,.0f} |", flush=True)
    (least, low), (most, high) = min(taken), max(taken)
    if most > least:
        print(f"\nbytes of memory for each further row: {(high - low) / (most - least):.0f}")


def measure(catalog: Path, steps: int) -> tuple[float, int]:
    """Seconds to the first step, and the peak of memory in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        settings = [f"training.steps={steps}", "training.warmup_steps=2", "training.log_every=1"]
        quiet = ["training.pixel_cache_mb=0", f"training.validate_every={steps}", f"training.checkpoint_every={steps}"]
        options = ["--out", str(run), "--config", "tiny", *settings, *quiet]
        clock = _UntilWritten(run / "metrics.jsonl")
        clock.start()
        cost = run_item(["pretrain", str(catalog), *options])
        clock.join()
        return clock.seconds, cost.memory


class _UntilWritten(threading.Thread):
    """Waits until a file has something in it."""

    def __init__(self, file: Path) -> None:
        super().__init__(daemon=True)
        self._file = file
        self.seconds = float("nan")

    def run(self) -> None:
        began = time.monotonic()
        while not (self._file.is_file() and self._file.stat().st_size):
            time.sleep(0.02)
        self.seconds = time.monotonic() - began


if __name__ == "__main__":
    main()
