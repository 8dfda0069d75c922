"""`ItemProcessor`: titles to token ids, photos to pixels; saved with the model, so that both always fit."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor

from item_embed.catalog.photos.images import upright_rgb
from item_embed.errors import ModelError
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

    Example:
        >>> processor = ItemProcessor.from_pretrained("run/model")           # doctest: +SKIP
        >>> output = model(**processor(["Red mug"], [Image.open("mug.jpg")]))  # doctest: +SKIP
    """

    def __init__(self, tokenizer: Tokenizer, image_size: tuple[int, int], max_title_tokens: int) -> None:
        self.tokenizer = tokenizer
        self.image_size = image_size
        self.max_title_tokens = max_title_tokens
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_title_tokens)

    @classmethod
    def for_config(cls, tokenizer: Tokenizer, config: ItemConfig) -> "ItemProcessor":
        """The processor of a model's configuration."""
        height, width = config.image_size
        return cls(tokenizer, (height, width), config.max_title_tokens)

    def __call__(self, titles: Sequence[str | None], images: Sequence[Image.Image | None]) -> dict[str, Tensor]:
        """Titles and photos of the same products, in the same order, to the arguments of `ItemModel.forward`."""
        if len(titles) != len(images):
            raise ValueError(f"{len(titles)} titles and {len(images)} images: one of each per product, or None")
        tokens = self.tokenize(titles)
        pixels = np.stack([self.pixels(image) for image in images])
        return {
            "input_ids": torch.from_numpy(tokens.ids),
            "token_padding": torch.from_numpy(tokens.padding),
            "pixel_values": scale_pixels(torch.from_numpy(pixels)),
            "photo_missing": torch.tensor([image is None for image in images]),
        }

    def tokenize(self, titles: Sequence[str | None]) -> Tokens:
        """Titles to ids, padded to the longest of them."""
        encoded = [e.ids for e in self.tokenizer.encode_batch([title or "" for title in titles])]
        longest = max(map(len, encoded), default=2)
        ids = np.full((len(encoded), longest), PAD, np.int64)
        for row, tokens in enumerate(encoded):
            ids[row, : len(tokens)] = tokens
        return Tokens(ids, ids == PAD)

    def pixels(self, image: Image.Image | None) -> NDArray[np.uint8]:
        """A photo as (3, height, width) bytes, scaled to fit with white around it; all white without a photo."""
        height, width = self.image_size
        canvas = np.full((height, width, 3), 255, np.uint8)
        if image is not None:
            upright = upright_rgb(image)
            scale = min(height / upright.height, width / upright.width)
            h, w = max(1, round(upright.height * scale)), max(1, round(upright.width * scale))
            top, left = (height - h) // 2, (width - w) // 2
            fitted = upright if upright.size == (w, h) else upright.resize((w, h), Image.Resampling.BILINEAR)
            canvas[top : top + h, left : left + w] = np.asarray(fitted)
        return np.ascontiguousarray(canvas.transpose(2, 0, 1))

    def save_pretrained(self, path: str | Path) -> None:
        """Write the tokenizer and the settings into a model's folder."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(str(folder / TOKENIZER_FILE))
        settings = {"image_size": list(self.image_size), "max_title_tokens": self.max_title_tokens}
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
            return cls(tokenizer, (height, width), settings["max_title_tokens"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{folder / PROCESSOR_FILE} cannot be read ({error}); copy the whole model folder."
            ) from None


def scale_pixels(pixels: Tensor) -> Tensor:
    """Bytes 0 to 255 to floats in [-1, 1]: the scale on which the encoder reads and constructs photos."""
    return pixels.float().div_(127.5).sub_(1.0)


def predictable(tokens: Tokens) -> NDArray[np.bool_]:
    """The positions that hold a title's own tokens, (B, T): not [CLS], [SEP] or padding."""
    return np.asarray(~tokens.padding & (tokens.ids != CLS) & (tokens.ids != SEP))
