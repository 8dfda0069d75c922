"""Robustness: what becomes of same-product retrieval as the queries' titles and photos are altered.

The index stays as it is; only queries are altered, and only they are embedded again. A curve is measured on the queries
that its alteration can be applied to, the unaltered ones among them, so its points compare in pairs.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from item_embed.catalog.photos.images import PhotoError, decode
from item_embed.embedding.seen import Modalities
from item_embed.errors import CatalogError, ConfigError
from item_embed.evaluation.alterations import TITLE_ALTERATIONS, Alteration, photo_alterations
from item_embed.evaluation.drawn import MOST_QUERIES, drawn, query_keys
from item_embed.evaluation.finders import VectorFinder
from item_embed.evaluation.intervals import Figure
from item_embed.evaluation.queries import FEW, QuerySet, few_remark, subset
from item_embed.evaluation.same_product import Ranking, SameProductResult, judge
from item_embed.progress import OnProgress, silent
from item_embed.wording import are, number_of


@dataclass(frozen=True)
class Point:
    """What is found at one strength of an alteration."""

    strength: float
    result: SameProductResult


@dataclass(frozen=True)
class Curve:
    """What is found as the strength of one alteration grows.

    Attributes:
        name: of the alteration.
        alters: `title` or `image`.
        unit: what its strength is counted in.
        unaltered: what is found for the same queries as they are.
        points: from the weakest alteration to the strongest.
    """

    name: str
    alters: Modalities
    unit: str
    unaltered: SameProductResult
    points: tuple[Point, ...]

    def __len__(self) -> int:
        return len(self.unaltered.queries)

    def as_json(self, seed: int = 0) -> dict[str, Any]:
        """The curve; every point with its paired difference from the unaltered queries."""
        return {
            "alters": self.alters,
            "unit": self.unit,
            "queries": len(self),
            "unaltered": _plain(self.unaltered.figures(seed)),
            "points": [
                {
                    "strength": point.strength,
                    **_plain(point.result.figures(seed)),
                    "altered_minus_unaltered": _plain(point.result.figures(seed, minus=self.unaltered)),
                }
                for point in self.points
            ],
        }


@dataclass(frozen=True)
class Robustness:
    """How a method stands alterations of its queries.

    Attributes:
        unaltered: what it finds for all queries drawn, as they are.
        available: how many queries they were drawn from.
        curves: one per alteration.
        seed: of the draw, the alterations and the intervals.
        remarks: what a reader should know of the figures.
    """

    unaltered: SameProductResult
    available: int
    curves: tuple[Curve, ...]
    seed: int
    remarks: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The figures as JSON: the curves by the names of their alterations."""
        queries = self.unaltered.queries
        return {
            "task": "robustness",
            "protocol": queries.protocol,
            "split": queries.split,
            "method": self.unaltered.method,
            "queries": len(queries),
            "drawn_from": self.available,
            "index_size": len(queries.listings),
            "modalities": self.unaltered.modalities,
            "seed": self.seed,
            "remarks": list(self.remarks),
            "unaltered": _plain(self.unaltered.figures(self.seed)),
            "curves": {curve.name: curve.as_json(self.seed) for curve in self.curves},
        }


def evaluate_robustness(
    finder: VectorFinder,
    queries: QuerySet,
    *,
    titles: Mapping[str, Alteration[str]] = TITLE_ALTERATIONS,
    photos: Mapping[str, Alteration[Image.Image]] | None = None,
    most: int = MOST_QUERIES,
    seed: int = 0,
    on_progress: OnProgress = silent,
) -> Robustness:
    """Same-product retrieval with altered queries against the unaltered catalogue.

    Args:
        finder: a model over the catalogue.
        queries: what is asked; at most `most` of them are drawn, by a hash of their ids.
        titles: alterations of titles by name.
        photos: alterations of photos by name; by default those of `photo_alterations()`, whose patches are those of a
            frame of 224 by 224 pixels.
        most: how many queries are asked.
        seed: of the draw, the alterations and the intervals.
        on_progress: told of settings, of which there is one for each strength.

    Raises:
        ConfigError: when `most` is below 1.
        CatalogError: when a photo cannot be decoded.

    Examples:
        >>> finder = vector_finder(embedder, catalog)                                    # doctest: +SKIP
        >>> found = evaluate_robustness(finder, catalog_queries(catalog, "test"))        # doctest: +SKIP
        >>> [p.result.figures()["hit_at_1"].text() for p in found.curves[0].points]      # doctest: +SKIP
    """
    if most < 1:
        raise ConfigError(f"robustness needs at least one query, not {most}.")
    asked = _in_memory(drawn(queries, most, seed))
    unaltered = finder.find(asked)
    photos = photo_alterations() if photos is None else photos
    kinds: list[_Kind] = []
    if finder.modalities != "image":
        kinds += [_of_titles(name, alteration, asked) for name, alteration in titles.items()]
    if finder.modalities != "title":
        kinds += [_of_photos(name, alteration, asked) for name, alteration in photos.items()]
    total, done = sum(len(kind.strengths) for kind in kinds if len(kind.numbers)), 0
    curves = []
    for kind in kinds:
        if not len(kind.numbers):
            continue
        points = []
        before = _part(unaltered, kind.numbers)
        keys = query_keys(before.queries, seed)
        for strength in kind.strengths:
            points.append(Point(strength, finder.find(kind.altered(before.queries, strength, keys))))
            done += 1
            on_progress(done, total)
        curves.append(Curve(kind.name, kind.alters, kind.unit, before, tuple(points)))
    return Robustness(unaltered, len(queries), tuple(curves), seed, tuple(_remarks(queries, asked, kinds)))


