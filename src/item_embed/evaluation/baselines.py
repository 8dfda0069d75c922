"""Simple methods that need no training: what a learned embedding has to beat.

Titles by TF-IDF, photos by a tiny thumbnail and by a histogram of colours, and weighted sums of these. They are as
strong as their idea allows: a table that leaves them out, or weakens them, says nothing.

Letters in shapes: Q queries, q of them scored at once, N rows of the catalogue.
"""

import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer

from item_embed.catalog.store import Catalog
from item_embed.embedding.seen import Modalities
from item_embed.evaluation.queries import QuerySet
from item_embed.evaluation.same_product import Scorer
from item_embed.progress import OnProgress, silent


@dataclass(frozen=True)
class Method:
    """A weighted sum of parts, and what of a product it sees."""

    weights: dict[str, float]
    modalities: Modalities
    description: str


#: The weights of `simple` were fitted on relistings that no evaluation uses.
METHODS = {
    "tfidf": Method({"words": 1.0}, "title", "TF-IDF of words"),
    "characters": Method({"trigrams": 1.0}, "title", "TF-IDF of character trigrams within words"),
    "pixels": Method({"pixels": 1.0}, "image", "thumbnail, or its mirror image"),
    "colours": Method({"colours": 1.0}, "image", "histogram of colours"),
    "pixels+colours": Method({"pixels": 1.0, "colours": 1.0}, "image", "sum of the two"),
    "simple": Method({"words": 1.0, "pixels": 0.6, "colours": 0.8}, "both", "TF-IDF + 0.6 pixels + 0.8 colours"),
}

_LONG_SIDE = 80  # pixels of a photo that descriptors look at
_HUES, _SATURATIONS, _VALUES = 16, 8, 8  # bins of the histogram
_WHITE = 240  # a pixel with all of red, green and blue at or above this is background
_TALL = 1.25  # photos at least so much higher than wide get a 10-row thumbnail


@dataclass(frozen=True)
class Descriptors:
    """What the simple methods keep of n photos: zeros for a product without one.

    Attributes:
        pixels: (n, rows, columns, 3) thumbnails minus their mean, of length 1.
        colours: (n, bins) square roots of the shares of colours, of length 1.
    """

    pixels: NDArray[np.float32]
    colours: NDArray[np.float32]


def simple_methods(
    catalog: Catalog, queries: QuerySet, names: Iterable[str] = METHODS, on_progress: OnProgress = silent
) -> dict[str, Scorer]:
    """Prepare simple methods on a catalogue: TF-IDF is fitted on its titles, nothing is fitted on the queries.

    Args:
        catalog: the N rows to be found.
        queries: the Q queries.
        names: keys of `METHODS`.
        on_progress: told of the photos described.

    Returns:
        For each name a function from a slice of the queries to scores (q, N).

    Examples:
        >>> scorers = simple_methods(catalog, queries, ["simple"])  # doctest: +SKIP
        >>> scorers["simple"](slice(0, 256)).shape                  # doctest: +SKIP
        (256, 44072)
    """
    names = list(names)
    wanted = {part for name in names for part in METHODS[name].weights}
    parts = simple_parts(catalog, queries, wanted, on_progress)
    return {name: weighted(parts, METHODS[name].weights) for name in names}


def simple_parts(
    catalog: Catalog,
    queries: QuerySet,
    wanted: Collection[str],
    on_progress: OnProgress = silent,
    *,
    described: Descriptors | None = None,
) -> dict[str, Scorer]:
    """The parts that simple methods are sums of.

    Args:
        catalog: the N rows to be found.
        queries: the Q queries.
        wanted: of `words`, `trigrams`, `pixels`, `colours`.
        on_progress: told of the photos described.
        described: the catalogue's photos, of `describe_catalog`, where they are described already.
    """
    parts: dict[str, Scorer] = {}
    if "words" in wanted:
        parts["words"] = tfidf(catalog.titles, queries.titles, TfidfVectorizer(dtype=np.float32))
    if "trigrams" in wanted:
        trigrams = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3), dtype=np.float32)
        parts["trigrams"] = tfidf(catalog.titles, queries.titles, trigrams)
    if "pixels" in wanted or "colours" in wanted:
        rows = describe_catalog(catalog, on_progress) if described is None else described
        asked = _described(queries, rows, on_progress)
        by_photo = {"pixels": thumbnails(rows, asked), "colours": histograms(rows, asked)}
        parts |= {name: scorer for name, scorer in by_photo.items() if name in wanted}
    return parts


