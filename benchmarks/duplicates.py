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
from item_embed.embedding.vectors import Vectors, read_vectors, write_vectors
from item_embed.evaluation.duplicates.quality import cluster_quality
from item_embed.progress import OnProgress, Stages, silent
from item_embed.search.duplicates.clusters import cluster
from item_embed.search.duplicates.graph import build_graph
from item_embed.search.duplicates.neighbours import Pairs, united
from item_embed.search.duplicates.nodes import cluster_listings
from item_embed.search.duplicates.run import find_duplicates
from item_embed.search.duplicates.settings import NEIGHBOURS, Settings
from item_embed.search.duplicates.snapshot import open_vectors, take_snapshot
from item_embed.search.exact import tie_keys, top_k
from item_embed.search.index import ProductIndex
from item_embed.search.items import Item

_WEIGHTS = (1.0, 0.8, 0.6, 0.4, 0.2)  # of TF-IDF; the rest is the hash's
_FLOOR, _SIMPLE_FLOOR = 0.5, 0.3  # whitened vectors have lower cosines than others, sums lower ones still
_TRIED = 40  # thresholds, before the lowest that is good is closed in on
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
        from item_embed.evaluation.learners.hashes import perceptual_hash  # brings torch, whose memory is no vector's

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
    from item_embed.embedding.embedder import Embedder

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
    model = [_by_model(Held(vectors.ids, vectors.vectors), catalog.ids, products, floor)]
    for name, methods in (("model", model), ("TF-IDF + hash", _by_simple(catalog, products, weights))):
        for precision in precisions:
            print("|", " | ".join(_cells(name, methods, precision)), "|", flush=True)


def _cells(name: str, methods: list["Method"], precision: float) -> list[str]:
    """The figures of the one that finds most at a precision."""
    places = {method.name: (method, place) for method in methods if (place := method.lowest(precision)) is not None}
    if not places:
        return [name, f"{precision:g}", "not reached", *[""] * len(_FIGURES)]
    method, place = max(places.values(), key=lambda one: one[0].counts(one[1])[0])
    quality = cluster_quality(method.clusters(place), method.products)
    assert quality is not None
    figures = [quality.figures[figure].text() if figure in quality.figures else "" for figure in _FIGURES]
    return [method.name, f"{precision:g}", f"{method.thresholds[place]:.4f}", *figures]


