"""`ItemProcessor`: titles to token ids, photos to pixels; saved with the model, so that both always fit."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor

from item_embed.model.arrays import ArrayProcessor, Tokens
from item_embed.model.configuration import ItemConfig
from item_embed.model.photos import PhotoProcessor, ReadyPhoto
from item_embed.model.tokenizer import CLS, SEP


class TorchPhotoProcessor(PhotoProcessor):
    """`PhotoProcessor` by torch: its photos to the rounding, in less time."""

    def _resized(self, photo: Image.Image, size: tuple[int, int]) -> NDArray[np.uint8]:
        """As Pillow does it, to the rounding, in half its time."""
        channels = torch.from_numpy(np.array(photo)).permute(2, 0, 1)
        if channels.shape[1:] != size:
            channels = F.interpolate(channels[None], size, mode="bilinear", antialias=True)[0]
        return channels.numpy()


class ItemProcessor(TorchPhotoProcessor, ArrayProcessor):
    """Turns titles and photos into what `ItemModel` reads.

    The whole photo is used: scaled to fit `image_size`, never cropped, with white around it. A missing title
    becomes `[CLS] [SEP]`; a missing photo is marked in `photo_missing`. Arguments are those of `ArrayProcessor`.

    Examples:
        >>> processor = ItemProcessor.from_pretrained("run/model")           # doctest: +SKIP
        >>> output = model(**processor(["Red mug"], [Image.open("mug.jpg")]))  # doctest: +SKIP
    """

    @classmethod
    def for_config(cls, tokenizer: Tokenizer, config: ItemConfig) -> "ItemProcessor":
        """The processor of a model's configuration."""
        height, width = config.image_size
        empty = config.patch_size if config.background == "drop" else None
        return cls(tokenizer, (height, width), config.max_title_tokens, empty)

    @property
    def photos(self) -> TorchPhotoProcessor:
        """See `ArrayProcessor.photos`."""
        return TorchPhotoProcessor(self.image_size, self.background_patch_size)

    def __call__(
        self, titles: Sequence[str | None], images: Sequence[Image.Image | ReadyPhoto | None]
    ) -> dict[str, Tensor]:
        """Titles and photos of the same products, in the same order, to the arguments of `ItemModel.forward`."""
        if len(titles) != len(images):
            raise ValueError(f"{len(titles)} titles and {len(images)} images: one of each per product, or None")
        tokens = self.tokenize(titles)
        photos = [self.ready(image) for image in images]
        background = [photo.background for photo in photos if photo.background is not None]
        left_out = {"left_out": torch.from_numpy(np.stack(background))} if background else {}
        return {
            "input_ids": torch.from_numpy(tokens.ids),
            "token_padding": torch.from_numpy(tokens.padding),
            "pixel_values": scale_pixels(torch.from_numpy(np.stack([photo.pixels for photo in photos]))),
            "photo_missing": torch.tensor([image is None for image in images]),
            **left_out,
        }


def scale_pixels(pixels: Tensor) -> Tensor:
    """Bytes 0 to 255 to floats in [-1, 1]: the scale on which the encoder reads and constructs photos."""
    return pixels.float().div_(127.5).sub_(1.0)


def predictable(tokens: Tokens) -> NDArray[np.bool_]:
    """The positions that hold a title's own tokens, (B, T): not [CLS], [SEP] or padding."""
    return np.asarray(~tokens.padding & (tokens.ids != CLS) & (tokens.ids != SEP))
