"""A whole catalogue's vectors."""

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.embedding.vectors import Vectors
from item_embed.errors import ConfigError
from item_embed.progress import OnProgress, silent

if TYPE_CHECKING:  # the embedder brings torch, which readers of vectors do not need
    from item_embed.embedding.embedder import Embedder

Modalities = Literal["both", "image", "title"]

_PART = 4096  # rows whose photos are in memory at once


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
    if modalities not in get_args(Modalities):
        raise ConfigError(f"there are no modalities {modalities!r}; choose both, image or title.")
    chosen = catalog.rows() if rows is None else np.asarray(rows, np.int64)
    vectors = np.zeros((len(chosen), embedder.dimension), np.float32)
    for start in range(0, len(chosen), _PART):
        part = chosen[start : start + _PART]
        images = catalog.photos(part) if modalities != "title" else [None] * len(part)
        titles = [catalog.titles[row] if modalities != "image" else None for row in part]
        usable = [i for i, seen in enumerate(zip(images, titles, strict=True)) if any(seen)]
        if usable:
            vectors[start + np.array(usable)] = embedder.embed(
                images=[images[i] for i in usable],
                titles=[titles[i] for i in usable],
                batch_size=batch_size,
                on_progress=_from(start, len(chosen), on_progress),
            )
        on_progress(min(start + _PART, len(chosen)), len(chosen))
    return Vectors(
        [catalog.ids[row] for row in chosen], vectors, embedder.fingerprint, str(embedder.path.resolve())
    )


def _from(start: int, total: int, on_progress: OnProgress) -> OnProgress:
    """Progress within a part, told as progress of the whole."""
    return lambda done, _: on_progress(start + done, total)
