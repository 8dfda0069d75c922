"""Whether explanations name what matters: scores of pairs of which words and patches are removed, in several orders.

    OMP_NUM_THREADS=1 python benchmarks/explaining.py run/model catalog --queries relistings.parquet \\
        --plot docs/images/explaining.png

Each pair is a second listing and the row that it was made from. Words are cut out of the title and patches of the photo
painted white, a share of them at a time, of one listing while the other stays and then the other way round, and what is
left is embedded as it would be served: nothing of how weights are found enters. A pair counts with the mean of the two.
Only patches that are not white already are removed, or orders would differ by what they waste. Then the time of an
explanation, and how much is missing for weights to add up.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from item_embed import Catalog, Embedder
from item_embed.embedding.seen import seen_title
from item_embed.evaluation.intervals import Figure, ratios
from item_embed.evaluation.plots import COLOURS, OTHERS
from item_embed.evaluation.queries import given_queries
from item_embed.explain import Explanation, Listing, Method, explain
from item_embed.explain.explanation import Seen, Side
from item_embed.explain.occlusion import painted, shown_patches

Kind = Literal["words", "patches", "both"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SHARES = (0.2, 0.4, 0.6, 0.8)
STEPS = (8, 16, 32)
_OCCLUSION = "highest by occlusion"
_LOOKS = {  # of each order: its name, colour and line
    "highest": ("highest weight", COLOURS[0], "-"),
    "random": ("random", OTHERS, "-"),
    "lowest": ("lowest weight", COLOURS[1], "-"),
    _OCCLUSION: (_OCCLUSION, COLOURS[2], "--"),
}
_TOLD = 50  # pairs between lines of progress


class Part(NamedTuple):
    """A word or a patch of a listing, by number."""

    kind: Literal["words", "patches"]
    number: int


#: Scores by kind and order.
Scores = dict[tuple[Kind, str], NDArray[np.float64]]


def main() -> None:
    """Measure, print tables, and draw the curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("--queries", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--timed", type=int, default=20, help="pairs by which time and remainders are measured")
    parser.add_argument("--seed", type=int, default=0, help="of the pairs and the random orders")
    parser.add_argument("--occlusion", action="store_true", help="also remove first what occlusion weighs highest")
    parser.add_argument("--plot", type=Path, help="PNG file to write")
    arguments = parser.parse_args()
    embedder = Embedder.from_pretrained(arguments.model, "cpu")
    pairs = pairs_of(Catalog(arguments.catalog), arguments.queries, arguments.pairs, arguments.seed)
    print_cost(embedder, pairs[: arguments.timed])
    methods = get_args(Method) if arguments.occlusion else ("gradients",)
    whole, scores = deletion(embedder, pairs, arguments.seed, methods)
    curves = {name: ratios(values, np.ones_like(values)) for name, values in scores.items()}
    print_curves(ratios(whole[:, None], np.ones((len(pairs), 1)))[0], curves, scores)
    if arguments.plot:
        draw(arguments.plot, float(whole.mean()), curves)


def pairs_of(catalog: Catalog, file: Path, count: int, seed: int) -> list[tuple[Listing, Listing]]:
    """Some queries, drawn, each with the row it was made from: those with photo and title on both sides."""
    queries = given_queries(file, catalog)
    found = []
    for number in np.random.default_rng(seed).permutation(len(queries)):
        row = int(queries.rows[number])
        sides = Listing(queries.titles[number], queries.photo(number)), Listing(catalog.titles[row], catalog.photo(row))
        if all(side.title and side.photo for side in sides):
            found.append(sides)
        if len(found) == count:
            break
    return found


def deletion(
    embedder: Embedder, pairs: Sequence[tuple[Listing, Listing]], seed: int, methods: Sequence[Method] = ("gradients",)
) -> tuple[NDArray[np.float64], Scores]:
    """The scores of whole pairs, (pairs,), and by kind and order those of pairs without a share of their parts."""
    found = []
    for number, (a, b) in enumerate(pairs):
        found.append(deletion_of(embedder, a, b, np.random.default_rng((seed, number)), methods))
        if (number + 1) % _TOLD == 0:
            print(f"{number + 1} of {len(pairs)} pairs", file=sys.stderr, flush=True)
    names = found[0][1]
    return np.array([whole for whole, _ in found]), {
        name: np.stack([left[name] for _, left in found]) for name in names
    }


def deletion_of(
    embedder: Embedder, a: Listing, b: Listing, generator: np.random.Generator, methods: Sequence[Method]
) -> tuple[float, Scores]:
    """The same of one pair: its score, and those that are left, (shares,), the mean of both listings."""
    found: dict[Method, Explanation] = {method: explain(embedder, a, b, method) for method in methods}
    one = found["gradients"]
    vectors = embedder.backend.encode([one.a.photo, one.b.photo], [one.a.title, one.b.title])
    first = scores_without(embedder, {method: each.a for method, each in found.items()}, vectors[1], generator)
    second = scores_without(embedder, {method: each.b for method, each in found.items()}, vectors[0], generator)
    return one.score, {name: (first[name] + second[name]) / 2 for name in first}


def scores_without(
    embedder: Embedder, sides: Mapping[Method, Side], other: NDArray[np.float32], generator: np.random.Generator
) -> Scores:
    """The scores that a listing has with a vector without a share of its parts, by kind and order, (shares,)."""
    side = sides["gradients"]
    pixels = None if side.photo is None else embedder.backend.processor.pixels(side.photo)
    names, left = [], []
    for kind in KINDS:
        weights = {method: dict(weighted(one, kind, pixels, embedder.patch_size)) for method, one in sides.items()}
        for order, parts in orders(weights, generator).items():
            names.append((kind, order))
            left += [without(side, pixels, parts[: round(share * len(parts))], embedder.patch_size) for share in SHARES]
    vectors = embedder.backend.encode([seen.photo for seen in left], [seen.title for seen in left])
    return dict(zip(names, (vectors @ other).astype(np.float64).reshape(-1, len(SHARES)), strict=True))


def orders(weights: Mapping[Method, Mapping[Part, float]], generator: np.random.Generator) -> dict[str, list[Part]]:
    """Parts in the orders in which they are removed."""
    parts = list(weights["gradients"])
    by_gradients = sorted(parts, key=weights["gradients"].__getitem__)
    found = {
        "highest": by_gradients[::-1],
        "random": [parts[place] for place in generator.permutation(len(parts))],
        "lowest": by_gradients,
    }
    if "occlusion" in weights:
        found[_OCCLUSION] = sorted(parts, key=weights["occlusion"].__getitem__, reverse=True)
    return found


def weighted(side: Side, kind: Kind, pixels: NDArray[np.uint8] | None, patch_size: int) -> Iterator[tuple[Part, float]]:
    """The words and the patches of a listing, those of a kind, with their weights."""
    if kind != "patches":
        yield from ((Part("words", place), word.weight) for place, word in enumerate(side.words))
    if kind != "words" and side.patches is not None and pixels is not None:
        for place in shown_patches(pixels, patch_size):
            yield Part("patches", int(place)), float(side.patches.flat[place])


def without(side: Side, pixels: NDArray[np.uint8] | None, gone: Sequence[Part], patch_size: int) -> Seen:
    """A listing without some of its words and patches."""
    words = {part.number for part in gone if part.kind == "words"}
    patches = [part.number for part in gone if part.kind == "patches"]
    kept = " ".join(word.text for place, word in enumerate(side.words) if place not in words)
    return Seen(None if pixels is None else painted(pixels, patches, patch_size), seen_title(kept))


def print_curves(whole: Figure, curves: Mapping[tuple[Kind, str], Sequence[Figure]], scores: Scores) -> None:
    """The scores that are left, and how much more highest-weighted parts take than random ones."""
    print(f"score of whole pairs: {whole.text()}")
    print(f"| removed | order | {' | '.join(f'{share:.0%}' for share in SHARES)} |\n|---|---{'|---' * len(SHARES)}|")
    for (kind, order), figures in curves.items():
        print(f"| {kind} | {order} |", *(f"{figure.text()} |" for figure in figures))
    print(f"\n| removed | random less highest | {' | '.join(f'{share:.0%}' for share in SHARES)} |")
    print(f"|---|---{'|---' * len(SHARES)}|")
    for (kind, order), left in scores.items():
        if order.startswith("highest"):
            more = scores[kind, "random"] - left
            print(f"| {kind} | {order} |", *(f"{figure.text()} |" for figure in ratios(more, np.ones_like(more))))


def print_cost(embedder: Embedder, pairs: Sequence[tuple[Listing, Listing]]) -> None:
    """CPU milliseconds of a pair, and what is missing for weights to add up, by the steps of the path."""
    explain(embedder, *pairs[0])  # imports
    print("| method | steps | CPU ms of a pair, median | remainder, mean | largest |\n|---|---|---|---|---|")
    for steps in STEPS:
        spent, found = timed(embedder, pairs, "gradients", steps)
        rest = [abs(side.remainder or 0) for one in found for side in (one.a, one.b)]
        print(f"| gradients | {steps} | {spent:.0f} | {np.mean(rest):.5f} | {np.max(rest):.5f} |", flush=True)
    spent, _ = timed(embedder, pairs, "occlusion", STEPS[0])
    print(f"| occlusion | | {spent:.0f} | | |\n", flush=True)


def timed(
    embedder: Embedder, pairs: Sequence[tuple[Listing, Listing]], method: Method, steps: int
) -> tuple[float, list[Explanation]]:
    """CPU milliseconds of a pair, the median, and all explanations."""
    found, spent = [], []
    for a, b in pairs:
        began = time.process_time()
        found.append(explain(embedder, a, b, method, steps))
        spent.append(time.process_time() - began)
    return 1000 * float(np.median(spent)), found


def draw(path: Path, whole: float, curves: Mapping[tuple[Kind, str], Sequence[Figure]]) -> None:
    """The curves of each kind, side by side, with their intervals as bands."""
    from matplotlib.figure import Figure as Canvas
    from matplotlib.ticker import PercentFormatter

    canvas = Canvas(figsize=(10, 3.4), layout="constrained")
    panels: Any = canvas.subplots(1, len(KINDS), sharey=True)
    for panel, kind in zip(panels, KINDS, strict=True):
        for order, (name, colour, line) in _LOOKS.items():
            if (kind, order) not in curves:
                continue
            lows, highs = zip(*(figure.ends for figure in curves[kind, order]), strict=True)
            values = [figure.value for figure in curves[kind, order]]
            places = [0.0, *SHARES]
            panel.fill_between(places, [whole, *lows], [whole, *highs], color=colour, alpha=0.2, linewidth=0)
            panel.plot(places, [whole, *values], line, color=colour, marker="o", markersize=3.5, label=name)
        title = {"words": "words", "patches": "patches", "both": "words and patches"}[kind]
        panel.set_title(f"{title} removed", loc="left", fontsize=10)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(axis="y", alpha=0.25, linewidth=0.8)
        panel.xaxis.set_major_formatter(PercentFormatter(1))
        panel.set_xlabel("share removed", fontsize=9)
    panels[0].set_ylabel("score of the pair", fontsize=9)
    panels[0].legend(frameon=False, fontsize=8, title="removed first", title_fontsize=8)
    canvas.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
