"""`PretrainingBatch`: what the encoder and all objectives read. Made from ids and photos, without labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from item_embed.config import ObjectiveSettings
from item_embed.model.arrays import Tokens
from item_embed.model.processor import predictable
from item_embed.objectives.agreement import Gather
from item_embed.objectives.masking import corrupt_tokens, mask_patches, mask_tokens

#: What a view shows; see `Views.kinds`.
BOTH, PHOTO_ALONE, TITLE_ALONE = range(3)


class _Tensors:
    """A dataclass of tensors, and of such dataclasses; None where there is none."""

    def to(self, device: torch.device) -> Self:
        """The same on a device."""
        return self._each(lambda part: part.to(device, non_blocking=True) if torch.is_tensor(part) else part.to(device))

    def pin_memory(self) -> Self:
        """The same in memory that a GPU copies from by itself; the `DataLoader` asks for it."""
        return self._each(lambda part: part.pin_memory())

    def _each(self, change: Callable[[Any], Any]) -> Self:
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return type(self)(**{name: None if value is None else change(value) for name, value in values.items()})


@dataclass(frozen=True)
class Views(_Tensors):
    """Two views of each of B products, changed at random, nothing masked. T title positions, P patches.

    The first B rows are the first views, the others the second ones in the same order.

    Attributes:
        input_ids: (2 B, T) tokens of the changed titles; [CLS] [SEP] where a view shows none.
        token_padding: (2 B, T) True where a position is padding.
        pixels: (2 B, 3, height, width) bytes of the changed photos; any where a view shows none.
        photo_missing: (2 B,) True where a view shows no photo.
        background: (2 B, P) True where a patch is empty and the model does not encode such.
        kinds: (B,) what both views of a product show: 0 photo and title, 1 the photo alone, 2 the title alone.
        title_codes: (B,) equal where two products' titles are, as normalised; below 0 where there is none.
        photo_codes: (B,) equal where two products' photos are; below 0 where there is none.
    """

    input_ids: Tensor
    token_padding: Tensor
    pixels: Tensor
    photo_missing: Tensor
    background: Tensor
    kinds: Tensor
    title_codes: Tensor
    photo_codes: Tensor

    @property
    def left_out(self) -> Tensor:
        """(2 B, P) True where a patch is not encoded: it is empty, or the view shows no photo."""
        return self.background | self.photo_missing[:, None]

    @property
    def alike(self) -> Tensor:
        """(B, B) True where all that two products show is equal: a shop names eighty earrings alike."""
        photo = (self.kinds == TITLE_ALONE)[:, None] | (self.photo_codes[:, None] == self.photo_codes)
        title = (self.kinds == PHOTO_ALONE)[:, None] | (self.title_codes[:, None] == self.title_codes)
        return (self.kinds[:, None] == self.kinds) & photo & title

    def gathered(self, gather: Gather) -> "Views":
        """The same, but what is known of products, (B,), is that of all that share the batch."""
        known = torch.stack([self.kinds, self.title_codes, self.photo_codes], dim=1)
        kinds, title_codes, photo_codes = gather(known)[0].unbind(1)
        return replace(self, kinds=kinds, title_codes=title_codes, photo_codes=photo_codes)

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass(frozen=True)
class PretrainingBatch(_Tensors):
    """Titles and photos, masked. B pairs, T title positions, P patches; True means masked.

    Attributes:
        input_ids: (B, T) tokens as the encoder sees them, the masked ones corrupted.
        token_padding: (B, T) True where a position is padding.
        pixels: (B, 3, height, width) bytes, the whole photo; the encoder hides the masked patches itself.
        photo_missing: (B,) True where there is no photo.
        title_missing: (B,) True where there is no title.
        matched: (B,) True where the photo is the title's own, and where one of the two is missing.
        tokens: (B, T) the true tokens.
        masked_tokens: (B, T) True where a token is to be predicted.
        masked_patches: (B, P) True where a patch is hidden and to be predicted.
        background: (B, P) True where a patch is empty and the model does not encode such; it is never masked.
        views: of the same products, for agreement; None where that is off.
    """

    input_ids: Tensor
    token_padding: Tensor
    pixels: Tensor
    photo_missing: Tensor
    title_missing: Tensor
    matched: Tensor
    tokens: Tensor
    masked_tokens: Tensor
    masked_patches: Tensor
    background: Tensor
    views: Views | None = None

    @property
    def judged_pairs(self) -> Tensor:
        """(B,) True where ITM has something to judge: a title and a photo."""
        return ~self.photo_missing & ~self.title_missing

    @property
    def predicted_tokens(self) -> Tensor:
        """(B, T) True where a token counts in a masked loss: masked, and the pair matched.

        In a mismatched pair the photo says nothing of the title; [CLS] would learn to ignore it.
        """
        return self.masked_tokens & self.matched[:, None]

    @property
    def predicted_patches(self) -> Tensor:
        """(B, P) True where a patch counts in a masked loss: masked, the pair matched, the photo there."""
        return self.masked_patches & (self.matched & ~self.photo_missing)[:, None]

    def counts(self) -> dict[str, int]:
        """How many predictions each objective makes."""
        tokens, patches = int(self.predicted_tokens.sum()), int(self.predicted_patches.sum())
        return {
            "itm": int(self.judged_pairs.sum()),
            "mlm": tokens,
            "gmlm": tokens,
            "mim": patches,
            "gmim": patches,
        } | ({} if self.views is None else {"agreement": len(self.views)})

    def __len__(self) -> int:
        return len(self.input_ids)


def total_counts(batches: Sequence[PretrainingBatch]) -> dict[str, int]:
    """How many predictions each objective makes in the parts of one step together."""
    counts = [batch.counts() for batch in batches]
    return {name: sum(c[name] for c in counts) for name in counts[0]}


def make_batch(
    *,
    tokens: Tokens,
    pixels: NDArray[np.uint8],
    photo_missing: NDArray[np.bool_],
    matched: NDArray[np.bool_],
    settings: ObjectiveSettings,
    vocab_size: int,
    background: NDArray[np.bool_],
    seed: int,
    epochs: NDArray[np.int64],
    rows: NDArray[np.int64],
    views: Views | None = None,
) -> PretrainingBatch:
    """Mask titles and photos.

    Args:
        tokens: the titles.
        pixels: the photos, (B, 3, height, width); of another row where not `matched`.
        photo_missing: (B,) True where there is no photo.
        matched: (B,) True where the photo is the title's own.
        settings: mask rates and corruption.
        vocab_size: of the tokenizer.
        background: (B, P) True where a patch is not to be encoded, nor masked.
        seed: of the run.
        epochs: (B,) epoch of each row.
        rows: (B,) number of each row in the catalogue.
        views: of the same rows.
    """
    words = predictable(tokens)
    masked_tokens = mask_tokens(words, settings.token_mask_rate, seed, epochs, rows)
    input_ids = corrupt_tokens(
        tokens.ids, masked_tokens, settings.token_corruption, vocab_size, seed=seed, epochs=epochs, rows=rows
    )
    masked_patches = mask_patches(~background, settings.patch_mask_rate, seed, epochs, rows)
    return PretrainingBatch(
        input_ids=torch.from_numpy(input_ids),
        token_padding=torch.from_numpy(tokens.padding),
        pixels=torch.from_numpy(pixels),
        photo_missing=torch.from_numpy(photo_missing),
        title_missing=torch.from_numpy(~words.any(axis=1)),
        matched=torch.from_numpy(matched),
        tokens=torch.from_numpy(tokens.ids),
        masked_tokens=torch.from_numpy(masked_tokens),
        masked_patches=torch.from_numpy(masked_patches),
        background=torch.from_numpy(background),
        views=views,
    )
