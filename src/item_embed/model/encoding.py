"""Photos and titles through a model: h_CLS of each product, of length 1, and of its photo and its title alone."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from item_embed.model.encoder import ItemModel
from item_embed.model.photos import ReadyPhoto
from item_embed.model.processor import ItemProcessor
from item_embed.model.whitening import SIGHTS

Precision = Literal["fp32", "bf16"]


def unit_vectors(
    model: ItemModel,
    processor: ItemProcessor,
    images: Sequence[Image.Image | ReadyPhoto | None],
    titles: Sequence[str | None],
    precision: Precision,
) -> Tensor:
    """The vectors of some products, before any whitening.

    Args:
        model: the encoder; its device is where all is computed.
        processor: the one it was trained with.
        images: B photos, upright and RGB or ready; None where there is none.
        titles: B titles; None where there is none.
        precision: what the encoder multiplies in.

    Returns:
        (B, D) float32 of length 1, on the model's device.

    Examples:
        >>> unit_vectors(backend.model, backend.processor, [None], ["Red mug"], "fp32").shape  # doctest: +SKIP
        torch.Size([1, 192])
    """
    return _unit(model, _inputs(model, processor, images, titles), precision)


def vectors_by_sight(
    model: ItemModel,
    processor: ItemProcessor,
    images: Sequence[Image.Image | ReadyPhoto | None],
    titles: Sequence[str | None],
    precision: Precision,
) -> Tensor:
    """The vectors of some products, of their photos alone and of their titles alone, before any whitening.

    Photos are scaled and titles cut into tokens once. Arguments are those of `unit_vectors`.

    Returns:
        (B, 3, D) float32 of length 1 in the order of `SIGHTS`: each what `unit_vectors` gives of a product shown so. A
        product that lacks one of the two has one vector, three times.

    Examples:
        >>> vectors_by_sight(backend.model, backend.processor, [None], ["Red mug"], "fp32").shape  # doctest: +SKIP
        torch.Size([1, 3, 192])
    """
    inputs = _inputs(model, processor, images, titles)
    whole = _unit(model, inputs, precision)
    vectors = whole[:, None].repeat(1, len(SIGHTS), 1)
    both = [image is not None and title is not None for image, title in zip(images, titles, strict=True)]
    if any(both):
        rows = torch.tensor(both, device=model.device)
        shown = {name: value[rows] for name, value in inputs.items() if value is not None}
        ids, padding = (torch.from_numpy(part).to(model.device) for part in processor.tokenize([None] * sum(both)))
        no_title = {"input_ids": ids, "token_padding": padding}
        no_photo = {"pixel_values": None, "photo_missing": torch.ones_like(shown["photo_missing"]), "left_out": None}
        for number, lacking in ((1, no_title), (2, no_photo)):
            vectors[rows, number] = _unit(model, {**shown, **lacking}, precision)
    return vectors


def _inputs(
    model: ItemModel,
    processor: ItemProcessor,
    images: Sequence[Image.Image | ReadyPhoto | None],
    titles: Sequence[str | None],
) -> dict[str, Tensor | None]:
    inputs: dict[str, Tensor | None] = {
        name: value.to(model.device) for name, value in processor(titles, images).items()
    }
    if all(image is None for image in images):
        inputs["pixel_values"] = None  # titles alone need no patches
    return inputs


def _unit(model: ItemModel, inputs: dict[str, Tensor | None], precision: Precision) -> Tensor:
    with torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bf16"):
        cls = model(**inputs).cls.float()
    return F.normalize(cls, dim=-1)
