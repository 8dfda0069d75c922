"""What it costs that a catalogue lies in an object store: seconds and requests, beside the same one on a local disk.

    python benchmarks/remote.py catalog [--delay 0.02] [--rounds 3]

The store is an S3 server of this process (moto), so its work counts as well; `far` is the same one when every request
waits, as for a server that is a network away. Rounds are interleaved, figures are medians.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import fsspec
import numpy as np

from item_embed.catalog.store import Catalog

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.stores import Store

_BATCH = 256
Reading = Callable[[Catalog], int]


def _columns(catalog: Catalog) -> int:
    _ = catalog.ids, catalog.titles, catalog.splits, catalog.groups, catalog.has_photo
    return len(catalog)


def _in_order(catalog: Catalog) -> int:
    return sum(1 for _ in catalog.iter_listings())


def _drawn(catalog: Catalog) -> int:
    rows = np.random.default_rng(0).choice(len(catalog), min(_BATCH, len(catalog)), replace=False)
    return len(catalog.photos(rows))


def _opening(catalog: Catalog) -> int:
    return len(Catalog(catalog.path))


READINGS: dict[str, Reading] = {
    "opening": _opening,
    "small columns": _columns,
    "all listings, in order": _in_order,
    "photos of 256 rows drawn": _drawn,
}


@dataclass(frozen=True)
class Cost:
    """What a reading took: seconds by the clock and of this process's cores, the server's too; rows and requests."""

    seconds: float
    busy: float
    rows: int
    requests: int


def measure(catalog: Path, delay: float, rounds: int) -> dict[str, dict[str, Cost]]:
    """Reading -> place -> cost, medians of the times."""
    with Store().running() as store:
        store.make("shop")
        fsspec.filesystem("s3").put(str(catalog), "shop/catalog", recursive=True)
        places = {
            "local": (str(catalog), 0.0),
            "store": ("s3://shop/catalog", 0.0),
            "far": ("s3://shop/catalog", delay),
        }
        found: dict[str, dict[str, list[Cost]]] = {name: {place: [] for place in places} for name in READINGS}
        for name, reading in READINGS.items():
            for _ in range(rounds):
                for place, (path, wait) in places.items():
                    found[name][place].append(_cost(store, path, wait, reading))
    return {name: {place: _median(costs) for place, costs in of.items()} for name, of in found.items()}


def _cost(store: Store, path: str, delay: float, reading: Reading) -> Cost:
    opened = Catalog(path)
    store.requests.clear()
    store.delay = delay
    seconds, busy = perf_counter(), process_time()
    rows = reading(opened)
    seconds, busy = perf_counter() - seconds, process_time() - busy
    store.delay = 0.0
    return Cost(seconds, busy, rows, len(store.requests))


def _median(costs: Sequence[Cost]) -> Cost:
    return replace(costs[0], seconds=median(cost.seconds for cost in costs), busy=median(cost.busy for cost in costs))


def main() -> None:
    """Print a line for each reading."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("--delay", type=float, default=0.02, help="seconds that each request of `far` waits")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    for name, places in measure(arguments.catalog, arguments.delay, arguments.rounds).items():
        for place, cost in places.items():
            rates = f"{cost.rows / cost.seconds:9,.0f} rows/s, {cost.rows / cost.busy:9,.0f} rows a second of a core"
            print(f"{name:26} {place:6} {cost.seconds:7.2f} s {cost.requests:5} requests {rates}", flush=True)


if __name__ == "__main__":
    main()
