"""Dominance: does the vector hang on the photo, or on the title?

Three measurements. *Retrieval* of the same product by each alone, by both, and by both with one of them taken from
another product. *Category*: the leaf that a linear probe predicts, likewise. *Movement*: how far a listing's vector
goes when its photo, or its title, is exchanged for another product's, as the mean cosine distance. The index of
dominance is

    (movement by the photo - movement by the title) / (movement by the photo + movement by the title)

1 where the vector hangs on the photo alone, -1 where it hangs on the title alone, 0 where both move it alike; 0 by
definition where neither moves it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.categories.leaves import LeafTask
from item_embed.embedding.bulk import Embeds
from item_embed.embedding.seen import Modalities
from item_embed.errors import CatalogError, ConfigError
from item_embed.evaluation.classification import Judged
from item_embed.evaluation.classification import figures as judged_figures
from item_embed.evaluation.drawn import MOST_QUERIES, drawn
from item_embed.evaluation.embedded import embed_queries
from item_embed.evaluation.finders import VectorFinder, vector_finder
from item_embed.evaluation.intervals import Figure, ratios
from item_embed.evaluation.queries import FEW, QuerySet, few_remark, rows_as_queries, subset
from item_embed.evaluation.same_product import SameProductResult
from item_embed.evaluation.swapped_categories import classify_swapped
from item_embed.evaluation.swapping import have_both, swap_partners, swapped
from item_embed.progress import Stages, silent_stages
from item_embed.wording import are, number_of

_ALONE: tuple[Modalities, ...] = ("image", "title")


@dataclass(frozen=True)
class Movement:
    """How far the vectors of n listings go when a photo or a title is exchanged.

    Attributes:
        photo: (n,) cosine distance between a listing's vector and that with another product's photo, 0 to 2.
        title: (n,) the same with another product's title.
        products: (n,) the product of each listing, over which intervals go.
    """

    photo: NDArray[np.float64]
    title: NDArray[np.float64]
    products: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.photo)

    def figures(self, seed: int = 0) -> dict[str, Figure]:
        """`photo` and `title`, the mean movements, and `index`; both movements of a product are resampled together.

        Examples:
            >>> same = np.zeros(3)
            >>> Movement(np.ones(3), same, np.arange(3)).figures()["index"].text(".0f")
            '1 [1, 1]'
        """
        _, product = np.unique(self.products, return_inverse=True)

        def sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.bincount(product, values).astype(np.float64)

        photo, title, listings = sums(self.photo), sums(self.title), sums(np.ones(len(self)))
        numerators, denominators = [photo, title], [listings, listings]
        moves = bool((photo + title).any())
        if moves:
            numerators, denominators = [*numerators, photo - title], [*denominators, photo + title]
        found = ratios(np.stack(numerators, axis=1), np.stack(denominators, axis=1), seed=seed)
        still = Figure(0.0, None, None, "no exchange moves a vector: 0 by definition")
        return {"photo": found[0], "title": found[1], "index": found[2] if moves else still}


@dataclass(frozen=True)
class Dominance:
    """What the vectors of a method hang on.

    Attributes:
        method: its name.
        queries: the listings measured on, each with a photo and a title.
        movement: how far their vectors go.
        retrieval: what is found by `image`, `title`, `both`, `photo_swapped` and `title_swapped`, for the same
            queries; empty where no product has a second listing.
        categories: how test rows are classified by the same five; empty where leaves were not asked for.
        seed: of the draws and the intervals.
        remarks: what a reader should know of the figures.
    """

    method: str
    queries: QuerySet
    movement: Movement
    retrieval: dict[str, SameProductResult]
    categories: dict[str, Judged]
    seed: int
    remarks: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The figures as JSON; retrieval with paired differences from what both together find."""
        both = self.retrieval.get("both")
        found = self.movement.figures(self.seed)
        return {
            "task": "dominance",
            "protocol": self.queries.protocol,
            "split": self.queries.split,
            "method": self.method,
            "listings": len(self.movement),
            "index_size": len(self.queries.listings),
            "seed": self.seed,
            "remarks": list(self.remarks),
            "index": found["index"].as_json(),
            "movement": {name: found[name].as_json() for name in ("photo", "title")},
            "retrieval": {
                name: {
                    "queries": len(result.queries),
                    **_plain(result.figures(self.seed)),
                    **({} if result is both else {"minus_both": _plain(result.figures(self.seed, minus=both))}),
                }
                for name, result in self.retrieval.items()
            },
            "leaf_category": {
                name: {"rows": len(judged), "accuracy": judged_figures(judged, seed=self.seed)["accuracy"].as_json()}
                for name, judged in self.categories.items()
            },
        }