@dataclass(frozen=True)
class _Kind:
    """An alteration of queries: which of them it can be applied to, and how."""

    name: str
    alters: Modalities
    unit: str
    strengths: tuple[float, ...]
    numbers: NDArray[np.int64]
    altered: Callable[[QuerySet, float, list[int]], QuerySet]


def _of_titles(name: str, alteration: Alteration[str], asked: QuerySet) -> _Kind:
    def altered(queries: QuerySet, strength: float, keys: list[int]) -> QuerySet:
        pairs = zip(queries.titles, keys, strict=True)
        return replace(queries, titles=[title and alteration.alter(title, strength, key) for title, key in pairs])

    numbers = [number for number, title in enumerate(asked.titles) if title and alteration.possible(title)]
    return _Kind(name, "title", alteration.unit, alteration.strengths, np.array(numbers, np.int64), altered)


def _of_photos(name: str, alteration: Alteration[Image.Image], asked: QuerySet) -> _Kind:
    def altered(queries: QuerySet, strength: float, keys: list[int]) -> QuerySet:
        def photo(number: int) -> bytes | None:  # made when it is embedded: not all are in memory at once
            image = _opened(queries, number)
            changed = image and alteration.alter(image, strength, keys[number])
            return _lossless(changed) if changed else None

        return replace(queries, photo=photo)

    images = ((number, _opened(asked, number)) for number in range(len(asked)))
    numbers = [number for number, image in images if image and alteration.possible(image)]
    return _Kind(name, "image", alteration.unit, alteration.strengths, np.array(numbers, np.int64), altered)


def _opened(queries: QuerySet, number: int) -> Image.Image | None:
    photo = queries.photo(number)
    try:
        return decode(photo) if photo else None
    except PhotoError as error:
        raise CatalogError(f"the photo of the query {queries.ids[number]!r} cannot be altered: {error}.") from None


def _lossless(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "BMP")  # takes a hundredth of PNG's time
    return file.getvalue()


def _in_memory(queries: QuerySet) -> QuerySet:
    """The queries with their encoded photos read: each is asked for once for every strength."""
    photos = [queries.photo(number) for number in range(len(queries))]
    return replace(queries, photo=photos.__getitem__)


def _part(result: SameProductResult, numbers: NDArray[np.int64]) -> SameProductResult:
    ranking = Ranking(result.ranking.rows[numbers], result.ranking.scores[numbers])
    return judge(ranking, subset(result.queries, numbers), result.method, result.modalities)


def _remarks(queries: QuerySet, asked: QuerySet, kinds: list[_Kind]) -> Iterator[str]:
    yield from queries.remarks
    if len(asked) < len(queries):
        whole = number_of(len(queries), "query", "queries")
        yield f"{len(asked):,} of {whole} {are(len(asked))} asked, drawn by a hash of their ids."
        yield from few_remark(len(asked))
    for kind in kinds:
        if not len(kind.numbers):
            yield f"No query has a {_THING[kind.alters]} to which {kind.name} can be applied; it is left out."
        elif len(kind.numbers) < FEW <= len(asked):
            yield f"{kind.name}: {few_remark(len(kind.numbers))[0]}"


_THING = {"title": "title", "image": "photo"}


def _plain(found: dict[str, Figure]) -> dict[str, Any]:
    return {name: figure.as_json() for name, figure in found.items()}
