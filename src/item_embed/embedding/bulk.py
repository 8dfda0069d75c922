"""A whole catalogue's vectors."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Protocol, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.photos.images import PhotoError
from item_embed.catalog.store import Catalog, Listing
from item_embed.embedding.seen import Modalities, seen_title
from item_embed.embedding.shards import SHARD_ROWS, Shards
from item_embed.embedding.vectors import Vectors
from item_embed.errors import CatalogError, ConfigError
from item_embed.parallel import cores, map_beside
from item_embed.progress import OnProgress, silent

if TYPE_CHECKING:  # the embedder brings its tokenizer, which readers of vectors do not need
    from item_embed.embedding.embedder import Embedder, ImageInput
    from item_embed.model.photos import PhotoProcessor

_T = TypeVar("_T")
_SLICE = 64  # rows that a worker takes at once
_MOST_WORKERS = 16  # by default: decode 10,000 photos a second, more than one process takes from others
_ENOUGH_FOR_PROCESSES = 2048  # rows; fewer are decoded before processes have started


class Embeds(Protocol):
    """What makes vectors of photos and titles: `Embedder`, or any other method with the same two names."""

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""

    def embed(
        self,
        images: Sequence[bytes | None] | None = None,
        titles: Sequence[str | None] | None = None,
        batch_size: int = 256,
        on_progress: OnProgress = silent,
    ) -> NDArray[np.float32]:
        """Unit vectors, (n, dimension), of n products that each have an encoded photo or a title."""


def embed_catalog(
    embedder: "Embedder",
    catalog: Catalog,
    modalities: Modalities = "both",
    rows: NDArray[np.int64] | None = None,
    *,
    batch_size: int = 256,
    on_progress: OnProgress = silent,
) -> Vectors:
    """Embed the rows of a catalogue, in its order, leaving none out.

    A row that lacks the one modality asked for cannot be embedded: it gets the zero vector, whose cosine with
    everything is 0. With both asked for, a row without a photo is embedded by its title, and the other way
    round.

    Args:
        embedder: the model.
        catalog: the catalogue.
        modalities: what the model sees: `both`, the `image` alone, or the `title` alone.
        rows: row numbers, (n,); by default all.
        batch_size: rows that the model embeds at once.
        on_progress: told of the rows done and of their total.

    Returns:
        Vectors (n, d) of length 1 or 0, in the order of `rows`.

    Raises:
        ConfigError: when `modalities` is none of the three.

    Examples:
        >>> embedder = Embedder.from_pretrained("run/model")                   # doctest: +SKIP
        >>> embed_catalog(embedder, Catalog("catalog"), "title").vectors.shape  # doctest: +SKIP
        (44072, 256)
    """
    ids: list[str] = []
    vectors = np.zeros((len(catalog) if rows is None else len(rows), embedder.dimension), np.float32)
    for part in embed_parts(embedder, catalog, modalities, rows, batch_size=batch_size, on_progress=on_progress):
        vectors[len(ids) : len(ids) + len(part)] = part.vectors
        ids += part.ids
    return Vectors(ids, vectors, embedder.fingerprint, str(embedder.path.resolve()), modalities)


def embed_parts(
    embedder: "Embedder",
    catalog: Catalog,
    modalities: Modalities = "both",
    rows: NDArray[np.int64] | None = None,
    *,
    batch_size: int = 256,
    workers: int = 0,
    on_progress: OnProgress = silent,
) -> Iterator[Vectors]:
    """The vectors of `embed_catalog` part by part, for catalogues whose vectors do not fit in memory.

    Examples:
        >>> write_vectors("vectors.parquet", embed_parts(embedder, Catalog("catalog")))  # doctest: +SKIP
    """
    chosen: Sequence[int] | NDArray[np.int64] = range(len(catalog)) if rows is None else np.asarray(rows, np.int64)
    starts = range(0, max(1, len(chosen)), SHARD_ROWS)  # of no rows one empty part, which says who made it
    parts = [chosen[start : start + SHARD_ROWS] for start in starts]
    work = _Work(embedder, catalog, modalities, batch_size, workers)
    yield from work.vectors(parts, _Told(on_progress, 0, len(chosen)))


def embed_shards(
    embedder: "Embedder",
    catalog: Catalog,
    shards: Shards,
    *,
    batch_size: int = 256,
    workers: int = 0,
    on_progress: OnProgress = silent,
) -> None:
    """Embed the shards that are missing, and keep each as soon as it is finished.

    Args:
        embedder: the model.
        catalog: the catalogue, whole, of which the shards are.
        shards: of `Job.of` these two, held.
        batch_size: rows that the model embeds at once.
        workers: processes that decode photos ahead of the model; 0: this one does.
        on_progress: told of the rows done, those of finished shards too, and of their total.

    Raises:
        CatalogError: when a photo cannot be used.
        WorkerError: when a worker is ended from outside.

    Examples:
        >>> shards = Shards("vectors.parquet", Job.of(embedder, catalog))  # doctest: +SKIP
        >>> with shards.held():                                             # doctest: +SKIP
        ...     embed_shards(embedder, catalog, shards, workers=2)
        ...     shards.merge()
    """
    job, missing = shards.job, shards.missing()
    parts = [job.shard(number) for number in missing]
    told = _Told(on_progress, job.rows - sum(map(len, parts)), job.rows)
    work = _Work(embedder, catalog, job.modalities, batch_size, workers)
    with closing(work.vectors(parts, told)) as made:
        for number, vectors in zip(missing, made, strict=True):
            shards.write(number, vectors)


def enough_workers(rows: int, modalities: Modalities) -> int:
    """How many processes decode the photos of so many rows fastest: none where they would hardly have started."""
    return min(cores(), _MOST_WORKERS) if modalities != "title" and rows >= _ENOUGH_FOR_PROCESSES else 0


class _Told:
    """Progress, told as rows of the whole."""

    def __init__(self, on_progress: OnProgress, done: int, total: int) -> None:
        self._on_progress, self._done, self._total = on_progress, done, total
        on_progress(done, total)

    def __call__(self, within: int) -> None:
        """So many rows of this part are done."""
        self._on_progress(self._done + within, self._total)

    def part(self, rows: int) -> None:
        """This part is done."""
        self._done += rows
        self(0)


@dataclass(frozen=True)
class _Product:
    """A row as the model gets it: nothing is left of what it shall not see, or cannot."""

    id: str
    photo: "ImageInput"
    title: str | None


@dataclass(frozen=True)
class _Work:
    """How rows become vectors: photos are decoded slice by slice, by workers in advance, and embedded batch by batch.

    A batch never reaches into the next part, so that a part's vectors do not depend on which others are made.
    """

    embedder: "Embedder"
    catalog: Catalog
    modalities: Modalities
    batch_size: int
    workers: int

    def __post_init__(self) -> None:
        if self.modalities not in get_args(Modalities):
            raise ConfigError(f"there are no modalities {self.modalities!r}; choose both, image or title.")

    def vectors(self, parts: Sequence[Sequence[int] | NDArray[np.int64]], told: _Told) -> Generator[Vectors]:
        """The vectors of each part, at least one; photos of the parts that follow are decoded meanwhile."""
        with closing(self._products(chain.from_iterable(parts))) as products:
            for part in parts:
                yield self._part(islice(products, len(part)), len(part), told)
                told.part(len(part))

    def _part(self, products: Iterator[_Product], rows: int, told: _Told) -> Vectors:
        ids: list[str] = []
        vectors = np.zeros((rows, self.embedder.dimension), np.float32)

        def usable() -> Iterator[tuple[int, _Product]]:
            for place, product in enumerate(products):
                ids.append(product.id)
                if product.photo is not None or product.title:
                    yield place, product

        for batch in _slices(usable(), self.batch_size):
            places = [place for place, _ in batch]
            photos, titles = [product.photo for _, product in batch], [product.title for _, product in batch]
            vectors[places] = self.embedder.embed(photos, titles, self.batch_size)
            told(places[-1] + 1)
        made_by = (self.embedder.fingerprint, str(self.embedder.path.resolve()), self.modalities)
        return Vectors(ids, vectors, *made_by)

    def _products(self, rows: Iterable[int]) -> Generator[_Product]:
        listings = self.catalog.iter_listings(rows, photos=self.modalities != "title")
        see = partial(_seen, self.embedder.photos, self.modalities)
        # A whole batch is decoded while the one before it is embedded.
        ahead = 2 + -(-2 * self.batch_size // (_SLICE * max(1, self.workers)))
        with closing(map_beside(see, _slices(listings, _SLICE), self.workers, ahead)) as slices:
            yield from chain.from_iterable(slices)


def _seen(photos: "PhotoProcessor", modalities: Modalities, listings: Sequence[Listing]) -> list[_Product]:
    """What the model sees of some rows, photos decoded; the work of another process where there are workers."""
    products = []
    for key, title, photo in listings:
        try:
            ready = photos.read(photo) if photo and modalities != "title" else None
        except PhotoError as error:
            raise CatalogError(
                f"the photo of row {key!r} cannot be used: {error}; prepare the catalogue again."
            ) from None
        products.append(_Product(key, ready, seen_title(title) if modalities != "image" else None))
    return products


def _slices(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """So many items at a time, the last ones fewer."""
    iterator = iter(items)
    while taken := list(islice(iterator, size)):
        yield taken


def embed_seen(
    embedder: Embeds,
    images: Sequence[bytes | None],
    titles: Sequence[str | None],
    batch_size: int = 256,
    on_progress: OnProgress = silent,
) -> NDArray[np.float32]:
    """The vectors of products, (n, d); zeros for those of which the model sees nothing, neither photo nor title."""
    vectors = np.zeros((len(images), embedder.dimension), np.float32)
    pairs = enumerate(zip(images, titles, strict=True))
    usable = [row for row, (image, title) in pairs if image or seen_title(title)]
    if usable:
        vectors[usable] = embedder.embed(
            images=[images[i] for i in usable],
            titles=[titles[i] for i in usable],
            batch_size=batch_size,
            on_progress=on_progress,
        )
    return vectors
