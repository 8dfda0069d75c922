"""The whitening of a trained model, by the vectors of rows that it was trained on, or of another shop's."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from item_embed.catalog.photos.images import decode
from item_embed.catalog.store import Catalog
from item_embed.config import WhiteningSettings
from item_embed.hashing import hash64
from item_embed.model.encoder import ItemModel
from item_embed.model.encoding import vectors_by_sight
from item_embed.model.processor import ItemProcessor
from item_embed.model.whitening import SIGHTS, Whitening, fit_whitening
from item_embed.objectives.masking import Stream
from item_embed.progress import OnProgress, silent

FEWEST = 16  # rows; of fewer the mean alone is not known well
_BATCH = 256


def whitening_rows(catalog: Catalog, rows: NDArray[np.int64], most: int, seed: int = 0) -> NDArray[np.int64]:
    """The rows to whiten by: those with a photo and a title, at most so many, drawn.

    Args:
        catalog: the catalogue.
        rows: (n,) row numbers to draw from.
        most: how many at most.
        seed: of the draw, which depends on nothing else.

    Returns:
        Row numbers in their order.

    Examples:
        >>> len(whitening_rows(catalog, catalog.rows("train"), 4096))  # doctest: +SKIP
        4096
    """
    whole = np.asarray([row for row in rows[catalog.has_photo[rows]] if catalog.titles[row]], np.int64)
    if len(whole) <= most:
        return whole
    order = np.argsort(hash64(seed, Stream.ORDER, whole), kind="stable")
    return np.sort(whole[order[:most]])


def whitening_facts(
    catalog: Catalog, rows: NDArray[np.int64], settings: WhiteningSettings, excluded_rows: int
) -> dict[str, Any]:
    """What `provenance.json` tells of a whitening by some rows, so many of the training split being left out."""
    known = {
        "catalog": str(catalog.path),
        "catalog_fingerprint": catalog.fingerprint,
        "rows": len(rows),
        "excluded_rows": excluded_rows,
    }
    return {"whitened": known | settings.model_dump(include={"power", "late_fusion", "dimensions"})}


def whitening_of(
    model: ItemModel,
    processor: ItemProcessor,
    catalog: Catalog,
    rows: NDArray[np.int64],
    settings: WhiteningSettings,
    *,
    on_progress: OnProgress = silent,
) -> Whitening:
    """Fit whitening to the vectors of some rows, each seen by photo and title, by the photo alone, and by the title.

    In float32: whitening stretches most where vectors differ least, and there rounding would be taken for spread.

    Args:
        model: a trained encoder; it is left as it is, on its device.
        processor: the one it was trained with.
        catalog: the catalogue; its titles and photos are read, and no label.
        rows: (n,) rows with a photo and a title, from `whitening_rows`.
        settings: power, dimensions and late fusion.
        on_progress: told of rows.

    Raises:
        ModelError: when all these rows have one vector.

    Examples:
        >>> rows = whitening_rows(catalog, catalog.rows("train"), 4096)                             # doctest: +SKIP
        >>> whitening_of(model, processor, catalog, rows, WhiteningSettings(power=0.75)).dimension  # doctest: +SKIP
        192
    """
    found = []
    training = model.training
    model.train(False)
    try:
        for start in range(0, len(rows), _BATCH):
            part = rows[start : start + _BATCH]
            photos = [None if data is None else decode(data, processor.image_size) for data in catalog.photos(part)]
            shown = [catalog.titles[row] for row in part]
            with torch.inference_mode():
                found.append(vectors_by_sight(model, processor, photos, shown, "fp32").cpu().numpy())
            on_progress(start + len(part), len(rows))
    finally:
        model.train(training)
    vectors = dict(zip(SIGHTS, np.concatenate(found).swapaxes(0, 1), strict=True))
    titles = [catalog.titles[row] for row in rows] if settings.late_fusion else None
    return fit_whitening(vectors, settings.power, settings.dimensions, titles=titles)
