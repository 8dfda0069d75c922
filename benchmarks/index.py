"""How right, how fast and how large a product index is, beside faiss, usearch and hnswlib bare.

    pip install usearch hnswlib
    python benchmarks/index.py --out runs/index                                   # 10,000, 100,000, 1,000,000 products
    python benchmarks/index.py --out runs/index --products 10000 --dimension 192

Vectors lie in clusters of about fifty, as listings do; random ones are a worst case that no shop has. Every method is
built and asked in a process of its own, with as many threads as the machine gives it (OMP_NUM_THREADS). The peers hold
nothing but vectors and give numbers of rows; the product index also keeps, filters and shows the products. Peers are
asked with growing breadth (ef), and the first is shown that finds as much as the product index does, or their broadest.

recall      of the ten nearest by exact float32 products, the share found; a tie with the tenth counts as found
single      queries one by one: a second, median and 99th percentile in milliseconds
batched     queries a second, a thousand at once
10 %, 0.5 % the same one by one through a filter that so many products pass: by `where` here, by a selector in faiss
update      seconds until one product in a hundred is changed, by comparing all
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import psutil
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.embedding.vectors import Vectors
from item_embed.search.index import ProductIndex
from item_embed.search.snapshot import BUILD_BREADTH, NEIGHBOURS

K = 10
QUERIES = 1000
CLUSTER = 50
SHARES = {"all": 1000, "10 %": 100, "0.5 %": 5}  # thousandths of the products that pass
BREADTHS = (16, 32, 64, 128, 256, 512)

Search = Callable[[NDArray[np.float32]], NDArray[np.int64]]


def main() -> None:
    """Measure every method at every size, and print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for vectors and indexes")
    parser.add_argument("--products", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--one", choices=METHODS, help=argparse.SUPPRESS)  # in a process of its own
    parser.add_argument("--wanted", type=float, default=0.0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for products in arguments.products:
        bench = Bench.drawn(arguments.out / f"{products}-{arguments.dimension}", products, arguments.dimension)
        if arguments.one:
            print(json.dumps(METHODS[arguments.one](bench, arguments.wanted)))
            continue
        wanted, rows = 0.0, {}
        for name in METHODS:
            command = [sys.executable, __file__, "--out", str(arguments.out), "--products", str(products)]
            command += ["--dimension", str(arguments.dimension), "--one", name, "--wanted", str(wanted)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            rows[name] = json.loads(done.stdout)
            wanted = wanted or rows[name]["all"]["recall"]
        print_table(products, arguments.dimension, rows)


@dataclass(frozen=True)
class Bench:
    """Vectors, queries, and what is right: by share of the products that pass, the tenth cosine of every query."""

    folder: Path
    vectors: NDArray[np.float32]
    queries: NDArray[np.float32]
    tenths: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    @classmethod
    def drawn(cls, folder: Path, products: int, dimension: int) -> "Bench":
        """Draw them, or read those of an earlier run."""
        file = folder / "drawn.npz"
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng(0)
            centres = rng.standard_normal((max(1, products // CLUSTER), dimension), np.float32)
            near = np.concatenate([rng.integers(len(centres), size=products), rng.integers(len(centres), size=QUERIES)])
            vectors = np.empty((len(near), dimension), np.float32)
            for start in range(0, len(near), 1 << 16):
                part = centres[near[start : start + (1 << 16)]]
                part = part + 0.7 * rng.standard_normal(part.shape, np.float32)
                vectors[start : start + (1 << 16)] = part / np.linalg.norm(part, axis=1, keepdims=True)
            with file.with_suffix(".partial").open("wb") as aside:
                np.savez(aside, vectors=vectors)
            file.with_suffix(".partial").rename(file)
        vectors = np.load(file)["vectors"]
        bench = cls(folder, vectors[:products], vectors[products:])
        for name, share in SHARES.items():
            bench.tenths[name] = _tenths(bench.queries, bench.vectors[bench.passing(share)])
        return bench

    def passing(self, share: int) -> NDArray[np.int64]:
        """The rows that pass a filter: `n < share` in the metadata."""
        return np.flatnonzero(_numbers(len(self.vectors)) < share)

    def recall(self, name: str, found: NDArray[np.int64]) -> float:
        """The share of the ten nearest that was found; -1 is nothing."""
        cosines = np.einsum("qkd,qd->qk", self.vectors[found], self.queries[: len(found)])
        right = (cosines >= self.tenths[name][: len(found), None] - 1e-6) & (found >= 0)
        return float(right.sum(axis=1).clip(max=K).mean() / K)


def _numbers(products: int) -> NDArray[np.int64]:
    return np.random.default_rng(1).integers(1000, size=products)


def _tenths(queries: NDArray[np.float32], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    blocks = [queries[start : start + 50] @ vectors.T for start in range(0, len(queries), 50)]
    return np.concatenate([np.partition(block, -K, axis=1)[:, -K] for block in blocks])


class Drawn:
    """Passes for the catalogue of these products: titles of one word, a number to filter by, no photos."""

    path = Path("drawn")
    fingerprint = "drawn"

    def __init__(self, products: int, changed: bool) -> None:
        self.ids = [str(row) for row in range(products)]
        self.titles = [f"product {row}" for row in range(products)]
        self.categories = self.product_ids = [None] * products
        self.photo_pixels = np.full(products, -1)
        self._numbers = _numbers(products)
        self._changed = changed

    def __len__(self) -> int:
        return len(self.ids)

    def metadata(self, row: int) -> dict[str, Any]:
        """Every hundredth product has another seller tonight."""
        return {"n": int(self._numbers[row]), "seller": "B" if self._changed and row % 100 == 0 else "A"}


def measure_ours(bench: Bench, _: float) -> dict[str, Any]:
    """`ProductIndex`."""
    folder = bench.folder / "index"
    shutil.rmtree(folder, ignore_errors=True)
    products = len(bench.vectors)
    vectors = Vectors([str(row) for row in range(products)], bench.vectors, "drawn", "drawn")
    row: dict[str, Any] = {}
    with timed(row, "build"):
        ProductIndex.build(vectors, cast("Catalog", Drawn(products, False)), folder).close()
    row["disk"] = _size(folder)
    before = psutil.Process().memory_info().rss
    index = ProductIndex.open(folder)
    for name, share in SHARES.items():
        where = None if name == "all" else f"n < {share}"

        def search(queries: NDArray[np.float32], where: str | None = where) -> NDArray[np.int64]:
            hits = index.search(queries, K, "drawn", where)
            return np.array([[int(hit.id) for hit in found] for found in hits])

        row[name] = asked(bench, name, search)
    row["memory"] = psutil.Process().memory_info().rss - before
    with timed(row, "update"):
        assert index.update(vectors, cast("Catalog", Drawn(products, True))).changed == -(-products // 100)
    return row


def measure_faiss(bench: Bench, wanted: float) -> dict[str, Any]:
    """faiss's HNSW graph as the index uses it, and its selectors."""
    import faiss

    graph = faiss.IndexHNSWFlat(bench.vectors.shape[1], NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = BUILD_BREADTH
    file = bench.folder / "faiss"

    def searching(breadth: int, name: str) -> Search:
        options: dict[str, Any] = {"efSearch": breadth}
        if name != "all":
            options["sel"] = faiss.IDSelectorBatch(bench.passing(SHARES[name]))
        parameters = faiss.SearchParametersHNSW(**options)
        return lambda queries: graph.search(queries, K, params=parameters)[1]

    return peer(
        bench,
        wanted,
        file=file,
        build=lambda: graph.add(bench.vectors),
        save=lambda: faiss.write_index(graph, str(file)),
        searching=searching,
    )


def measure_hnswlib(bench: Bench, wanted: float) -> dict[str, Any]:
    """hnswlib; its filters are functions of Python and are left out."""
    import hnswlib

    graph = hnswlib.Index("ip", bench.vectors.shape[1])
    graph.init_index(len(bench.vectors), M=NEIGHBOURS, ef_construction=BUILD_BREADTH)
    file = bench.folder / "hnswlib"

    def searching(breadth: int, name: str) -> Search:
        graph.set_ef(breadth)
        return lambda queries: graph.knn_query(queries, K)[0].astype(np.int64)

    return peer(
        bench,
        wanted,
        file=file,
        build=lambda: graph.add_items(bench.vectors),
        save=lambda: graph.save_index(str(file)),
        searching=searching,
        shares=["all"],
    )


def measure_usearch(bench: Bench, wanted: float) -> dict[str, Any]:
    """usearch, in float32; it has no filters."""
    from usearch.index import Index

    graph: Any = Index(
        ndim=bench.vectors.shape[1], metric="ip", connectivity=NEIGHBOURS, expansion_add=BUILD_BREADTH, dtype="f32"
    )
    file = bench.folder / "usearch"

    def searching(breadth: int, name: str) -> Search:
        graph.expansion_search = breadth
        return lambda queries: np.atleast_2d(np.asarray(graph.search(queries, K).keys).astype(np.int64))

    rows = np.arange(len(bench.vectors))
    return peer(
        bench,
        wanted,
        file=file,
        build=lambda: graph.add(rows, bench.vectors),
        save=lambda: graph.save(str(file)),
        searching=searching,
        shares=["all"],
    )


METHODS: dict[str, Callable[[Bench, float], dict[str, Any]]] = {
    "ProductIndex": measure_ours,
    "faiss": measure_faiss,
    "hnswlib": measure_hnswlib,
    "usearch": measure_usearch,
}


def peer(
    bench: Bench,
    wanted: float,
    *,
    file: Path,
    build: Callable[[], object],
    save: Callable[[], object],
    searching: Callable[[int, str], Search],
    shares: list[str] | None = None,
) -> dict[str, Any]:
    """Build a bare library's graph, find the breadth that finds as much as is wanted, and ask."""
    row: dict[str, Any] = {}
    before = psutil.Process().memory_info().rss
    with timed(row, "build"):
        build()
    row["memory"] = psutil.Process().memory_info().rss - before
    save()
    row["disk"] = _size(file)
    for breadth in BREADTHS:
        row["ef"] = breadth
        if bench.recall("all", searching(breadth, "all")(bench.queries)) >= wanted - 0.0005:
            break
    for name in shares or SHARES:
        row[name] = asked(bench, name, searching(row["ef"], name))
    return row


def asked(bench: Bench, name: str, search: Search) -> dict[str, float]:
    """Ask one by one for up to ten seconds, then all at once."""
    search(bench.queries[:2])
    taken: list[float] = []
    for query in bench.queries[:, None]:
        began = time.perf_counter()
        search(query)
        taken.append(time.perf_counter() - began)
        if sum(taken) > 10:
            break
    began = time.perf_counter()
    found = search(bench.queries)
    batched = len(bench.queries) / (time.perf_counter() - began)
    p50, p99 = np.percentile(taken, [50, 99]) * 1000
    single = len(taken) / sum(taken)
    return {"recall": bench.recall(name, found), "single": single, "p50": p50, "p99": p99, "batched": batched}


def print_table(products: int, dimension: int, rows: dict[str, dict[str, Any]]) -> None:
    """Print what was measured at one size."""
    print(f"\n{products:,} x {dimension}\n")
    print(
        "| | ef | recall | single/s | p50 ms | p99 ms | batched/s | 10 %: recall, p50 ms | 0.5 %: recall, p50 ms ",
        end="",
    )
    print("| build s | update s | memory MB | disk MB |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for name, row in rows.items():
        whole = row["all"]
        cells = [name, str(row.get("ef", "")), f"{whole['recall']:.4f}", f"{whole['single']:,.0f}"]
        cells += [f"{whole['p50']:.2f}", f"{whole['p99']:.2f}", f"{whole['batched']:,.0f}"]
        cells += [
            f"{row[share]['recall']:.3f}, {row[share]['p50']:.2f}" if share in row else ""
            for share in ("10 %", "0.5 %")
        ]
        cells += [f"{row['build']:.1f}", f"{row['update']:.1f}" if "update" in row else ""]
        cells += [f"{row['memory'] / 1e6:,.0f}", f"{row['disk'] / 1e6:,.0f}"]
        print("|", " | ".join(cells), "|", flush=True)


@contextmanager
def timed(row: dict[str, Any], name: str) -> Iterator[None]:
    """Note the seconds that something takes."""
    began = time.perf_counter()
    yield
    row[name] = time.perf_counter() - began


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


if __name__ == "__main__":
    main()
