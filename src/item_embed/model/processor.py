"""`ItemProcessor`: titles to token ids, photos to pixels; saved with the model, so that both always fit."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor

from item_embed.catalog.photos.images import upright_rgb, whole_size
from item_embed.errors import ModelError
from item_embed.model.background import background_patches
from item_embed.model.configuration import ItemConfig
from item_embed.model.tokenizer import CLS, PAD, SEP, load_tokenizer

TOKENIZER_FILE = "tokenizer.json"
PROCESSOR_FILE = "processor_config.json"


class Tokens(NamedTuple):
    """Titles as ids: `ids` (B, T) and `padding` (B, T), True where a position is padding."""

    ids: NDArray[np.int64]
    padding: NDArray[np.bool_]


class ItemProcessor:
    """Turns titles and photos into what `ItemModel` reads.

    The whole photo is used: scaled to fit `image_size`, never cropped, with white around it. A missing title
    becomes [CLS] [SEP]; a missing photo is marked in `photo_missing`.

    Args:
        tokenizer: adds [CLS] and [SEP]; see `train_tokenizer`.
        image_size: height and width, pixels.
        max_title_tokens: longer titles are cut, [SEP] kept.
        background_patch_size: side of the patches of which the empty ones are left out; None where none are.

    Example:
        >>> processor = ItemProcessor.from_pretrained("run/model")           # doctest: +SKIP
        >>> output = model(**processor(["Red mug"], [Image.open("mug.jpg")]))  # doctest: +SKIP
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

    @classmethod
    def for_config(cls, tokenizer: Tokenizer, config: ItemConfig) -> "ItemProcessor":
        """The processor of a model's configuration."""
        height, width = config.image_size
        empty = config.patch_size if config.background == "drop" else None
        return cls(tokenizer, (height, width), config.max_title_tokens, empty)

    def __call__(self, titles: Sequence[str | None], images: Sequence[Image.Image | None]) -> dict[str, Tensor]:
        """Titles and photos of the same products, in the same order, to the arguments of `ItemModel.forward`."""
        if len(titles) != len(images):
            raise ValueError(f"{len(titles)} titles and {len(images)} images: one of each per product, or None")
        tokens = self.tokenize(titles)
        pixels = np.stack([self.pixels(image) for image in images])
        background = self.background(pixels)
        left_out = {} if background is None else {"left_out": torch.from_numpy(background)}
        return {
            "input_ids": torch.from_numpy(tokens.ids),
            "token_padding": torch.from_numpy(tokens.padding),
            "pixel_values": scale_pixels(torch.from_numpy(pixels)),
            "photo_missing": torch.tensor([image is None for image in images]),
            **left_out,
        }

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
            canvas[:, top : top + h, left : left + w] = _resized(np.array(upright), (h, w))
        return canvas

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
    def from_pretrained(cls, path: str | Path) -> "ItemProcessor":
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


def _resized(photo: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(h, w, 3) bytes to (3, *size), bilinear and antialiased: Pillow's result to the rounding, in half its time."""
    channels = torch.from_numpy(photo).permute(2, 0, 1)
    if photo.shape[:2] != size:
        channels = F.interpolate(channels[None], size, mode="bilinear", antialias=True)[0]
    return channels.numpy()


def scale_pixels(pixels: Tensor) -> Tensor:
    """Bytes 0 to 255 to floats in [-1, 1]: the scale on which the encoder reads and constructs photos."""
    return pixels.float().div_(127.5).sub_(1.0)


def predictable(tokens: Tokens) -> NDArray[np.bool_]:
    """The positions that hold a title's own tokens, (B, T): not [CLS], [SEP] or padding."""
    return np.asarray(~tokens.padding & (tokens.ids != CLS) & (tokens.ids != SEP))
