"""How good `item duplicates` is beside TF-IDF and perceptual hashes at equal precision, and how long it takes.

    python benchmarks/duplicates.py quality run/model fashion --vectors fashion.parquet
    python benchmarks/duplicates.py quality run/model runs/market --draw 1000             # a drawn marketplace
    python benchmarks/duplicates.py speed --out runs/duplicates           # 10,000, 100,000 and 1,000,000 made vectors

`quality` embeds a catalogue, or reads the vectors that an earlier run has kept. For every method and precision it takes
the lowest threshold at which so large a share of the pairs that clusters join is right, by the catalogue's product_id,
so that all are compared at one precision. The simple method is the weighted sum of the cosines of TF-IDF vectors and of
perceptual hashes; its weight is the one with most right pairs, so the table flatters it. `speed` makes vectors of
categories, products and second listings, a third of them duplicates, and runs the whole command over them, but for
reading an index; then once more with 1 % of the vectors changed.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfVectorizer

from item_embed.catalog.drawing.marketplace import draw_marketplace
from item_embed.catalog.drawing.showing import choose
from item_embed.catalog.preparing import prepare
from item_embed.catalog.store import Catalog
from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.embedder import Embedder
from item_embed.embedding.vectors import Vectors, read_vectors, write_vectors
from item_embed.evaluation.duplicates.quality import Quality, cluster_quality
from item_embed.evaluation.learners.hashes import perceptual_hash
from item_embed.progress import OnProgress, Stages, silent
from item_embed.search.duplicates.clusters import cluster
from item_embed.search.duplicates.graph import build_graph
from item_embed.search.duplicates.judged import Judged, RowPairs, pairs_of_listings, units_of
from item_embed.search.duplicates.neighbours import Pairs, united
from item_embed.search.duplicates.nodes import cluster_listings
from item_embed.search.duplicates.run import find_duplicates
from item_embed.search.duplicates.settings import NEIGHBOURS, Settings
from item_embed.search.duplicates.snapshot import open_vectors, take_snapshot
from item_embed.search.duplicates.threshold import Curve, precision_curve
from item_embed.search.exact import tie_keys, top_k
from item_embed.search.index import ProductIndex
from item_embed.search.items import Item

_WEIGHTS = (1.0, 0.8, 0.6, 0.4, 0.2)  # of TF-IDF; the rest is the hash's
_FLOOR, _SIMPLE_FLOOR = 0.5, 0.3  # whitened vectors have lower cosines than others, sums lower ones still
_BLOCK = 256  # rows of the simple method scored at once
_FIGURES = ("pair_precision", "pair_recall", "pair_f1", "b_cubed_precision", "b_cubed_recall", "b_cubed_f1")


@dataclass(frozen=True)
class Simple:
    """TF-IDF vectors, (N, words), and perceptual hashes, (N, 64), whose cosines are summed by weights."""

    words: csr_array
    hashes: NDArray[np.float32]

    @classmethod
    def of(cls, catalog: Catalog) -> "Simple":
        """Of the titles and photos of a catalogue."""
        titles = [title or "" for title in catalog.titles]
        hashes = np.zeros((len(catalog), 64), np.float32)
        for row, photo in enumerate(catalog.iter_photos()):
            if photo is not None:
                hashes[row] = perceptual_hash(photo) / 8
        return cls(csr_array(TfidfVectorizer(dtype=np.float32).fit_transform(titles)), hashes)

    def near(self, rows: NDArray[np.int64], weight: float) -> NDArray[np.float32]:
        """The scores of some rows to each other, (n, n)."""
        return _sum(*self._cosines(rows, csr_array(self.words[rows].T), self.hashes[rows].T), weight)

    def pairs(self, ids: list[str], weights: Sequence[float]) -> dict[float, Pairs]:
        """Each row with its nearest, by weight of TF-IDF."""
        ties, words, hashes = tie_keys(ids), csr_array(self.words.T), np.ascontiguousarray(self.hashes.T)
        parts: dict[float, list[Pairs]] = {weight: [] for weight in weights}
        for start in range(0, len(ids), _BLOCK):
            asked = np.arange(start, min(start + _BLOCK, len(ids)))
            cosines = self._cosines(asked, words, hashes)
            for weight in weights:
                rows, best = top_k(_sum(*cosines, weight), NEIGHBOURS, ties, asked)
                near = best >= _SIMPLE_FLOOR
                parts[weight].append(Pairs(np.broadcast_to(asked[:, None], rows.shape)[near], rows[near], best[near]))
        return {weight: united(found, len(ids)) for weight, found in parts.items()}

    def _cosines(
        self, rows: NDArray[np.int64], words: csr_array, hashes: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Of some rows with columns of words and of hashes, each (n, m)."""
        return (self.words[rows] @ words).toarray(), self.hashes[rows] @ hashes


