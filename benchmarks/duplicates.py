"""How good `item duplicates` is beside TF-IDF and perceptual hashes at equal precision, and how long it takes.

    python benchmarks/duplicates.py quality index catalog                 # against the catalogue's product_id
    python benchmarks/duplicates.py quality index catalog --precision 0.95 0.9 0.5
    python benchmarks/duplicates.py speed --out runs/duplicates           # 10,000, 100,000 and 1,000,000 made vectors

`quality` takes an index (`item index`) and its catalogue. For every method and precision it takes the lowest threshold
at which so large a share of near pairs is right, clusters by it, and measures the clusters. The simple method is the
weighted sum of the cosines of TF-IDF vectors and of perceptual hashes; its weight is the one with most right pairs, so
the table flatters it. `speed` makes vectors of categories, products and second listings, a third of them duplicates,
and runs the whole command over them, but for reading an index; then once more with 1 % of the vectors changed.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfVectorizer

from item_embed.catalog.store import Catalog
from item_embed.evaluation.duplicates.quality import Quality, cluster_quality
from item_embed.evaluation.learners.hashes import perceptual_hash
from item_embed.progress import OnProgress, Stages, silent
from item_embed.search.duplicates.clusters import cluster
from item_embed.search.duplicates.graph import build_graph
from item_embed.search.duplicates.judged import Judged, RowPairs, pairs_of_listings, units_of
from item_embed.search.duplicates.neighbours import Pairs, united
from item_embed.search.duplicates.nodes import cluster_listings
from item_embed.search.duplicates.run import find_duplicates
from item_embed.search.duplicates.settings import FLOOR, NEIGHBOURS, Settings
from item_embed.search.duplicates.snapshot import open_vectors, take_snapshot
from item_embed.search.duplicates.threshold import Curve, precision_curve
from item_embed.search.exact import tie_keys, top_k
from item_embed.search.index import ProductIndex
from item_embed.search.items import Item

_WEIGHTS = (1.0, 0.8, 0.6, 0.4, 0.2)  # of TF-IDF; the rest is the hash's
_SIMPLE_FLOOR = 0.3  # its sums lie lower than a model's cosines
_BLOCK = 256  # rows of the simple method scored at once
_FIGURES = ("pair_precision", "pair_recall", "pair_f1", "b_cubed_precision", "b_cubed_recall", "b_cubed_f1")


@dataclass(frozen=True)
class Simple:
    """A weighted sum of the cosines of TF-IDF vectors, (N, words), and of perceptual hashes, (N, 64)."""

    words: csr_array
    hashes: NDArray[np.float32]
    weight: float

    def near(self, nodes: NDArray[np.int64]) -> NDArray[np.float32]:
        """The scores of some rows to each other, (n, n)."""
        return self._scores(nodes, csr_array(self.words[nodes].T), self.hashes[nodes].T)

    def pairs(self, ids: list[str]) -> Pairs:
        """Each row with its nearest."""
        ties, words, hashes = tie_keys(ids), csr_array(self.words.T), np.ascontiguousarray(self.hashes.T)
        parts = []
        for start in range(0, len(ids), _BLOCK):
            asked = np.arange(start, min(start + _BLOCK, len(ids)))
            rows, best = top_k(self._scores(asked, words, hashes), NEIGHBOURS, ties, asked)
            near = best >= _SIMPLE_FLOOR
            parts.append(Pairs(np.broadcast_to(asked[:, None], rows.shape)[near], rows[near], best[near]))
        return united(parts, len(ids))

    def _scores(self, rows: NDArray[np.int64], words: csr_array, hashes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of some rows with columns of words and hashes, (n, m)."""
        summed = np.float32(self.weight) * (self.words[rows] @ words).toarray()
        summed += np.float32(1 - self.weight) * (self.hashes[rows] @ hashes)
        return np.asarray(summed.round(5), np.float32)  # the last bits of a product depend on a row's place


