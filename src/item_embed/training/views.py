"""The two views of each product that agreement brings together, as a batch."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.catalog.titles import normalise_title
from item_embed.config import AgreementSettings
from item_embed.hashing import hash64, text_hash, uniform
from item_embed.model.processor import ItemProcessor
from item_embed.objectives.batch import PHOTO_ALONE, TITLE_ALONE, Views
from item_embed.objectives.masking import Stream
from item_embed.training.changed_photos import change_photo
from item_embed.training.changed_titles import change_title


class ViewMaker:
    """Makes the views of rows as functions of (seed, epoch, row).

    Args:
        catalog: the catalogue.
        rows: those that are trained on; words of their titles are put into others.
        processor: titles to ids; which patches are empty.
        settings: what views show, and how much they are changed.
        show: writes the photo of a row into (3, height, width).
        patches: of a photo.
        seed: of the run.

    Examples:
        >>> settings = config.objectives.agreement                                              # doctest: +SKIP
        >>> make = ViewMaker(catalog, rows, processor, settings, data.show, patches=20, seed=0)  # doctest: +SKIP
        >>> make(rows[:4], np.zeros(4, np.int64)).pixels.shape                                  # doctest: +SKIP
        torch.Size([8, 3, 80, 64])
    """

    def __init__(
        self,
        catalog: Catalog,
        rows: NDArray[np.int64],
        processor: ItemProcessor,
        settings: AgreementSettings,
        show: Callable[[int, NDArray[np.uint8]], None],
        *,
        patches: int,
        seed: int,
    ) -> None:
        self.catalog = catalog
        self.rows = rows
        self.processor = processor
        self.settings = settings
        self.show = show
        self.seed = seed
        self.patches = patches
        self.has_photo = catalog.has_photo
        self.has_title = catalog.titles.present

    def __call__(self, rows: NDArray[np.int64], epochs: NDArray[np.int64]) -> Views:
        """The views of rows, (B,), in their epochs, (B,)."""
        kinds = self.kinds(rows, epochs)
        titled = (kinds != PHOTO_ALONE) & self.has_title[rows]
        pictured = (kinds != TITLE_ALONE) & self.has_photo[rows]
        pixels = np.full((2, len(rows), 3, *self.processor.image_size), 255, np.uint8)
        for place in np.flatnonzero(pictured):
            self._change_photos(int(rows[place]), int(epochs[place]), pixels[:, place])
        titles = [
            self._changed_title(int(row), int(epoch), view) if shown else None
            for view in (0, 1)
            for row, epoch, shown in zip(rows, epochs, titled, strict=True)
        ]
        tokens = self.processor.tokenize(titles)
        flat = pixels.reshape(-1, *pixels.shape[2:])
        background = self.processor.background(flat)
        return Views(
            input_ids=torch.from_numpy(tokens.ids),
            token_padding=torch.from_numpy(tokens.padding),
            pixels=torch.from_numpy(flat),
            photo_missing=torch.from_numpy(np.tile(~pictured, 2)),
            background=torch.from_numpy(
                np.zeros((len(flat), self.patches), np.bool_) if background is None else background
            ),
            kinds=torch.from_numpy(kinds),
            title_codes=torch.from_numpy(self._title_codes(rows)),
            photo_codes=torch.from_numpy(self.catalog.photo_pixels[rows]),
        )

    def kinds(self, rows: NDArray[np.int64], epochs: NDArray[np.int64]) -> NDArray[np.int64]:
        """What the views of each row show, (B,); a product that lacks one of the two shows the other alone."""
        draw = uniform(self.seed, Stream.KIND, epochs, rows)
        kinds = np.searchsorted(np.cumsum(self.settings.shares)[:2], draw, side="right")
        kinds = np.where(self.has_photo[rows], kinds, TITLE_ALONE)
        return np.where(self.has_title[rows], kinds, PHOTO_ALONE).astype(np.int64)

    def _change_photos(self, row: int, epoch: int, out: NDArray[np.uint8]) -> None:
        """Write both views of a photo into (2, 3, height, width)."""
        photo = np.empty(out.shape[1:], np.uint8)
        self.show(row, photo)
        for view in (0, 1):
            key = int(hash64(self.seed, Stream.PHOTO_VIEW, epoch, row, view))
            out[view] = change_photo(photo, key, self.settings.photo_change)

    def _changed_title(self, row: int, epoch: int, view: int) -> str:
        other = self.rows[int(hash64(self.seed, Stream.OTHER, epoch, row, view) % np.uint64(len(self.rows)))]
        key = int(hash64(self.seed, Stream.TITLE_VIEW, epoch, row, view))
        titles = self.catalog.titles
        return change_title(titles[row] or "", titles[int(other)] or "", key, self.settings.title_change)

    def _title_codes(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        titles = [self.catalog.titles[int(row)] for row in rows]
        return np.array([-1 if title is None else text_hash(normalise_title(title)) for title in titles], np.int64)