class Method:
    """Clusters by threshold, against the true products.

    Args:
        name: of the method.
        scores: of its near pairs.
        cluster: gives the cluster of each listing, (N,), at a threshold.
        products: (N,) the product of each listing, or -1.
    """

    def __init__(
        self,
        name: str,
        scores: NDArray[np.float32],
        cluster: Callable[[float], NDArray[np.int64]],
        products: NDArray[np.int64],
    ) -> None:
        self.name = name
        self.products = products
        self.thresholds = np.unique(np.append(scores, np.float32(1)))[::-1]
        self._cluster = cluster
        self._counts: dict[int, tuple[int, int]] = {}

    def clusters(self, place: int) -> NDArray[np.int64]:
        """The cluster of each listing at one of the thresholds."""
        return self._cluster(float(self.thresholds[place]))

    def counts(self, place: int) -> tuple[int, int]:
        """Of the pairs of known products that its clusters join, how many are right, and how many there are."""
        if place not in self._counts:
            known = self.products >= 0
            both = np.stack([self.clusters(place)[known], self.products[known]], axis=1)
            joined = np.unique(both[:, 0], return_counts=True)[1]
            right = np.unique(both, axis=0, return_counts=True)[1]
            self._counts[place] = int((right * (right - 1)).sum() // 2), int((joined * (joined - 1)).sum() // 2)
        return self._counts[place]

    def lowest(self, precision: float) -> int | None:
        """The lowest threshold of some dozens that are tried whose clusters have the precision; None if none has."""
        tried = np.unique(np.geomspace(1, len(self.thresholds), _TRIED).astype(np.int64) - 1).tolist()
        best, failed = -1, len(self.thresholds)
        for place in tried:
            right, joined = self.counts(place)
            if joined and right >= precision * joined:
                best, failed = place, len(self.thresholds)
            elif joined:
                failed = min(failed, place)
                if right < precision / 2 * joined:  # more pairs will not mend that
                    break
        while best >= 0 and failed - best > 1:
            place = (best + failed) // 2
            right, joined = self.counts(place)
            best, failed = (place, failed) if right >= precision * joined else (best, place)
        return best if best >= 0 else None


def _by_model(held: Held, ids: list[str], products: NDArray[np.int64], floor: float) -> Method:
    index = cast("ProductIndex", held)
    snapshot = take_snapshot(index)
    with tempfile.TemporaryDirectory() as folder:
        vectors = np.array(open_vectors(index, snapshot, Path(folder) / "vectors.npy"))
        graph, _ = build_graph(snapshot, vectors, Path(folder) / "blocks", neighbours=NEIGHBOURS, floor=floor)
    place = {key: row for row, key in enumerate(ids)}
    known = products[[place[key] for key in snapshot.ids]]

    def near(nodes: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.asarray(np.clip(vectors[nodes] @ vectors[nodes].T, -1, 1), np.float32)

    def clusters(threshold: float) -> NDArray[np.int64]:
        return cluster_listings(snapshot, graph.pairs, near, threshold)[0]

    return Method("model", graph.pairs.cosine, clusters, known)


def _by_simple(catalog: Catalog, products: NDArray[np.int64], weights: Sequence[float]) -> list[Method]:
    simple = Simple.of(catalog)

    def clusters(pairs: Pairs, weight: float, threshold: float) -> NDArray[np.int64]:
        return cluster(pairs, len(catalog), threshold, partial(simple.near, weight=weight)).labels

    return [
        Method(
            f"{weight:g} TF-IDF + {1 - weight:.1g} hash" if weight < 1 else "TF-IDF alone",
            pairs.cosine,
            partial(clusters, pairs, weight),
            products,
        )
        for weight, pairs in simple.pairs(catalog.ids, weights).items()
    ]


class Made(Held):
    """Made vectors: what reading an index costs is left out."""

    fingerprint = "made"

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

    def items_without_photos(self, ids: Sequence[str]) -> dict[str, tuple[Item, bool]]:
        """As an index does."""
        return {key: (Item(key, "a title", None, f"p{self.products[int(key[3:])]}"), False) for key in ids}


def measure_speed(out: Path, sizes: list[int], dimension: int) -> None:
    """Print the table of sizes."""
    out.mkdir(parents=True, exist_ok=True)
    settings = Settings(threshold=0.9)
    heads = ["rows", "seconds", "CPU seconds", "of them neighbours", "peak MB", "pairs found", "pair precision"]
    heads += ["pair recall", "B-cubed F1", "1 % changed, CPU s"]
    print("|", " | ".join(heads), "|\n|" + "---|" * len(heads))
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
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
            quality = cluster_quality(labels, made.products)
            assert quality is not None
            later = cast("ProductIndex", Made(rows, dimension, changed=0.01))
            began = time.process_time()
            find_duplicates(later, Path(folder) / "found", settings)
            updated = time.process_time() - began
        recall = totals["recall_of_pairs"]["at_threshold"]
        columns = [f"{rows:,}", f"{seconds:.0f}", f"{cpu:.0f}", f"{stages['searching neighbours']:.0f}"]
        columns += [f"{memory:,.0f}"]
        columns += [f"{recall['found']:,} of {recall['of']:,}"]
        columns += [
            f"{quality.figures[figure].value:.4f}" for figure in ("pair_precision", "pair_recall", "b_cubed_f1")
        ]
        columns += [f"{updated:.0f}"]
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