def _sum(words: NDArray[np.float32], hashes: NDArray[np.float32], weight: float) -> NDArray[np.float32]:
    summed = np.float32(weight) * words + np.float32(1 - weight) * hashes
    return np.asarray(summed.round(5), np.float32)  # the last bits of a product depend on a row's place


class Held:
    """Vectors that pass for an index."""

    path = Path("vectors")

    def __init__(self, ids: list[str], vectors: NDArray[np.float32]) -> None:
        self.ids = ids
        self.vectors = vectors

    def __len__(self) -> int:
        return len(self.vectors)

    def scan(self, block: int = 8192) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """As an index does."""
        for start in range(0, len(self), block):
            yield self.ids[start : start + block], self.vectors[start : start + block]


def main() -> None:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    quality = commands.add_parser("quality")
    quality.add_argument("model", type=Path)
    quality.add_argument("catalog", type=Path)
    quality.add_argument("--vectors", type=Path, help="file of its vectors, written if it is not there")
    quality.add_argument("--draw", type=int, help="products of the marketplace to draw as the catalogue")
    quality.add_argument("--dominance", default="mixed", help="of the one that is drawn, as of `item draw`")
    quality.add_argument("--precision", type=float, nargs="+", default=[0.95, 0.9, 0.8])
    quality.add_argument("--weights", type=float, nargs="+", default=_WEIGHTS, help="of TF-IDF that are tried")
    quality.add_argument("--floor", type=float, default=_FLOOR, help="lowest cosine of the model that is looked at")
    quality.set_defaults(run=run_quality)
    speed = commands.add_parser("speed")
    speed.add_argument("--out", type=Path, required=True, help="folder for what is found")
    speed.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="ascending")
    speed.add_argument("--dimension", type=int, default=192)
    speed.set_defaults(run=lambda given: measure_speed(given.out, given.rows, given.dimension))
    arguments = parser.parse_args()
    arguments.run(arguments)


def run_quality(given: argparse.Namespace) -> None:
    """Draw and embed what is not there, and print the table."""
    if given.draw and not given.catalog.exists():
        feed = given.catalog.with_name(f"{given.catalog.name}-feed")
        draw_marketplace(feed, given.draw, image_size=224, showing=choose(given.dominance))
        prepare(feed / "feed.csv", given.catalog)
    catalog = Catalog(given.catalog)
    compare(_embedded(given.model, catalog, given.vectors), catalog, given.precision, given.floor, given.weights)


def _embedded(model: Path, catalog: Catalog, file: Path | None) -> Vectors:
    if file is not None and file.exists():
        return read_vectors(file)
    vectors = embed_catalog(Embedder.from_pretrained(model), catalog)
    if file is not None:
        write_vectors(file, vectors)
    return vectors


def compare(
    vectors: Vectors, catalog: Catalog, precisions: list[float], floor: float, weights: Sequence[float]
) -> None:
    """Print the table of the model and of the simple method."""
    numbers = {key: number for number, key in enumerate(sorted({p for p in catalog.product_ids if p is not None}))}
    products = np.array([-1 if p is None else numbers[p] for p in catalog.product_ids], np.int64)
    sizes = np.bincount(products[products >= 0])
    print(
        f"{len(catalog):,} listings, {(sizes > 1).sum():,} products of several, {sizes[sizes > 1].sum():,} listings\n"
    )
    print("| method | wanted | threshold |", " | ".join(name.replace("_", " ") for name in _FIGURES), "|")
    print("|" + "---|" * (3 + len(_FIGURES)))
    for name, precision, threshold, quality in chain(
        _by_model(Held(vectors.ids, vectors.vectors), catalog.ids, products, precisions, floor),
        _by_simple(catalog, products, precisions, weights),
    ):
        figures = [
            quality.figures[figure].text() if quality and figure in quality.figures else "" for figure in _FIGURES
        ]
        shown = "not reached" if threshold is None else f"{threshold:.4f}"
        print("|", " | ".join([name, f"{precision:g}", shown, *figures]), "|", flush=True)


_Row = tuple[str, float, float | None, Quality | None]