def weighted(parts: Mapping[str, Scorer], weights: Mapping[str, float]) -> Scorer:
    """The weighted sum of parts."""
    summed = [(np.float32(weight), parts[name]) for name, weight in weights.items()]

    def score(part: slice) -> NDArray[np.float32]:
        total = sum((weight * scorer(part) for weight, scorer in summed), np.float32(0))
        # The last bits of a matrix product depend on a row's place: without rounding, equal photos would not tie.
        return np.asarray(np.round(total, 5), np.float32)

    return score


def tfidf(titles: Sequence[str | None], asked: Sequence[str | None], vectorizer: TfidfVectorizer) -> Scorer:
    """Cosine of TF-IDF vectors; a product without a title has score 0 to all."""
    try:
        rows = vectorizer.fit_transform([title or "" for title in titles]).T.tocsr()
    except ValueError:  # no title has a word: all scores are 0
        return lambda part: np.zeros((len(asked[part]), len(titles)), np.float32)
    queries = vectorizer.transform([title or "" for title in asked])
    return lambda part: np.asarray((queries[part] @ rows).toarray())


def thumbnails(rows: Descriptors, asked: Descriptors) -> Scorer:
    """Correlation of thumbnails, the better of the query's photo and its mirror image."""
    found = rows.pixels.reshape(len(rows.pixels), -1).T

    def score(part: slice) -> NDArray[np.float32]:
        photos = asked.pixels[part]
        seen, mirrored = (p.reshape(len(photos), -1) @ found for p in (photos, photos[:, :, ::-1]))
        return np.asarray(np.maximum(seen, mirrored))

    return score


def histograms(rows: Descriptors, asked: Descriptors) -> Scorer:
    """Cosine of the square roots of histograms: the Bhattacharyya coefficient of two sets of colours."""
    return lambda part: asked.colours[part] @ rows.colours.T


def describe_catalog(catalog: Catalog, on_progress: OnProgress = silent) -> Descriptors:
    """Those of all rows of a catalogue, by thumbnails of the shape that suits its photos."""
    return describe(catalog.iter_photos(), len(catalog), grid_for(catalog), on_progress)


def describe(
    photos: Iterable[bytes | None], count: int, grid: tuple[int, int], on_progress: OnProgress = silent
) -> Descriptors:
    """Thumbnails and histograms of photos.

    Args:
        photos: encoded photos, or None.
        count: how many.
        grid: rows and columns of the thumbnail.
        on_progress: told of the photos described.
    """
    pixels = np.zeros((count, *grid, 3), np.float32)
    colours = np.zeros((count, _HUES * _SATURATIONS * _VALUES), np.float32)
    for number, photo in enumerate(photos):
        if photo is not None:
            pixels[number], colours[number] = _describe(photo, grid)
        if number % 1000 == 999:
            on_progress(number + 1, count)
    return Descriptors(pixels, colours)


def grid_for(catalog: Catalog, sample: int = 500) -> tuple[int, int]:
    """Rows and columns of the thumbnail: ten along the long side where photos are tall or wide, else eight by eight."""
    rows = np.flatnonzero(catalog.has_photo)
    chosen = rows[np.linspace(0, len(rows) - 1, min(sample, len(rows))).astype(np.int64)]
    sizes = [Image.open(io.BytesIO(photo)).size for photo in catalog.photos(chosen) if photo]
    ratio = float(np.median([height / width for width, height in sizes])) if sizes else 1.0
    return (10 if ratio >= _TALL else 8), (10 if ratio <= 1 / _TALL else 8)


def _described(queries: QuerySet, rows: Descriptors, on_progress: OnProgress) -> Descriptors:
    if queries.protocol == "listings":
        return Descriptors(rows.pixels[queries.rows], rows.colours[queries.rows])
    _, height, width, _ = rows.pixels.shape
    photos = (queries.photo(number) for number in range(len(queries)))
    return describe(photos, len(queries), (height, width), on_progress)


def _describe(photo: bytes, grid: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    image = Image.open(io.BytesIO(photo)).convert("RGB")
    image.thumbnail((_LONG_SIDE, _LONG_SIDE), Image.Resampling.BOX)  # only ever smaller
    pixels = np.asarray(image.resize((grid[1], grid[0]), Image.Resampling.BOX), np.float32)
    shown = np.asarray(image).min(axis=2) < _WHITE
    hue, saturation, value = np.moveaxis(np.asarray(image.convert("HSV"))[shown].astype(np.int64), -1, 0)
    bins = (hue * _HUES // 256 * _SATURATIONS + saturation * _SATURATIONS // 256) * _VALUES + value * _VALUES // 256
    counts = np.bincount(bins, minlength=_HUES * _SATURATIONS * _VALUES).astype(np.float32)
    return _unit(pixels - pixels.mean()), _unit(np.sqrt(counts))


def _unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scaled to length 1; zeros stay zeros."""
    length = float(np.linalg.norm(values))
    return values / np.float32(length) if length > 1e-6 else np.zeros_like(values)
