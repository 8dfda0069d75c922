"""Duplicates from an index to a folder: neighbours, threshold, clusters, files.

OUT/duplicates.json   the totals, and what they were made with; of the clusters, where there are any
OUT/graph/            the neighbours of every listing, for the next run (`graph`)
OUT/pairs.html        the sample for review, where one was asked for (`sample`)
OUT/clusters.*        the clusters (`result`)
OUT/same_product.json the threshold and the probability by cosine (`decision`)
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from item_embed.errors import ConfigError, VectorError
from item_embed.files import check_output, locked, resumable_folder
from item_embed.progress import Stages, silent_stages
from item_embed.search.calibration import calibration_error, fit_probability, held_out_probability
from item_embed.search.duplicates.decision import DECISION_FILE, Decision
from item_embed.search.duplicates.floors import cosines_of_labels, none_near
from item_embed.search.duplicates.found import Fitted, Found, totals
from item_embed.search.duplicates.graph import Graph, build_graph
from item_embed.search.duplicates.judged import Judged, check_labels, labelled, pairs_of_listings, read_judged
from item_embed.search.duplicates.listings import PRODUCT_ID, Listings, masters, read_listings, why
from item_embed.search.duplicates.neighbours import measure_recall, nearest_cosines
from item_embed.search.duplicates.nodes import cluster_listings
from item_embed.search.duplicates.result import Clusters, Earlier, number_clusters
from item_embed.search.duplicates.sample import draw_sample, write_sample
from item_embed.search.duplicates.settings import Settings
from item_embed.search.duplicates.snapshot import Snapshot, cosines, open_vectors, take_snapshot
from item_embed.search.duplicates.threshold import choose_threshold, judged_curve
from item_embed.search.index import ProductIndex

SCHEMA_VERSION = 1
#: What a run writes anew; all else of a folder that it replaces stays.
_SAMPLED = {"graph", "pairs.html"}
_CLUSTERED = {"duplicates.json", DECISION_FILE, "graph", "clusters.parquet", "clusters.csv", "report.html"}
_NONE = np.zeros(0, np.float32)  # cosines of no pairs


#: Writes further files about what was found into the folder, and gives further totals.
Further = Callable[[Found, Path], dict[str, Any]]


def find_duplicates(
    index: ProductIndex,
    out: Path,
    settings: Settings,
    *,
    update: Path | None = None,
    further: Further | None = None,
    stages: Stages = silent_stages,
) -> dict[str, Any]:
    """Find the listings of one product in an index, and write what was found into a folder.

    A run that is killed goes on where it was. A folder that an earlier run wrote is replaced; what is known from it is
    not searched again, clusters keep their numbers, and files of the user in it stay.

    Args:
        index: where the listings are.
        out: the folder to write.
        settings: how.
        update: an earlier folder to begin with; by default `out` itself, if it is there.
        further: writes a report, say, and measures quality.
        stages: told of the work.

    Returns:
        The totals, as `duplicates.json` has them; of a sample that is drawn beside clusters, which keep their totals,
        its own.

    Raises:
        ConfigError: before the search, when a file of judged pairs cannot be read, or no listing has a column that is
            asked for; after it, when the threshold cannot be chosen; the neighbours that were found are then kept for
            the next run.
        VectorError: when a vector is not finite, or an earlier folder is damaged.
        OutputError: when the folder cannot be written, or is none of an earlier run.

    Examples:
        >>> index = ProductIndex.open("index")                                        # doctest: +SKIP
        >>> find_duplicates(index, Path("duplicates"), Settings(labels="product_id"))  # doctest: +SKIP
    """
    again = (out / "duplicates.json").is_file()
    if not again:
        check_output(out)
    earlier = update or (out if again else None)
    if earlier is not None:
        _check_earlier(earlier)
    with stages("reading vectors") as on_progress:
        snapshot = take_snapshot(index, on_progress)
    listings = _read_listings(index, settings, snapshot, stages)
    old = None if earlier is None else Graph.read(earlier / "graph")
    known = "nothing" if old is None else f"{old.snapshot.content} {old.neighbours} {old.floor}"
    job = f"duplicates {SCHEMA_VERSION} {snapshot.content} {settings.neighbours} {settings.floor} from {known}"
    with locked(out), resumable_folder(out, job, replace=again) as place:
        vectors = open_vectors(index, snapshot, place.scratch / "vectors.npy")
        judged = _read_judged(settings, snapshot, vectors, listings)
        with stages("searching neighbours") as on_progress:
            graph, searched = build_graph(
                snapshot,
                vectors,
                place.scratch / "blocks",
                neighbours=settings.neighbours,
                floor=settings.floor,
                old=old,
                on_progress=on_progress,
            )
        _empty(place.whole)
        graph.write(place.whole / "graph")
        work = _Work(index, settings, graph, vectors, listings, judged, searched, stages)
        numbers = Earlier.read(earlier / "clusters.parquet") if earlier and _has_clusters(earlier) else None
        told = work.sample(place.whole) if settings.sample else work.clusters(place.whole, numbers, further)
        if not (settings.sample and _has_clusters(out)):  # else it tells of the clusters, which stay
            text = json.dumps({"schema_version": SCHEMA_VERSION, **told}, ensure_ascii=False, indent=2)
            (place.whole / "duplicates.json").write_text(f"{text}\n", encoding="utf8")
        if again:  # last: answers may be saved there all the while
            _keep(out, place.whole, _SAMPLED if settings.sample else _CLUSTERED)
    return told


@dataclass(frozen=True)
class _Work:
    """A graph, and what becomes of it."""

    index: ProductIndex
    settings: Settings
    graph: Graph
    vectors: NDArray[np.float32]
    listings: Listings
    judged: Judged | None  # from a file
    searched: int
    stages: Stages

    def sample(self, folder: Path) -> dict[str, Any]:
        """Write the page of pairs to be judged."""
        values = _apart(self.settings, self.listings)
        pairs = pairs_of_listings(self.graph)
        pairs = pairs.subset(~pairs.unlike(values))
        if not len(pairs):
            raise none_near(
                f"no two listings {'' if values is None else 'that may be joined '}have a cosine of "
                f"{self.settings.floor:g} or more, so there is nothing to judge",
                "the listings' nearest",
                # Where some are kept apart, the nearest may be of those: no floor that is named would be sure to help.
                nearest_cosines(self.vectors, self.graph.ties, self.settings.seed) if values is None else _NONE,
                self.settings.floor,
            )
        drawn = draw_sample(pairs, self.settings.sample or 0, self.settings.floor, self.settings.seed)
        with self.stages("writing pairs") as on_progress:
            write_sample(folder / "pairs.html", drawn, self.graph.snapshot.ids, self.index, on_progress)
        variants = {} if self.settings.variants is None else {"variants": self.settings.variants.as_json()}
        return {**self.counts(), **variants, "sampled": len(drawn)}

    def clusters(self, folder: Path, earlier: Earlier | None, further: Further | None) -> dict[str, Any]:
        """Choose the threshold, cluster, and write the files."""
        values = _apart(self.settings, self.listings)
        fitted = self.fit(values)
        threshold = self.threshold(fitted)
        with self.stages("measuring recall"):
            recall = measure_recall(
                self.vectors,
                self.graph.pairs,
                k=self.settings.neighbours,
                floor=self.settings.floor,
                ties=self.graph.ties,
                seed=self.settings.seed,
            )
        with self.stages("clustering"):
            labels, cut = self.labels(threshold, values)
            clusters = self.described(labels, earlier, fitted)
        clusters.write(folder, self.listings.titles)
        found = Found(
            self.index,
            self.settings,
            self.graph,
            self.listings,
            recall,
            clusters,
            threshold,
            fitted,
            cut,
            self.searched,
        )
        Decision.of(found).write(folder)
        return {**self.counts(), **totals(found), **({} if further is None else further(found, folder))}

    def counts(self) -> dict[str, Any]:
        """What is known before anything is clustered."""
        snapshot = self.graph.snapshot
        return {
            "listings": len(snapshot),
            "distinct_vectors": len(snapshot.first),
            "without_vector": int((snapshot.vector < 0).sum()),
            "searched": self.searched,
            "neighbours": self.settings.neighbours,
            "floor": self.settings.floor,
            "near_pairs": len(self.graph.pairs),
        }

    def fit(self, values: NDArray[np.int64] | None) -> Fitted | None:
        """What judged pairs say, if there are any."""
        settings, judged = self.settings, self.judged
        if settings.labels is not None:
            judged = labelled(self.graph, self.listings, settings.labels, values)
        if judged is None:
            return None
        near = judged.subset(judged.pairs.cosine >= np.float32(settings.floor))
        if not len(near.pairs):
            raise self.nothing_judged(judged, values)
        # Below the floor nothing is joined: what is right there must not make up for what is wrong above.
        answers = judged.answers
        held_out = held_out_probability(answers)
        error = None if held_out is None else calibration_error(answers, held_out)
        return Fitted(judged, judged_curve(near), fit_probability(answers), error)

    def nothing_judged(self, judged: Judged, values: NDArray[np.int64] | None) -> ConfigError:
        """Why nothing is known of pairs at the floor, and where something would be."""
        settings, reach = self.settings, f"a cosine of {self.settings.floor:g} or more and may be joined"
        if settings.labels is None:
            if not len(judged.pairs):
                return ConfigError("--variants keeps all judged pairs apart; judge others, or leave it out.")
            return none_near(f"no judged pair has {reach}", "them", judged.pairs.cosine, settings.floor)
        label = self.listings.codes(settings.labels)
        of_label = cosines_of_labels(label, self.graph.snapshot, self.vectors, values)
        what = f"no two listings whose {settings.labels} is known have {reach}"
        return none_near(what, f"those that share a {settings.labels}", of_label, settings.floor)

    def threshold(self, fitted: Fitted | None) -> float:
        """The one that is given, or chosen; not below the floor, under which no pairs are known."""
        if fitted is None:
            assert self.settings.threshold is not None
            return self.settings.threshold
        return max(self.settings.floor, choose_threshold(fitted.curve, self.settings.precision).threshold)

    def labels(self, threshold: float, values: NDArray[np.int64] | None) -> tuple[NDArray[np.int64], int]:
        """The cluster of each listing, (N,), and how many components were cut."""

        def near(chosen: NDArray[np.int64]) -> NDArray[np.float32]:
            found = self.vectors[chosen].astype(np.float64)  # as float64, then rounded: equal whatever is beside them
            return np.clip((found @ found.T).astype(np.float32), -1, 1)

        graph, method = self.graph, self.settings.linkage
        return cluster_listings(graph.snapshot, graph.pairs, near, threshold, method=method, values=values)

    def described(self, labels: NDArray[np.int64], earlier: Earlier | None, fitted: Fitted | None) -> Clusters:
        """The clusters with their numbers, masters and confidences."""
        snapshot, listings = self.graph.snapshot, self.listings
        numbers, next_number = number_clusters(snapshot.ids, labels, earlier)
        chosen = masters(labels, listings)
        rows, own = np.arange(len(labels)), chosen[labels]
        cosine = np.ones(len(labels), np.float32)
        further = rows != own
        cosine[further] = cosines(self.vectors, snapshot.vector[rows[further]], snapshot.vector[own[further]])
        confidence = None
        sizes = np.bincount(labels, minlength=len(numbers))
        if fitted is not None:
            confidence = np.where(further, fitted.probability(cosine), np.inf)
            lowest = np.full(len(numbers), np.inf)
            np.minimum.at(lowest, labels, confidence)
            confidence[chosen] = np.where(sizes > 1, lowest, np.nan)
        reasons = {int(label): why(listings, int(chosen[label])) for label in np.flatnonzero(sizes > 1)}
        return Clusters(snapshot.ids, labels, numbers, next_number, chosen, reasons, cosine, confidence)


def _read_listings(index: ProductIndex, settings: Settings, snapshot: Snapshot, stages: Stages) -> Listings:
    """What the index says of the listings, with the columns that are asked for."""
    asked = [settings.labels, settings.variants.column if settings.variants else None]
    columns = {PRODUCT_ID, *(column for column in asked if column is not None)}
    with stages("reading listings") as on_progress:
        listings = read_listings(index, snapshot.ids, sorted(columns), on_progress)
    if settings.labels is not None:
        check_labels(listings, settings.labels)
    return listings


def _read_judged(
    settings: Settings, snapshot: Snapshot, vectors: NDArray[np.float32], listings: Listings
) -> Judged | None:
    """The judged pairs of a file, if one is given."""
    path, option = (settings.pairs, "--pairs") if settings.pairs else (settings.answers, "--answers")
    return None if path is None else read_judged(path, option, snapshot, vectors, _apart(settings, listings))


def _apart(settings: Settings, listings: Listings) -> NDArray[np.int64] | None:
    """(N,) the values by which listings are kept apart, where they are."""
    variants = settings.variants
    return None if variants is None or variants.same else listings.codes(variants.column)


def _has_clusters(folder: Path) -> bool:
    return (folder / "clusters.parquet").is_file()


def _check_earlier(folder: Path) -> None:
    try:
        version = json.loads((folder / "duplicates.json").read_text(encoding="utf8"))["schema_version"]
    except (OSError, ValueError, KeyError, TypeError):
        raise VectorError(f"{folder} holds no duplicates that were found earlier; see `item duplicates`.") from None
    if version != SCHEMA_VERSION or not (folder / "graph").is_dir():
        raise VectorError(f"{folder} is of another version, or damaged; give another --out, and no --update.")


def _empty(folder: Path) -> None:
    """Remove what a run that was killed has left."""
    for place in folder.iterdir():
        shutil.rmtree(place) if place.is_dir() else place.unlink()


def _keep(old: Path, new: Path, written: set[str]) -> None:
    """Copy what a run does not write: answers that the user has saved there must not be lost."""
    for place in old.iterdir():
        if place.name not in written and not (new / place.name).exists():
            (shutil.copytree if place.is_dir() else shutil.copy2)(place, new / place.name)
