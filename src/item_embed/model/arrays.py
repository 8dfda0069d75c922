"""Titles to token ids and photos to bytes, in numpy alone: what an exported model needs, without torch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer

from item_embed.catalog.photos.images import upright_rgb, whole_size
from item_embed.errors import ModelError
from item_embed.model.background import background_patches
from item_embed.model.folder import PROCESSOR_FILE, TOKENIZER_FILE
from item_embed.model.tokenizer import PAD, load_tokenizer


class Tokens(NamedTuple):
    """Titles as ids: `ids` (B, T) and `padding` (B, T), True where a position is padding."""

    ids: NDArray[np.int64]
    padding: NDArray[np.bool_]


class ArrayProcessor:
    """Turns titles and photos into arrays; `ItemProcessor` puts them into tensors.

    Args:
        tokenizer: adds [CLS] and [SEP]; see `train_tokenizer`.
        image_size: height and width, pixels.
        max_title_tokens: longer titles are cut, [SEP] kept.
        background_patch_size: side of the patches of which the empty ones are left out; None where none are.

    Example:
        >>> processor = ArrayProcessor.from_pretrained("run/model")  # doctest: +SKIP
        >>> processor.tokenize(["Red mug"]).ids.shape                # doctest: +SKIP
        (1, 4)
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        image_size: tuple[int, int],
        max_title_tokens: int,
        background_patch_size: int | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.image_size = image_size
        self.max_title_tokens = max_title_tokens
        self.background_patch_size = background_patch_size
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_title_tokens)

    def tokenize(self, titles: Sequence[str | None]) -> Tokens:
        """Titles to ids, padded to the longest of them."""
        encoded = [e.ids for e in self.tokenizer.encode_batch([title or "" for title in titles])]
        longest = max(map(len, encoded), default=2)
        ids = np.full((len(encoded), longest), PAD, np.int64)
        for row, tokens in enumerate(encoded):
            ids[row, : len(tokens)] = tokens
        return Tokens(ids, ids == PAD)

    def pixels(self, image: Image.Image | None, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """A photo as (3, height, width) bytes, scaled to fit with white around it; all white without a photo.

        Args:
            image: of any mode and size.
            out: where to write it, (3, height, width); by default a new array.
        """
        height, width = self.image_size
        canvas = np.empty((3, height, width), np.uint8) if out is None else out
        canvas[...] = 255
        if image is not None:
            upright = upright_rgb(image)
            whole_width, whole_height = whole_size(upright)
            scale = min(height / whole_height, width / whole_width)
            h, w = max(1, round(whole_height * scale)), max(1, round(whole_width * scale))
            top, left = (height - h) // 2, (width - w) // 2
            canvas[:, top : top + h, left : left + w] = self._resized(upright, (h, w))
        return canvas

    def _resized(self, photo: Image.Image, size: tuple[int, int]) -> NDArray[np.uint8]:
        """An RGB photo as (3, *size) bytes, bilinear and antialiased."""
        scaled = photo.resize(size[::-1], Image.Resampling.BILINEAR)  # as it is where it has that size
        return np.asarray(scaled).transpose(2, 0, 1)

    def background(self, pixels: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
        """(B, 3, height, width) to (B, P), True where the model does not encode a patch; None where it encodes all."""
        return None if self.background_patch_size is None else background_patches(pixels, self.background_patch_size)

    def save_pretrained(self, path: str | Path) -> None:
        """Write the tokenizer and the settings into a model's folder."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(str(folder / TOKENIZER_FILE))
        settings = {
            "image_size": list(self.image_size),
            "max_title_tokens": self.max_title_tokens,
            "background_patch_size": self.background_patch_size,
        }
        (folder / PROCESSOR_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf8")

    @classmethod
    def from_pretrained(cls, path: str | Path) -> Self:
        """Read what `save_pretrained` wrote.

        Raises:
            ModelError: when the folder lacks it.
        """
        folder = Path(path)
        tokenizer = load_tokenizer(folder / TOKENIZER_FILE)
        try:
            settings = json.loads((folder / PROCESSOR_FILE).read_text(encoding="utf8"))
            height, width = settings["image_size"]
            empty = settings.get("background_patch_size")  # not in folders of before this setting
            return cls(tokenizer, (height, width), settings["max_title_tokens"], empty)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{folder / PROCESSOR_FILE} cannot be read ({error}); copy the whole model folder."
            ) from None