def main() -> None:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    quality = commands.add_parser("quality")
    quality.add_argument("index", type=Path)
    quality.add_argument("catalog", type=Path)
    quality.add_argument("--precision", type=float, nargs="+", default=[0.95, 0.9, 0.8])
    quality.add_argument("--weights", type=float, nargs="+", default=_WEIGHTS, help="of TF-IDF that are tried")
    quality.add_argument("--floor", type=float, default=FLOOR, help="lowest cosine of the model that is looked at")
    quality.set_defaults(
        run=lambda given: compare(given.index, given.catalog, given.precision, given.floor, given.weights)
    )
    speed = commands.add_parser("speed")
    speed.add_argument("--out", type=Path, required=True, help="folder for what is found")
    speed.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="ascending")
    speed.add_argument("--dimension", type=int, default=192)
    speed.set_defaults(run=lambda given: measure_speed(given.out, given.rows, given.dimension))
    arguments = parser.parse_args()
    arguments.run(arguments)


def compare(index: Path, catalog: Path, precisions: list[float], floor: float, weights: Sequence[float]) -> None:
    """Print the table of the model and of the simple method."""
    opened = Catalog(catalog)
    numbers = {key: number for number, key in enumerate(sorted({p for p in opened.product_ids if p is not None}))}
    products = np.array([-1 if p is None else numbers[p] for p in opened.product_ids], np.int64)
    print("| method | wanted | threshold |", " | ".join(name.replace("_", " ") for name in _FIGURES), "|")
    print("|" + "---|" * (3 + len(_FIGURES)))
    for name, precision, threshold, quality in chain(
        _by_model(ProductIndex.open(index), opened.ids, products, precisions, floor),
        _by_simple(opened, products, precisions, weights),
    ):
        figures = [quality.figures[figure].text() if quality else "" for figure in _FIGURES]
        shown = "not reached" if threshold is None else f"{threshold:.4f}"
        print("|", " | ".join([name, f"{precision:g}", shown, *figures]), "|", flush=True)


_Row = tuple[str, float, float | None, Quality | None]


def _by_model(
    index: ProductIndex, ids: list[str], products: NDArray[np.int64], precisions: list[float], floor: float
) -> Iterator[_Row]:
    snapshot = take_snapshot(index)
    place = {key: row for row, key in enumerate(ids)}
    known = products[[place[key] for key in snapshot.ids]]
    with tempfile.TemporaryDirectory() as folder:
        vectors = np.array(open_vectors(index, snapshot, Path(folder) / "vectors.npy"))
        graph, _ = build_graph(snapshot, vectors, Path(folder) / "blocks", neighbours=NEIGHBOURS, floor=floor)
    curve = _curve(pairs_of_listings(graph, known >= 0), known)
    for precision in precisions:
        threshold = _lowest(curve, precision)
        labels = None
        if threshold is not None:
            labels, _ = cluster_listings(
                snapshot,
                graph.pairs,
                lambda nodes: np.clip(vectors[nodes] @ vectors[nodes].T, -1, 1),
                threshold,
            )
        yield "model", precision, threshold, None if labels is None else cluster_quality(labels, known)


def _by_simple(
    catalog: Catalog, products: NDArray[np.int64], precisions: list[float], weights: Sequence[float]
) -> Iterator[_Row]:
    titles = [title or "" for title in catalog.titles]
    words = csr_array(TfidfVectorizer(dtype=np.float32).fit_transform(titles))
    hashes = np.zeros((len(catalog), 64), np.float32)
    for row, photo in enumerate(catalog.iter_photos()):
        if photo is not None:
            hashes[row] = perceptual_hash(photo) / 8
    tried = {}
    for weight in weights:
        simple = Simple(words, hashes, weight)
        pairs = simple.pairs(catalog.ids)
        tried[weight] = simple, pairs, _curve(RowPairs(pairs.first, pairs.second, pairs.cosine), products)
    for precision in precisions:
        weight = max(tried, key=lambda weight: _right(tried[weight][2], precision))
        simple, pairs, curve = tried[weight]
        threshold = _lowest(curve, precision)
        quality = None
        if threshold is not None:
            found = cluster(pairs, len(catalog), threshold, simple.near)
            quality = cluster_quality(found.labels, products)
        yield f"{weight:g} TF-IDF + {1 - weight:.1g} hash", precision, threshold, quality


def _curve(pairs: RowPairs, products: NDArray[np.int64]) -> Curve:
    known = pairs.subset((products[pairs.first] >= 0) & (products[pairs.second] >= 0))
    same = products[known.first] == products[known.second]
    return precision_curve(Judged(known, same, np.ones(len(known)), units_of(known, products), ""))


