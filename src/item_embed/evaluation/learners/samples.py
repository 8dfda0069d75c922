"""What a baseline is trained on: rows drawn in ITEm's order, their photos decoded once, their titles as tokens."""

import numpy as np
from numpy.typing import NDArray

from item_embed.errors import CatalogError
from item_embed.evaluation.learners.learner import Material
from item_embed.model.arrays import Tokens
from item_embed.model.processor import ItemProcessor
from item_embed.training.augmentation import augment_photos
from item_embed.training.batches import PretrainingData


class Samples:
    """The rows that one baseline learns from.

    Sample number s is row `order(epoch)[s % n]` of epoch `s // n`, in the same order as in ITEm's own training.

    Args:
        material: the catalogue and the settings.
        rows: (n,) those of its rows that hold what the baseline reads.
        processor: titles to ids and photos to pixels, as ITEm sees them.

    Examples:
        >>> samples = Samples(material, rows_with(material, photo=True), processor_of(material))  # doctest: +SKIP
        >>> rows, epochs = samples.drawn(step=0)                                                  # doctest: +SKIP
        >>> samples.photos(rows).shape                                                            # doctest: +SKIP
        (256, 3, 80, 64)
    """

    def __init__(self, material: Material, rows: NDArray[np.int64], processor: ItemProcessor) -> None:
        self.rows = rows
        self.processor = processor
        self.seed = material.config.training.seed
        self._catalog = material.catalog
        self._augmentation = material.config.augmentation
        self._data = PretrainingData(material.catalog, rows, processor, material.config)

    def drawn(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows of a step's batch and the epoch of each, (batch_size,) both."""
        return self._data.samples(step)

    def photos(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The photos of some rows, (B, 3, height, width); all white where there is none."""
        pixels = np.empty((len(rows), 3, *self.processor.image_size), np.uint8)
        for row, out in zip(rows, pixels, strict=True):
            self._data.show(int(row), out)
        return pixels

    def augmented(self, rows: NDArray[np.int64], epochs: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The same, changed as ITEm's own are in training: by default not at all."""
        pixels = self.photos(rows)
        there = self._catalog.has_photo[rows]
        if self._augmentation.on:
            pixels[there] = augment_photos(pixels[there], self._augmentation, self.seed, epochs[there], rows[there])
        return pixels

    def tokens(self, rows: NDArray[np.int64]) -> Tokens:
        """The titles of some rows as ids."""
        return self.processor.tokenize(self._catalog.titles.at(rows))


def processor_of(material: Material) -> ItemProcessor:
    """Titles and photos as ITEm sees them, every patch of a photo included."""
    model = material.config.model
    return ItemProcessor(material.tokenizer, model.image_size, model.max_title_tokens)


def rows_with(material: Material, *, photo: bool = False, title: bool = False) -> NDArray[np.int64]:
    """The rows to learn from that have a photo, a title, or both, as asked for.

    Raises:
        CatalogError: when there are fewer than two.
    """
    catalog, rows = material.catalog, material.rows
    if photo:
        rows = rows[catalog.has_photo[rows]]
    if title:
        rows = rows[catalog.titles.present[rows]]
    if len(rows) < 2:
        wanted = " and ".join(["a photo"] * photo + ["a title"] * title)
        raise CatalogError(
            f"{catalog.path} has {'no row' if not len(rows) else 'only one row'} with {wanted} to learn from in its "
            "training split; prepare more rows."
        )
    return rows
