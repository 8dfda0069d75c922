"""Whether `item embed` decodes photos beside the encoder, and how its time and memory grow with the rows.

    item pretrain catalog --out base training.steps=1 training.batch_size=8 --config base training.accumulation=1
    item export base/model --out base-int8 --precision int8           # of a speed, what was learnt is no matter
    OMP_NUM_THREADS=1 python benchmarks/embedding.py run/model base-int8 --out runs/embedding

draws catalogues of photos of 0.4 megapixels, which is larger than `item prepare` keeps them, and of photos as it does.
The first table has, for each model and catalogue, the rows a second of three works that take turns: workers that decode
for an encoder that does nothing; the encoder on photos that are decoded already; both, as `item embed` does it. One
worker and an encoder of one thread have a core each of two. What is timed begins when the first rows are through: the
start of processes is not part of it. Shown are medians of the rounds, and in brackets CPU milliseconds of a row, which
other work on the machine changes little; the last column has the slower stage's CPU time alone beside that of the
process that takes longer in both, so what two free cores give if neither process waits for the other.

Whether one waits, the second table tells on a busy machine too: stages that sleep instead of working. The third has
whole runs of `item embed` with the first model, on catalogues of several sizes, start-up included.
"""

import argparse
import hashlib
import io
import json
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image
from watching import Cost, run_item

from item_embed import Catalog, Embedder
from item_embed.catalog.photos.images import prepare_photo
from item_embed.catalog.schema import ROW_SCHEMA, Counts, Manifest
from item_embed.embedding.bulk import embed_parts
from item_embed.model.photos import PhotoProcessor, ReadyPhoto

PHOTO = (730, 550)  # 0.4 megapixels
_DISTINCT = 64  # photos; every row has one of them
_ROWS_PER_GROUP, _ROWS_PER_FILE = 64, 8192  # as `item prepare` writes them
_WORDS = ("red", "ceramic", "mug", "with", "handle", "350", "ml", "large", "garden", "chair", "oak", "set", "of", "two")


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", help="folders of `item pretrain` and of `item export`")
    parser.add_argument("--out", type=Path, required=True, help="folder for catalogues and vectors")
    parser.add_argument("--rows", type=int, default=2048, help="of a round of the first table")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1024, 4096, 16384], help="rows of the second table")
    arguments = parser.parse_args()
    kinds = {"0.4 MP": False, "as prepared": True}
    catalogs = {name: draw(arguments.out / name, arguments.rows, prepared) for name, prepared in kinds.items()}
    print("Load average at the start:", *(f"{load:.1f}" for load in os.getloadavg()))
    print(
        f"\n| photos | model | decoding alone{_ALONE} | encoding alone{_ALONE} | both{_BOTH} | of the slower | by CPU |"
    )
    print("|---|---|---|---|---|---|---|")
    for model in arguments.models:
        embedder = Embedder.from_pretrained(model, "cpu")
        for name, catalog in catalogs.items():
            stages = Stages(embedder, catalog, arguments.workers, arguments.batch_size)
            print("|", name, "|", model.name, "|", " | ".join(stages.table(arguments.rounds)), "|", flush=True)
    print()
    print_sleeping(catalogs["as prepared"])
    if arguments.sizes:
        print()
        print_growth(arguments.models[0], arguments.out, arguments.sizes, arguments.workers, arguments.rounds)


_ALONE = ", rows/s (CPU ms)"
_BOTH = ", rows/s (CPU ms, workers')"


def draw(folder: Path, rows: int, prepared: bool) -> Catalog:
    """A catalogue of so many rows, drawn where it is not there yet; `prepared`: photos as `item prepare` keeps them."""
    if folder.exists():
        return Catalog(folder)
    random = np.random.default_rng(0)
    photos = [drawn_photo(random) for _ in range(_DISTINCT)]
    if prepared:
        photos = [prepare_photo(photo).data for photo in photos]
    (folder / "rows").mkdir(parents=True)
    for start in range(0, rows, _ROWS_PER_FILE):
        numbers = range(start, min(rows, start + _ROWS_PER_FILE))
        table = pa.Table.from_pylist([_row(row, photos[row % _DISTINCT]) for row in numbers], schema=ROW_SCHEMA)
        file = folder / "rows" / f"part-{start // _ROWS_PER_FILE:05}.parquet"
        pq.write_table(table, file, row_group_size=_ROWS_PER_GROUP, compression="none")
    _write_manifest(folder, rows)
    return Catalog(folder)


