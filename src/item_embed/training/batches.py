"""Batches of a catalogue as functions of the step: what is drawn depends on (seed, epoch, row) alone.

Sample number s of a run is row `order(epoch)[s % n]` of epoch `s // n`, so a run can start at any step, be cut into
any parts, and still see the same masked pairs.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from item_embed.catalog.photos.images import decode
from item_embed.catalog.store import Catalog
from item_embed.catalog.titles import normalise_title
from item_embed.config import MASKED_TASKS, RunConfig, TrainingSettings
from item_embed.hashing import hash64, uniform
from item_embed.model.processor import ItemProcessor
from item_embed.objectives.batch import PretrainingBatch, make_batch
from item_embed.objectives.masking import Stream
from item_embed.training.augmentation import augment_photos
from item_embed.training.distributed import ALONE, Processes
from item_embed.training.views import ViewMaker

# A partner is drawn this often before a pair is left matched: a catalogue of one photo has no mismatch to offer.
_PARTNER_ATTEMPTS = 16


class PretrainingData(Dataset[list[PretrainingBatch]]):
    """The masked batches of a run; item number `step` is that step's batch, in `accumulation` parts.

    Reads titles and photos only: no category, no product. Where several processes train together, each part is one
    process's share of that part.

    Args:
        catalog: the catalogue.
        rows: numbers of the rows to train on.
        processor: titles to ids and photos to pixels.
        config: of the run.
        processes: those that train together.

    Examples:
        >>> data = PretrainingData(catalog, catalog.rows("train"), processor, config)  # doctest: +SKIP
        >>> [part.counts() for part in data[0]]                                        # doctest: +SKIP
    """

    def __init__(
        self,
        catalog: Catalog,
        rows: NDArray[np.int64],
        processor: ItemProcessor,
        config: RunConfig,
        processes: Processes = ALONE,
    ) -> None:
        self.processes = processes
        self.catalog = catalog
        self.rows = np.asarray(rows, np.int64)
        self.processor = processor
        self.settings = config.objectives
        self.augmentation = config.augmentation
        self.training = config.training
        self.patches = config.model.patches
        self.has_photo = catalog.has_photo
        self.has_title = catalog.titles.present
        self._pixels = _PixelCache(self.rows, processor.image_size, config.training)
        self._order = lru_cache(maxsize=2)(self._draw_order)
        active = config.objectives.weights.active()
        self._masks = any(name in active for name in MASKED_TASKS)
        agreement, agrees = config.objectives.agreement, "agreement" in active
        made = {"patches": self.patches, "seed": config.training.seed}
        self._views = ViewMaker(catalog, self.rows, processor, agreement, self.show, **made) if agrees else None

    def __len__(self) -> int:
        return self.training.steps

    def __getitem__(self, step: int) -> list[PretrainingBatch]:
        rows, epochs = self.samples(step)
        parts = np.split(np.arange(len(rows)), self.training.accumulation)
        shares = [self.processes.share(part) for part in parts]
        return [self.batch(rows[share], epochs[share]) for share in shares]

    def samples(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows of a step's batch and the epoch of each, (batch_size,) both."""
        first = step * self.training.batch_size
        numbers = np.arange(first, first + self.training.batch_size, dtype=np.int64)
        epochs = numbers // len(self.rows)
        places = numbers % len(self.rows)
        rows = np.empty_like(numbers)
        for epoch in np.unique(epochs):
            chosen = epochs == epoch
            rows[chosen] = self._order(int(epoch))[places[chosen]]
        return rows, epochs

    def batch(self, rows: NDArray[np.int64], epochs: NDArray[np.int64]) -> PretrainingBatch:
        """The masked batch of given rows in given epochs, and their views.

        An epoch below 0 is one that training never reaches: its masked photos are for measuring, and not augmented.
        Where no masked task is on, photos are blank and every pair is matched: nobody reads them.
        """
        photo_rows = self.photo_rows(rows, epochs) if self._masks else rows
        pixels = np.full((len(rows), 3, *self.processor.image_size), 255, np.uint8)
        if self._masks:
            self._show_masked(photo_rows, rows, epochs, pixels)
        background = self.processor.background(pixels)
        return make_batch(
            tokens=self.processor.tokenize([self.catalog.titles[row] for row in rows]),
            pixels=pixels,
            photo_missing=~self.has_photo[photo_rows],
            matched=photo_rows == rows,
            settings=self.settings,
            vocab_size=self.processor.tokenizer.get_vocab_size(),
            background=np.zeros((len(rows), self.patches), np.bool_) if background is None else background,
            seed=self.training.seed,
            epochs=epochs,
            rows=rows,
            views=None if self._views is None else self._views(rows, epochs),
        )

    def _show_masked(
        self,
        photo_rows: NDArray[np.int64],
        rows: NDArray[np.int64],
        epochs: NDArray[np.int64],
        pixels: NDArray[np.uint8],
    ) -> None:
        """Write the photos that rows are shown with into (B, 3, height, width), augmented in training."""
        for row, out in zip(photo_rows, pixels, strict=True):
            self.show(int(row), out)
        if self.augmentation.on:
            changed = self.has_photo[photo_rows] & (epochs >= 0)
            pixels[changed] = augment_photos(
                pixels[changed], self.augmentation, self.training.seed, epochs[changed], rows[changed]
            )

    def photo_rows(self, rows: NDArray[np.int64], epochs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Whose photo each row is shown with: its own, or, in a mismatched pair, a partner's.

        A partner has another normalised title and another photo. Rows without a title or a photo are never mismatched:
        there would be nothing to tell.
        """
        mismatched = uniform(self.training.seed, Stream.MISMATCH, epochs, rows) < self.settings.mismatch_rate
        mismatched &= self.has_photo[rows] & self.has_title[rows]
        photo_rows = rows.copy()
        for place in np.flatnonzero(mismatched):
            photo_rows[place] = self._partner(int(rows[place]), int(epochs[place]))
        return photo_rows

    def _partner(self, row: int, epoch: int) -> int:
        keys = hash64(self.training.seed, Stream.PARTNER, epoch, row, np.arange(_PARTNER_ATTEMPTS))
        title, photos = self._title(row), self.catalog.photo_pixels
        for candidate in self.rows[(keys % np.uint64(len(self.rows))).astype(np.int64)]:
            another_photo = self.has_photo[candidate] and photos[candidate] != photos[row]
            if another_photo and self._title(int(candidate)) != title:
                return int(candidate)
        return row

    def _title(self, row: int) -> str:
        return normalise_title(self.catalog.titles[row] or "")

    def show(self, row: int, out: NDArray[np.uint8]) -> None:
        """Write a row's photo into `out`, (3, height, width); all white where there is none."""
        if self._pixels.read(row, out):
            return
        photo = self.catalog.photo(row)
        self.processor.pixels(None if photo is None else decode(photo, self.processor.image_size), out)
        self._pixels.keep(row, out)

    def _draw_order(self, epoch: int) -> NDArray[np.int64]:
        return self.rows[np.argsort(hash64(self.training.seed, Stream.ORDER, epoch, self.rows), kind="stable")]


def batches(
    data: PretrainingData, first_step: int, device: torch.device | None = None
) -> Iterator[list[PretrainingBatch]]:
    """The batches from a step to the end of the run, prepared ahead by worker processes where there are any.

    Args:
        data: the run's.
        first_step: the step of the first batch.
        device: where they will be used; None: on a GPU where there is one.
    """
    used_on = device.type if device is not None else "cuda" if torch.cuda.is_available() else "cpu"
    loader: DataLoader[list[PretrainingBatch]] = DataLoader(
        data,
        batch_size=None,
        sampler=range(first_step, len(data)),
        num_workers=data.training.workers,
        pin_memory=used_on == "cuda",  # copies to the device then overlap with its work
    )
    return iter(loader)


class _PixelCache:
    """Decoded photos, kept if those of all rows fit into the limit and no worker process has a cache of its own.

    They lie in the order in which they came, so that no memory is touched before it is needed.
    """

    def __init__(self, rows: NDArray[np.int64], image_size: tuple[int, int], training: TrainingSettings) -> None:
        shape = (len(rows), 3, *image_size)
        fits = np.prod(shape, dtype=np.float64) <= training.pixel_cache_mb * 2**20 and training.workers == 0
        self._rows = np.sort(rows) if fits else rows[:0]
        self._slots = np.full(len(self._rows), -1, np.int32)
        self._pixels = np.empty(shape if fits else 0, np.uint8)
        self._kept = 0

    def read(self, row: int, out: NDArray[np.uint8]) -> bool:
        """Write a row's photo into `out`, (3, height, width), if it is here; whether it was."""
        place = self._place(row)
        if place is None or self._slots[place] < 0:
            return False
        out[...] = self._pixels[self._slots[place]]
        return True

    def keep(self, row: int, pixels: NDArray[np.uint8]) -> None:
        """Keep a photo, (3, height, width), that is not here yet, if there is room for those of all rows."""
        place = self._place(row)
        if place is not None:
            self._pixels[self._kept] = pixels
            self._slots[place] = self._kept
            self._kept += 1

    def _place(self, row: int) -> int | None:
        place = int(np.searchsorted(self._rows, row))
        return place if place < len(self._rows) and self._rows[place] == row else None