def evaluate_dominance(
    embeds: Embeds,
    catalog: Catalog,
    queries: QuerySet | None,
    *,
    split: str = "all",
    leaves: LeafTask | None = None,
    vectors: Mapping[Modalities, NDArray[np.float32]] | None = None,
    most: int = MOST_QUERIES,
    method: str = "model",
    seed: int = 0,
    batch_size: int = 256,
    stage: Stages = silent_stages,
) -> Dominance:
    """Retrieval by photo, title and both, and how far the vector goes when one of them is exchanged.

    For each modality alone, and for both, the catalogue is embedded once, unless its vectors are given.

    Args:
        embeds: the model.
        catalog: the N rows to be found, and to exchange with.
        queries: what is asked; None where there are no labels: then movement alone is measured, on rows of `split`.
        split: the rows measured on where there are no queries.
        leaves: the labelled rows; where given, categories are predicted too, of at most `most` test rows.
        vectors: (N, d) vectors of the catalogue, by what the model saw of it; what is not there is made.
        most: how many queries or rows are measured on, drawn by a hash of their ids.
        method: the name of the model.
        seed: of the draws and the intervals.
        batch_size: products that the model embeds at once.
        stage: told of the progress of each stage.

    Raises:
        ConfigError: when `most` is below 1.
        CatalogError: when no listing has both a photo and a title, or none has another product to exchange with.

    Examples:
        >>> found = evaluate_dominance(embedder, catalog, catalog_queries(catalog, "test"))  # doctest: +SKIP
        >>> found.movement.figures()["index"].text()                                         # doctest: +SKIP
        '-0.312 [-0.341, -0.284]'
    """
    exchanged = _exchanged(catalog, queries, split, most, seed)
    asked = exchanged.asked
    found = exchanged.embedded(embeds, batch_size, stage)

    def finder(seen: Modalities) -> VectorFinder:
        made = (vectors or {}).get(seen)
        with stage(f"embedding the catalogue ({seen})") as on_progress:
            return vector_finder(
                embeds, catalog, seen, vectors=made, method=method, batch_size=batch_size, on_progress=on_progress
            )

    retrieval: dict[str, SameProductResult] = {}
    categories: dict[str, Judged] = {}
    if queries is not None:
        retrieval = {seen: finder(seen).find(asked) for seen in _ALONE}
    if queries is not None or leaves is not None:
        both = finder("both")
        if queries is not None:
            retrieval |= {name: both.judge(found[name], listings) for name, listings in exchanged.shown.items()}
        if leaves is not None:
            categories = classify_swapped(both, catalog, leaves, most=most, seed=seed, stage=stage)
    return Dominance(method, asked, _movement(found, asked), retrieval, categories, seed, exchanged.remarks)