def _by_model(
    held: Held, ids: list[str], products: NDArray[np.int64], precisions: list[float], floor: float
) -> Iterator[_Row]:
    index = cast("ProductIndex", held)
    snapshot = take_snapshot(index)
    place = {key: row for row, key in enumerate(ids)}
    known = products[[place[key] for key in snapshot.ids]]
    with tempfile.TemporaryDirectory() as folder:
        vectors = np.array(open_vectors(index, snapshot, Path(folder) / "vectors.npy"))
        graph, _ = build_graph(snapshot, vectors, Path(folder) / "blocks", neighbours=NEIGHBOURS, floor=floor)
    curve = _curve(pairs_of_listings(graph, known >= 0), known)

    def near(nodes: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.asarray(np.clip(vectors[nodes] @ vectors[nodes].T, -1, 1), np.float32)

    for precision in precisions:
        yield (
            "model",
            precision,
            *_lowest(curve, precision, lambda at: cluster_listings(snapshot, graph.pairs, near, at)[0], known),
        )


def _by_simple(
    catalog: Catalog, products: NDArray[np.int64], precisions: list[float], weights: Sequence[float]
) -> Iterator[_Row]:
    simple = Simple.of(catalog)
    pairs = simple.pairs(catalog.ids, weights)
    curves = {
        weight: _curve(RowPairs(found.first, found.second, found.cosine), products) for weight, found in pairs.items()
    }
    for precision in precisions:
        weight = max(weights, key=lambda weight: _right(curves[weight], precision))
        yield (
            f"{weight:g} TF-IDF + {1 - weight:.1g} hash",
            precision,
            *_lowest(curves[weight], precision, partial(_clusters, simple, pairs[weight], weight), products),
        )


def _clusters(simple: Simple, pairs: Pairs, weight: float, threshold: float) -> NDArray[np.int64]:
    return cluster(pairs, len(simple.hashes), threshold, partial(simple.near, weight=weight)).labels


def _curve(pairs: RowPairs, products: NDArray[np.int64]) -> Curve:
    known = pairs.subset((products[pairs.first] >= 0) & (products[pairs.second] >= 0))
    same = products[known.first] == products[known.second]
    return precision_curve(Judged(known, same, np.ones(len(known)), units_of(known, products), ""))


def _lowest(
    curve: Curve, wanted: float, clusters: Callable[[float], NDArray[np.int64]], products: NDArray[np.int64]
) -> tuple[float | None, Quality | None]:
    """The lowest threshold whose clusters have the precision, of some dozens that are tried, and their figures."""
    places = [int(place) - 1 for place in np.unique(np.geomspace(1, len(curve), 40).astype(np.int64))]
    best, failed = -1, len(curve)
    for place in places:
        precision = _precision(clusters(float(curve.threshold[place])), products)
        if precision >= wanted:
            best, failed = place, len(curve)
        else:
            failed = min(failed, place)
        if precision < wanted / 2:  # more pairs will not mend that
            break
    while best >= 0 and failed - best > 1:
        place = (best + failed) // 2
        enough = _precision(clusters(float(curve.threshold[place])), products) >= wanted
        best, failed = (place, failed) if enough else (best, place)
    if best < 0:
        return None, None
    threshold = float(curve.threshold[best])
    return threshold, cluster_quality(clusters(threshold), products)


def _precision(clusters: NDArray[np.int64], products: NDArray[np.int64]) -> float:
    """Of the pairs of known products that clusters join, the share that is right; 1 of none."""
    known = products >= 0
    both = np.stack([clusters[known], products[known]], axis=1)
    joined, right = (
        (sizes * (sizes - 1)).sum()
        for sizes in (np.unique(both[:, 0], return_counts=True)[1], np.unique(both, axis=0, return_counts=True)[1])
    )
    return float(right / joined) if joined else 1.0


def _right(curve: Curve, precision: float) -> float:
    """How many right pairs there are at that threshold."""
    enough = np.flatnonzero(curve.precision >= precision)
    return float(curve.precision[enough[-1]] * curve.answers[enough[-1]]) if len(enough) else 0.0


class Made(Held):
    """Made vectors: what reading an index costs is left out."""

    def __init__(self, rows: int, dimension: int, changed: float = 0.0) -> None:
        generator = np.random.default_rng(0)
        products = generator.permutation(np.arange(rows) * 2 // 3)  # every second product has two listings
        self.products = products
        wide = generator.standard_normal((max(1, rows // 300), dimension), np.float32)
        super().__init__([f"id {row}" for row in range(rows)], np.empty((rows, dimension), np.float32))
        for start in range(0, rows, 1 << 16):
            part = products[start : start + (1 << 16)]
            own = np.stack([np.random.default_rng(int(p)).standard_normal(dimension, np.float32) for p in part])
            noise = np.random.default_rng(rows + start).standard_normal(own.shape, np.float32)
            vectors = wide[part % len(wide)] + 0.6 * own + 0.2 * noise
            self.vectors[start : start + len(part)] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        if changed:
            again = generator.choice(rows, int(rows * changed), replace=False)
            self.vectors[again] = np.roll(self.vectors[again], 1, axis=1)

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
