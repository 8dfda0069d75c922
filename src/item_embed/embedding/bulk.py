"""A whole catalogue's vectors."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.embedding.seen import Modalities, seen_title
from item_embed.embedding.vectors import Vectors
from item_embed.errors import ConfigError
from item_embed.progress import OnProgress, silent

if TYPE_CHECKING:  # the embedder brings torch, which readers of vectors do not need
    from item_embed.embedding.embedder import Embedder

_PART = 4096  # rows whose photos are in memory at once


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

    Example:
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
    on_progress: OnProgress = silent,
) -> Iterator[Vectors]:
    """The vectors of `embed_catalog` part by part, for catalogues whose vectors do not fit in memory.

    Example:
        >>> write_vectors("vectors.parquet", embed_parts(embedder, Catalog("catalog")))  # doctest: +SKIP
    """
    if modalities not in get_args(Modalities):
        raise ConfigError(f"there are no modalities {modalities!r}; choose both, image or title.")
    chosen = catalog.rows() if rows is None else np.asarray(rows, np.int64)
    for start in range(0, max(1, len(chosen)), _PART):  # of no rows one empty part, which says who made it
        part = chosen[start : start + _PART]
        images = catalog.photos(part) if modalities != "title" else [None] * len(part)
        titles = [catalog.titles[row] if modalities != "image" else None for row in part]
        vectors = embed_seen(embedder, images, titles, batch_size, _from(start, len(chosen), on_progress))
        on_progress(min(start + _PART, len(chosen)), len(chosen))
        ids = [catalog.ids[row] for row in part]
        yield Vectors(ids, vectors, embedder.fingerprint, str(embedder.path.resolve()), modalities)


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


def _from(start: int, total: int, on_progress: OnProgress) -> OnProgress:
    """Progress within a part, told as progress of the whole."""
    return lambda done, _: on_progress(start + done, total)