def _lowest(curve: Curve, precision: float) -> float | None:
    """The lowest threshold that has the precision, by its estimate: all pairs are judged."""
    enough = np.flatnonzero(curve.precision >= precision)
    return float(curve.threshold[enough[-1]]) if len(enough) else None


def _right(curve: Curve, precision: float) -> float:
    """How many right pairs there are at that threshold."""
    enough = np.flatnonzero(curve.precision >= precision)
    return float(curve.precision[enough[-1]] * curve.answers[enough[-1]]) if len(enough) else 0.0


class Made:
    """Vectors that pass for an index: what reading one costs is left out."""

    def __init__(self, rows: int, dimension: int, changed: float = 0.0) -> None:
        self.path = Path("made")
        generator = np.random.default_rng(0)
        products = generator.permutation(np.arange(rows) * 2 // 3)  # every second product has two listings
        self.products = products
        wide = generator.standard_normal((max(1, rows // 300), dimension), np.float32)
        self.vectors = np.empty((rows, dimension), np.float32)
        for start in range(0, rows, 1 << 16):
            part = products[start : start + (1 << 16)]
            own = np.stack([np.random.default_rng(int(p)).standard_normal(dimension, np.float32) for p in part])
            noise = np.random.default_rng(rows + start).standard_normal(own.shape, np.float32)
            vectors = wide[part % len(wide)] + 0.6 * own + 0.2 * noise
            self.vectors[start : start + len(part)] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        if changed:
            again = generator.choice(rows, int(rows * changed), replace=False)
            self.vectors[again] = np.roll(self.vectors[again], 1, axis=1)

    def __len__(self) -> int:
        return len(self.vectors)

    def scan(self, block: int = 8192) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """As an index does."""
        for start in range(0, len(self), block):
            part = self.vectors[start : start + block]
            yield [f"id {row}" for row in range(start, start + len(part))], part

    def items(self, ids: Sequence[str]) -> dict[str, Item]:
        """As an index does."""
        return {key: Item(key, "a title", None, f"p{self.products[int(key[3:])]}") for key in ids}


def measure_speed(out: Path, sizes: list[int], dimension: int) -> None:
    """Print the table of sizes."""
    out.mkdir(parents=True, exist_ok=True)
    settings = Settings(threshold=0.9)
    print("| rows | seconds | CPU seconds | of them neighbours | peak MB | pairs found | B-cubed F1 | 1 % changed, s |")
    print("|---|---|---|---|---|---|---|---|")
    for rows in sizes:
        with tempfile.TemporaryDirectory(dir=out) as folder:
            made = Made(rows, dimension)
            stages: dict[str, float] = {}
            began, cpu = time.perf_counter(), time.process_time()
            totals = find_duplicates(
                cast("ProductIndex", made), Path(folder) / "found", settings, stages=_timed(stages)
            )
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
            labels = _labels(Path(folder) / "found")
            quality = cluster_quality(labels, made.products) if rows <= 100_000 else None
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
            later = cast("ProductIndex", Made(rows, dimension, changed=0.01))
            began = time.perf_counter()
            find_duplicates(later, Path(folder) / "found", settings)
            updated = time.perf_counter() - began
        recall = totals["recall_of_pairs"]["at_threshold"]
        columns = [f"{rows:,}", f"{seconds:.0f}", f"{cpu:.0f}", f"{stages['searching neighbours']:.0f}"]
        columns += [f"{memory:,.0f}"]
        columns += [f"{recall['found']:,} of {recall['of']:,}"]
        columns += [quality.figures["b_cubed_f1"].text() if quality else "", f"{updated:.0f}"]
        print("|", " | ".join(columns), "|", flush=True)


def _timed(stages: dict[str, float]) -> Stages:
    """Keep the CPU seconds of each stage."""

    @contextmanager
    def stage(label: str) -> Iterator[OnProgress]:
        began = time.process_time()
        yield silent
        stages[label] = time.process_time() - began

    return stage


def _labels(folder: Path) -> NDArray[np.int64]:
    table = pq.ParquetFile(folder / "clusters.parquet").read(columns=["cluster"])
    return np.asarray(table["cluster"].to_numpy(), np.int64)


if __name__ == "__main__":
    main()
