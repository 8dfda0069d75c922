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

    Example:
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
        titles: list[list[str | None]] = [[], []]
        for view in (0, 1):
            keys = hash64(self.seed, Stream.VIEW, epochs, rows, view).tolist()
            others = self.rows[
                (hash64(self.seed, Stream.OTHER, epochs, rows, view) % np.uint64(len(self.rows))).astype(int)
            ]
            for place, (row, other, key) in enumerate(zip(rows.tolist(), others.tolist(), keys, strict=True)):
                if pictured[place]:
                    self._changed_photo(row, key, pixels[view, place])
                titles[view].append(self._changed_title(row, other, key) if titled[place] else None)
        tokens = self.processor.tokenize([*titles[0], *titles[1]])
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

    def _changed_photo(self, row: int, key: int, out: NDArray[np.uint8]) -> None:
        self.show(row, out)
        out[...] = change_photo(out, key, self.settings.photo_change)

    def _changed_title(self, row: int, other: int, key: int) -> str:
        titles = self.catalog.titles
        return change_title(titles[row] or "", titles[other] or "", key, self.settings.title_change)

    def _title_codes(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        titles = [self.catalog.titles[int(row)] for row in rows]
        return np.array([-1 if title is None else text_hash(normalise_title(title)) for title in titles], np.int64)