def drawn_photo(random: np.random.Generator) -> bytes:
    """A JPEG of a patterned oval on white, as large as its pattern makes it: about 60 kB."""
    width, height = PHOTO
    y, x = np.ogrid[:height, :width]
    inside = ((x / width - 0.5) / 0.42) ** 2 + ((y / height - 0.5) / 0.42) ** 2 < 1
    coarse = random.integers(0, 256, (height // 10, width // 10, 3), dtype=np.uint8)
    pattern = np.asarray(Image.fromarray(coarse).resize(PHOTO, Image.Resampling.BICUBIC))
    file = io.BytesIO()
    Image.fromarray(np.where(inside[..., None], pattern, np.uint8(255))).save(file, "JPEG", quality=90)
    return file.getvalue()


class Rate(NamedTuple):
    """How fast a work was.

    Attributes:
        rows: a second, by the clock.
        own: CPU milliseconds of this process for a row.
        workers: those of its workers.
    """

    rows: float
    own: float
    workers: float


class Pace:
    """Progress of a work, timed once it is going: from a quarter of the rows to the end."""

    def __init__(self) -> None:
        self._marks: list[tuple[int, float, float, float]] = []

    def __call__(self, done: int, total: int | None) -> None:
        """Note how far it is, and when."""
        if done >= (total or 0) // 4:
            self._marks.append((done, time.perf_counter(), time.process_time(), _cpu_of_children()))

    @property
    def rate(self) -> Rate:
        """Of what was timed."""
        (first, *begun), (last, *ended) = self._marks[0], self._marks[-1]
        clock, own, workers = (end - begin for begin, end in zip(begun, ended, strict=True))
        rows = last - first
        return Rate(rows / clock, 1000 * own / rows, 1000 * workers / rows)


@dataclass(frozen=True)
class Idle:
    """An encoder that does nothing: decoding for it is decoding alone."""

    photos: PhotoProcessor
    path: Path
    seconds: float = 0  # that it sleeps for each product
    fingerprint: str = "idle"
    dimension: int = 1

    def embed(self, images: Sequence[Any], *_: object) -> NDArray[np.float32]:
        """A vector for each."""
        time.sleep(self.seconds * len(images))
        return np.ones((len(images), 1), np.float32)


class Sleeping(PhotoProcessor):
    """Decodes nothing and sleeps instead: of so many photos at once, since to wake takes time too."""

    _AT_ONCE = 32

    def __init__(self, seconds: float) -> None:
        super().__init__((224, 224))
        self._seconds, self._asked = seconds, 0

    def read(self, photo: bytes) -> ReadyPhoto:
        """A white photo."""
        self._asked += 1
        if self._asked % self._AT_ONCE == 0:
            time.sleep(self._seconds * self._AT_ONCE)
        return self.ready(None)


@dataclass(frozen=True)
class Stages:
    """The works that are compared."""

    embedder: Embedder
    catalog: Catalog
    workers: int
    batch_size: int

    def table(self, rounds: int) -> list[str]:
        """Columns of the first table: each work alone, both together, and both beside the slower."""
        works = (self.decoding, self.encoding, self.both)
        decoding, encoding, both = zip(*([work() for work in works] for _ in range(rounds)), strict=True)
        shares = [b.rows / min(d.rows, e.rows) for d, e, b in zip(decoding, encoding, both, strict=True)]
        decoded, encoded, overlapped = (_median(rates) for rates in (decoding, encoding, both))
        by_cpu = max(decoded.workers, encoded.own) / max(overlapped.workers, overlapped.own)
        return [
            f"{decoded.rows:,.0f} ({decoded.workers:.2f})",
            f"{encoded.rows:,.0f} ({encoded.own:.2f})",
            f"{overlapped.rows:,.0f} ({overlapped.own:.2f}, {overlapped.workers:.2f})",
            f"{100 * statistics.median(shares):.0f} %",
            f"{100 * by_cpu:.0f} %",
        ]

    def decoding(self) -> Rate:
        """Workers, and an encoder that does nothing."""
        return self._embedded(cast("Embedder", Idle(self.embedder.photos, self.embedder.path)))

    def both(self) -> Rate:
        """As `item embed` does it."""
        return self._embedded(self.embedder)

    def encoding(self) -> Rate:
        """The encoder on photos that are ready; those of the first rows again and again."""
        shown = list(self.catalog.iter_listings(range(min(len(self.catalog), 2 * self.batch_size))))
        photos = [self.embedder.photos.read(listing.photo) for listing in shown if listing.photo]
        titles, pace, total = [listing.title for listing in shown], Pace(), len(self.catalog)
        for batch in _batches(total, self.batch_size):
            places = [row % len(photos) for row in batch]
            ready: list[ReadyPhoto | None] = [photos[place] for place in places]
            self.embedder.embed(ready, [titles[place] for place in places], self.batch_size)
            pace(batch.stop, total)
        return pace.rate

    def _embedded(self, embedder: Embedder) -> Rate:
        return through(embedder, self.catalog, self.workers, self.batch_size)


def through(embedder: Embedder, catalog: Catalog, workers: int, batch_size: int) -> Rate:
    """A whole catalogue's vectors, timed and dropped."""
    pace = Pace()
    for _ in embed_parts(embedder, catalog, batch_size=batch_size, workers=workers, on_progress=pace):
        pass
    return pace.rate


def print_sleeping(catalog: Catalog) -> None:
    """Both stages, which sleep: how near the rows a second are to those of the one that sleeps longer."""
    print("| decoding sleeps, ms a row | encoding sleeps | rows/s | of the slower |\n|---|---|---|---|")
    for decoding, encoding in ((8, 4), (5, 5), (4, 8)):
        idle = Idle(Sleeping(decoding / 1000), Path(str(catalog.path)), encoding / 1000)
        rate = through(cast("Embedder", idle), catalog, 1, 64)
        share = rate.rows * max(decoding, encoding) / 1000
        print(f"| {decoding} | {encoding} | {rate.rows:.0f} | {100 * share:.0f} % |", flush=True)


def print_growth(model: Path, out: Path, sizes: Sequence[int], workers: int, rounds: int) -> None:
    """Whole runs on catalogues of several sizes, in turns; photos as prepared."""
    catalogs = {size: draw(out / f"{size} rows", size, prepared=True) for size in sizes}
    taken: dict[int, list[Cost]] = {size: [] for size in sizes}
    for _ in range(rounds):
        for size, catalog in catalogs.items():
            vectors = out / "vectors.parquet"
            vectors.unlink(missing_ok=True)
            asked = ["embed", str(model), str(catalog.path), "--out", str(vectors), "--workers", str(workers)]
            taken[size].append(run_item([*asked, "--device", "cpu"]))
    print("| rows | seconds | CPU seconds | peak memory, MB |\n|---|---|---|---|")
    seconds, cpu = [], []
    for size, costs in taken.items():
        seconds.append(statistics.median(cost.seconds for cost in costs))
        cpu.append(statistics.median(cost.cpu for cost in costs))
        memory = statistics.median(cost.memory for cost in costs) / 1e6
        print(f"| {size:,} | {seconds[-1]:.1f} | {cpu[-1]:.1f} | {memory:,.0f} |", flush=True)
    if len(sizes) > 1:
        slopes = [slope(sizes[first:], took[first:]) for first in (0, -2) for took in (seconds, cpu)]
        print("\nlog-log slope of seconds {:.2f}, of CPU seconds {:.2f};".format(*slopes), end=" ")
        print("from the last size but one to the last {:.2f} and {:.2f}".format(*slopes[2:]))


def slope(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Of a line through the logarithms.

    Examples:
        >>> round(slope([1, 10, 100], [5, 50, 500]), 6)
        1.0
    """
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def _median(rates: Sequence[Rate]) -> Rate:
    return Rate(*(statistics.median(values) for values in zip(*rates, strict=True)))


def _batches(rows: int, size: int) -> Iterator[range]:
    return (range(start, min(rows, start + size)) for start in range(0, rows, size))


def _cpu_of_children() -> float:
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return sum(each.user + each.system for each in times)


def _row(number: int, photo: bytes) -> dict[str, Any]:
    words = [_WORDS[(number * step) % len(_WORDS)] for step in range(1, 11)]
    width, height = PHOTO
    return {
        "id": f"row {number}",
        "title": f"{' '.join(words)} {number}",
        "image": photo,
        "photo_width": width,
        "photo_height": height,
        "photo_pixels": number % _DISTINCT,
        "metadata": "{}",
        "repairs": [],
        "source": number,
        "group": number,
        "split": "train",
    }


def _write_manifest(folder: Path, rows: int) -> None:
    files = {f"rows/{file.name}": hashlib.sha256(file.read_bytes()).hexdigest() for file in (folder / "rows").iterdir()}
    manifest = Manifest(
        command="drawn by a benchmark",
        created="2026-01-01T00:00:00+00:00",
        sources=[],
        columns={},
        seed=0,
        counts=Counts(input=rows, kept=rows, repaired=0, set_aside=0),
        splits={"train": rows, "validation": 0, "test": 0},
        reasons={},
        files=files,
        fingerprint=hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest(),
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json(), encoding="utf8")


if __name__ == "__main__":
    main()