def movement(
    embeds: Embeds,
    catalog: Catalog,
    queries: QuerySet,
    *,
    most: int = MOST_QUERIES,
    seed: int = 0,
    batch_size: int = 256,
    stage: Stages = silent_stages,
) -> Movement:
    """How far vectors go when a photo or a title is exchanged; see `evaluate_dominance`. The catalogue is not embedded.

    Raises:
        ConfigError, CatalogError: as `evaluate_dominance` does.

    Examples:
        >>> movement(embedder, catalog, queries).figures()["index"].text()  # doctest: +SKIP
        '-0.312 [-0.341, -0.284]'
    """
    exchanged = _exchanged(catalog, queries, "all", most, seed)
    return _movement(exchanged.embedded(embeds, batch_size, stage), exchanged.asked)


@dataclass(frozen=True)
class _Exchanged:
    """The listings measured on: as they are, `both`, and with the photo or title of another product; see `swapped`."""

    shown: Mapping[str, QuerySet]
    remarks: tuple[str, ...]

    @property
    def asked(self) -> QuerySet:
        return self.shown["both"]

    def embedded(self, embeds: Embeds, batch_size: int, stage: Stages) -> dict[str, NDArray[np.float32]]:
        """(n, d) vectors of each."""
        found = {}
        for name, listings in self.shown.items():
            with stage(f"embedding listings ({name.replace('_', ' ')})") as on_progress:
                found[name] = embed_queries(embeds, listings, batch_size=batch_size, on_progress=on_progress)
        return found


def _exchanged(catalog: Catalog, queries: QuerySet | None, split: str, most: int, seed: int) -> _Exchanged:
    if most < 1:
        raise ConfigError(f"dominance needs at least one listing, not {most}.")
    given = rows_as_queries(catalog, split) if queries is None else queries
    whole = subset(given, np.flatnonzero(have_both(given)))
    if not len(given):
        raise CatalogError(
            f"the {split} split of {catalog.path} is empty, as of few groups it may be; use --split all."
        )
    if not len(whole):
        raise CatalogError(
            f"no listing asked for in {catalog.path} has both a photo and a title; dominance compares the two."
        )
    asked = drawn(whole, most, seed)
    partners = swap_partners(catalog, asked, seed)
    there = np.flatnonzero(partners >= 0)
    if not len(there):
        raise CatalogError(
            f"{catalog.path} has no second product with a photo and a title of its own to exchange with."
        )
    remarks = (*given.remarks, *_remarks(given, whole, asked, partners, has_labels=queries is not None))
    return _Exchanged(swapped(catalog, subset(asked, there), partners[there]), remarks)


def _movement(vectors: Mapping[str, NDArray[np.float32]], asked: QuerySet) -> Movement:
    return Movement(
        photo=_distances(vectors["both"], vectors["photo_swapped"]),
        title=_distances(vectors["both"], vectors["title_swapped"]),
        products=asked.products,
    )


def _distances(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n,) cosine distances of the rows of two (n, d): 0 exactly where they are equal."""
    cosines = (one.astype(np.float64) * other).sum(axis=1)
    return np.where((one == other).all(axis=1), 0.0, np.clip(1 - cosines, 0, 2))


def _remarks(
    given: QuerySet, whole: QuerySet, asked: QuerySet, partners: NDArray[np.int64], *, has_labels: bool
) -> Iterator[str]:
    if not has_labels:
        yield "There are no queries of the same product, so only the movement of vectors is measured."
    if len(whole) < len(given):
        lacking = len(given) - len(whole)
        yield f"{lacking:,} of {number_of(len(given), 'listing')} without a photo or a title {are(lacking)} left out."
    if len(asked) < len(whole):
        listings = number_of(len(whole), "listing")
        yield f"{len(asked):,} of {listings} {are(len(asked))} measured on, drawn by a hash of their ids."
    alone = int((partners < 0).sum())
    if alone:
        listings = number_of(len(asked), "listing")
        yield f"{alone:,} of {listings} without another product to exchange with {are(alone)} left out."
    if len(given) >= FEW or not has_labels:  # else it was said of the queries
        yield from few_remark(len(asked) - alone)


def _plain(found: dict[str, Figure]) -> dict[str, Any]:
    return {name: figure.as_json() for name, figure in found.items()}
