"""What each addition to the paper's five tasks gives, at equal CPU minutes: a line for each, from `paper` to `search`.

    python benchmarks/additions.py --data $ITEM_DATA --out runs/additions --seeds 3
    python benchmarks/additions.py --table --out runs/additions              # what is there, without running anything

All are encoders of the size of `search`, trained on fashion without the groups of the frozen relistings, each as many
steps as fit into the minutes of one thread; how long a step takes is measured first, the lines taking turns. Whitening
and late fusion train nothing: of every model the vectors of whole products, of photos and of titles are made once, and
are measured as they are, whitened, fused, and fused with words. What exists is not made again, so the script can be
stopped and started; other minutes want another --out. The CPU minutes of a line are those of its training and, beyond
"as trained", of embedding the rows that whitening looks at and of fitting it.
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import thread_time

import numpy as np
import torch
from minutes import ONE_CORE, Bench, Run, read, write
from numpy.typing import NDArray

from item_embed import Catalog
from item_embed.catalog.photos.images import decode
from item_embed.config import RunConfig, WhiteningSettings
from item_embed.embedding.torch_backend import TorchBackend
from item_embed.evaluation.queries import given_queries
from item_embed.evaluation.same_product import evaluate_same_product
from item_embed.model.encoding import vectors_by_sight
from item_embed.model.whitening import SIGHTS, Fusion, Whitening, fit_frame, fit_whitening
from item_embed.model.words import Words
from item_embed.search.exact import tie_keys
from item_embed.training.optimiser import keep_few_kernels
from item_embed.training.run import training_rows
from item_embed.training.whitening import whitening_rows

_FIVE = [f"objectives.weights.{name}" for name in ("itm=1", "mlm=1", "mim=10", "gmlm=1", "gmim=10")]
_ALONE = ["objectives.weights.agreement=0", "training.batch_size=64"]  # without negatives, more steps are worth more
_LINEAR = ["model.patch_embedding=linear"]
LINES = {
    "five": [*_FIVE, *_ALONE, *_LINEAR],
    "five-agreement": [*_FIVE, *_LINEAR],
    "agreement": _LINEAR,
    "agreement-convolutional": [],
}
FORMS = ("as trained", "whitened", "fused", "fused, with words")
_RAW = ["whitening.power=0", "whitening.late_fusion=false"]  # both are applied here, to every line alike
_FIGURES = ("hit_at_1", "macro_recall_at_10")
_BATCH = 256
FOUND, ASKED = "found.json", "minutes.json"  # of a run, and of the folder


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of fashion.parquet and fashion_relist.parquet")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=5, help="of one CPU, per run")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="only print what is there")
    parser.add_argument("settings", nargs="*", help="settings of every run, as training.batch_size=128")
    arguments = parser.parse_args()
    if not arguments.table:
        if arguments.data is None:
            parser.error("--data is needed for anything but --table")
        run_missing(arguments)
    print_table(arguments.out)


def run_missing(arguments: argparse.Namespace) -> None:
    """Train and measure each line with each seed."""
    os.environ.update(ONE_CORE)
    keep_few_kernels()  # as `item pretrain` does
    torch.set_num_threads(1)
    keep_minutes(arguments.out, arguments.minutes)
    relist, settings = arguments.data / "fashion_relist.parquet", [*_RAW, *arguments.settings]
    benches = [
        Bench(arguments.out / str(seed), relist, seed, settings, "search", LINES) for seed in range(arguments.seeds)
    ]
    for bench in benches:
        bench.prepare(arguments.data / "fashion.parquet")
    seconds = benches[0].seconds_per_step()
    steps = {name: int(60 * arguments.minutes / seconds[name]) for name in LINES}
    runs = [(bench, Run(name, steps[name], f"{arguments.minutes:g} minutes")) for bench in benches for name in LINES]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        list(pool.map(lambda one: finish(*one), runs))


def keep_minutes(out: Path, minutes: float) -> None:
    """Write down for how long lines are trained, and refuse a folder that was begun with other minutes."""
    out.mkdir(parents=True, exist_ok=True)
    if (out / ASKED).exists() and (begun := read(out / ASKED)["minutes"]) != minutes:
        sys.exit(f"{out} was begun with --minutes {begun:g}: go on with those, or choose another --out.")
    write(out / ASKED, json.dumps({"minutes": minutes}))


def finish(bench: Bench, run: Run) -> None:
    """Train a line, and measure its vectors in every form."""
    took, file = bench.pretrain(run), bench.out / run.name / FOUND
    if file.exists() and read(file).get("cpu_minutes", {}).keys() == set(FORMS):
        return
    catalog = Catalog(bench.out / "fashion")
    trained = TorchBackend.from_pretrained(bench.out / run.name / "model", "cpu")
    batch = RunConfig.load(bench.config, [*bench.sets[run.switches], *bench.settings]).training.batch_size
    found, fitting = measure(trained, catalog, bench.relist, bench.out / run.name)
    minutes = {form: (took + seconds) / 60 for form, seconds in fitting.items()}
    write(file, json.dumps({"samples": run.steps * batch, "cpu_minutes": minutes, "found": found}))


def measure(
    trained: TorchBackend, catalog: Catalog, relist: Path, kept: Path
) -> tuple[dict[str, dict[str, dict[str, float]]], dict[str, float]]:
    """Hit@1 and recall@10 of each form by both sides, the photo alone, the title alone; the index is seen likewise.

    Returned with the CPU seconds that each form took beyond training. The encoder's vectors are kept in a folder:
    another form needs no embedding.
    """
    queries, ties = given_queries(relist, catalog), tie_keys(catalog.ids)
    listed = _once(kept / "listed.npy", lambda: by_sight(trained, catalog.photo, list(catalog.titles)))
    asked = _once(kept / "asked.npy", lambda: by_sight(trained, queries.photo, queries.titles))
    found: dict[str, dict[str, dict[str, float]]] = {}
    seconds: dict[str, float] = {}
    embedding = read(kept / "listed.json")["seconds"] / len(listed)  # of a row
    for form, (whitening, rows, fitting) in zip(FORMS, whitenings(catalog, relist, listed), strict=True):
        found[form], seconds[form] = {}, rows * embedding + fitting
        for sight in SIGHTS:
            index = seen(listed, catalog.has_photo, list(catalog.titles), sight, whitening)
            vectors = seen(asked, queries.has_photo, queries.titles, sight, whitening)
            figures = evaluate_same_product(index, vectors, queries, ties).figures()
            found[form][sight] = {name: figures[name].value for name in _FIGURES}
    return found, seconds


def _once(file: Path, make: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
    """What a file holds, made before where it is not there; the CPU seconds that takes are kept beside it."""
    if not (file.exists() and file.with_suffix(".json").exists()):
        aside, began = file.with_suffix(".partial.npy"), thread_time()
        np.save(aside, make())
        write(file.with_suffix(".json"), json.dumps({"seconds": thread_time() - began}))
        aside.rename(file)
    return np.asarray(np.load(file))


def by_sight(
    trained: TorchBackend, photo: Callable[[int], bytes | None], titles: Sequence[str | None]
) -> NDArray[np.float32]:
    """The vectors of each product whole, of its photo and of its title, (n, 3, D), before any whitening."""
    model, processor, parts = trained.model, trained.processor, []
    for start in range(0, len(titles), _BATCH):
        shown = titles[start : start + _BATCH]
        photos = [photo(start + number) for number in range(len(shown))]
        opened = [None if data is None else decode(data, processor.image_size) for data in photos]
        with torch.inference_mode():
            parts.append(vectors_by_sight(model, processor, opened, shown, "fp32").numpy())
    return np.concatenate(parts)


def whitenings(
    catalog: Catalog, relist: Path, listed: NDArray[np.float32]
) -> list[tuple[Whitening | None, int, float]]:
    """None, whitening, late fusion without words and with: as `search` has them, by the rows that it looks at.

    Each with how many rows it looks at, and the CPU seconds of fitting it.
    """
    rows, _ = training_rows(catalog, relist)
    drawn = whitening_rows(catalog, rows, WhiteningSettings().rows)
    vectors = {sight: listed[drawn, number] for number, sight in enumerate(SIGHTS)}
    titles = [catalog.titles[row] for row in drawn]
    power = RunConfig.load("search", []).whitening.power

    def fused() -> Whitening:
        made = fit_whitening(vectors, power)
        made.fusion = Fusion(fit_frame(made, vectors, whole.dimension), Words.of(titles, 0))
        return made

    whole, joining = _timed(lambda: fit_whitening(vectors, power, titles=titles))
    plain, whitening = _timed(lambda: fit_whitening(vectors, power))
    alone, fusing = _timed(fused)
    looked_at = len(drawn)
    made = ((plain, whitening), (alone, fusing), (whole, joining))
    return [(None, 0, 0.0), *((form, looked_at, seconds) for form, seconds in made)]


def _timed(make: Callable[[], Whitening]) -> tuple[Whitening, float]:
    """What is made, and the CPU seconds of this thread that it took."""
    began = thread_time()
    return make(), thread_time() - began


def seen(
    vectors: NDArray[np.float32],
    has_photo: NDArray[np.bool_],
    titles: Sequence[str | None],
    sight: str,
    whitening: Whitening | None,
) -> NDArray[np.float32]:
    """Vectors of products of which one of `SIGHTS` is shown, (n, d), from those of all three, (n, 3, D)."""
    whole = vectors[:, SIGHTS.index(sight)]
    if whitening is None:
        return whole
    photo = torch.from_numpy(has_photo & (sight in ("both", "image")))
    shown = titles if sight in ("both", "title") else [None] * len(vectors)
    given = np.stack([whole, vectors[:, 1], vectors[:, 2]], axis=1) if whitening.fuses else whole
    return whitening(torch.from_numpy(np.ascontiguousarray(given)), photo, shown).numpy()


def print_table(out: Path) -> None:
    """What came out of the runs so far: means over seeds, and the lowest and highest where there are several."""
    columns = ["line", "form", "samples", "CPU minutes", "hit@1", "recall@10", "photos", "titles", "seeds"]
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for name in LINES:
        found = [read(file) for file in sorted(out.glob(f"*/{name}-[0-9]*/{FOUND}"))]
        runs = [run for run in found if "cpu_minutes" in run]  # others are of an earlier version, and measured anew
        for form in FORMS if runs else ():
            wanted = [("both", "hit_at_1"), *((sight, "macro_recall_at_10") for sight in SIGHTS)]
            figures = [_spread([run["found"][form][sight][figure] for run in runs]) for sight, figure in wanted]
            minutes = statistics.mean(run["cpu_minutes"][form] for run in runs)
            samples = f"{runs[0]['samples']:,}"
            print("|", " | ".join([name, form, samples, f"{minutes:.2f}", *figures, str(len(runs))]), "|")


def _spread(values: list[float]) -> str:
    among = f" ({min(values):.3f}-{max(values):.3f})" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{among}"


if __name__ == "__main__":
    main()
