"""What an exported model saves: the time of a product and that of `item search`, beside torch.

    item export run/model --out fp32
    item export run/model --out int8 --precision int8
    OMP_NUM_THREADS=1 python benchmarks/exported.py run/model fp32 int8 --catalog catalog --index index

Models embed the same rows in turns, in one process; those of torch in float32 and in bf16. Decoding is not counted. Of
each, the round that took least CPU time is shown. `item search` is asked by models of the index's fingerprint, in
turns, each time in a process of its own, which first has to load everything; then twice in one process. Seconds by the
clock are those of a machine that may have other work; CPU seconds are this work's own.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, get_args

from PIL import Image

from item_embed import Catalog, Embedder, ProductIndex
from item_embed.catalog.photos.images import decode
from item_embed.config import Precision
from item_embed.embedding.exported import is_exported
from item_embed.embedding.seen import Modalities

SIGHTS: tuple[Modalities, ...] = get_args(Modalities)
_ITEM = "from item_embed.cli.main import main; main()"


class Took(NamedTuple):
    """CPU seconds and seconds by the clock; the least of several is the one of least CPU time."""

    cpu: float
    clock: float

    def __str__(self) -> str:
        return f"{self.cpu:.2f} ({self.clock:.2f})"


class Shown(NamedTuple):
    """Products as `Embedder` takes them, of the same length."""

    images: Sequence[Image.Image | None]
    titles: Sequence[str | None]

    def by(self, sight: Modalities) -> "Shown":
        """The same, of which one side or both are seen."""
        nothing = [None] * len(self.titles)
        return Shown(self.images if sight != "title" else nothing, self.titles if sight != "image" else nothing)


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", help="folders of `item pretrain` and of `item export`")
    parser.add_argument("--catalog", type=Path, required=True)
    parser.add_argument("--index", type=Path, help="made by the vectors of one of the models")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    shown = products(Catalog(arguments.catalog), arguments.rows)
    print_embedding(arguments.models, shown, arguments.rounds)
    if arguments.index:
        print()
        print_search(arguments.models, arguments.index, Catalog(arguments.catalog), arguments.rounds)


def products(catalog: Catalog, rows: int) -> Shown:
    """The first rows that have a photo and a title, decoded."""
    whole = [row for row in range(len(catalog)) if catalog.has_photo[row] and catalog.titles[row]][:rows]
    photos = [catalog.photo(row) for row in whole]
    return Shown([decode(photo) for photo in photos if photo], [catalog.titles[row] for row in whole])


def print_embedding(models: Sequence[Path], shown: Shown, rounds: int) -> None:
    """CPU milliseconds of a product, by what is seen of it."""
    embedders: dict[str, Embedder] = {}
    for model in models:
        precisions: tuple[Precision, ...] = ("fp32",) if is_exported(model) else ("fp32", "bf16")
        for precision in precisions:
            name = model.name if is_exported(model) else f"{model.name}, torch {precision}"
            embedders[name] = Embedder.from_pretrained(model, "cpu", precision)
    print(f"| seen: CPU ms of a product | {' | '.join(embedders)} |\n|{'---|' * (1 + len(embedders))}")
    for sight in SIGHTS:
        seen = shown.by(sight)
        works = [partial(timed, partial(embedder.embed, *seen)) for embedder in embedders.values()]
        least = in_turns(works, rounds)
        print(f"| {sight} |", *(f"{1000 * took.cpu / len(shown.titles):.2f} |" for took in least), flush=True)


def print_search(models: Sequence[Path], index: Path, catalog: Catalog, rounds: int) -> None:
    """Seconds of `item search`, and of a second query in one process."""
    fingerprint = ProductIndex.open(str(index)).fingerprint
    fitting = [model for model in models if Embedder.from_pretrained(model, "cpu").fingerprint == fingerprint]
    row = next(row for row in range(len(catalog)) if catalog.has_photo[row] and catalog.titles[row])
    title, photo = catalog.titles[row], catalog.photo(row)
    assert title
    assert photo
    names = " | ".join(f"{model.name}: process, second query" for model in fitting)
    print(f"| CPU s (s by the clock) | {names} |\n|{'---|' * (1 + len(fitting))}")
    with TemporaryDirectory() as folder:
        file = Path(folder) / "photo"
        file.write_bytes(photo)
        options = {"title": ["--title", title], "image": ["--image", str(file)]}
        options["both"] = options["title"] + options["image"]
        for sight in SIGHTS:
            first = in_turns([partial(cold, model, index, options[sight]) for model in fitting], rounds)
            query = Shown([decode(photo)], [title]).by(sight)
            second = [warm(model, index, query) for model in fitting]
            print(f"| {sight} |", *(f"{one}, {two} |" for one, two in zip(first, second, strict=True)), flush=True)


def cold(model: Path, index: Path, query: Sequence[str]) -> Took:
    """`item search` in a process of its own."""
    command = [sys.executable, "-c", _ITEM, "search", str(index), *query, "--model", str(model), "--json"]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    clock, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Took(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, clock)


def warm(model: Path, index: Path, query: Shown) -> Took:
    """The second of two queries in this process."""
    embedder, products = Embedder.from_pretrained(model, "cpu"), ProductIndex.open(str(index))

    def ask() -> None:
        products.search(embedder.embed(*query), 10, embedder.fingerprint)

    ask()
    return timed(ask)


def timed(work: Callable[[], object]) -> Took:
    """What some work takes in this process."""
    cpu, clock = time.process_time(), time.perf_counter()
    work()
    return Took(time.process_time() - cpu, time.perf_counter() - clock)


def in_turns(works: Sequence[Callable[[], Took]], rounds: int) -> list[Took]:
    """The least of each, all taking turns: other work on the machine is the same for all."""
    taken = [[work() for work in works] for _ in range(rounds)]
    return [min(each) for each in zip(*taken, strict=True)]


if __name__ == "__main__":
    main()
