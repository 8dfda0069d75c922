"""Models to export: tiny ones of every architecture, with whitening of any kind, in folders without weights."""

from functools import cache
from pathlib import Path

import torch
from PIL import Image
from tokenizers import Tokenizer

from item_embed.catalog.photos.images import decode
from item_embed.embedding.torch_backend import TorchBackend
from item_embed.model.configuration import ItemConfig
from item_embed.model.encoder import ItemModel
from item_embed.model.processor import ItemProcessor
from item_embed.model.tokenizer import train_tokenizer
from item_embed.model.whitening import Fusion, Whitening
from item_embed.model.words import Words
from tests.tiny import SIZE, on_white, pattern

WIDTH = 16
TITLES = ("Red mug, model 1", "Blue shoe", "Golden lamp with more words than a title may have", "Q", "grey grey bag")


@cache
def _tokenizer() -> str:
    return train_tokenizer([title for title in TITLES for _ in range(3)], 80).to_str()


def whitening(kind: str) -> Whitening | None:
    """`none`, `plain` (of 10 numbers), or `fused` (of 12, and 8 of words)."""
    if kind == "none":
        return None
    drawn = torch.Generator().manual_seed(7)
    kept = WIDTH if kind == "fused" else 10
    mean, matrix = (torch.randn(shape, generator=drawn) for shape in ((3, WIDTH), (3, WIDTH, kept)))
    frame = torch.randn(3 * WIDTH, 12, generator=drawn)
    return Whitening(mean / 10, matrix, Fusion(frame, Words.of(TITLES, 8)) if kind == "fused" else None)


def trained(folder: Path, kind: str = "none", **changes: str) -> TorchBackend:
    """A model with whitening of a kind; `changes` are fields of `ItemConfig`."""
    tokenizer = Tokenizer.from_str(_tokenizer())
    config = ItemConfig(
        image_size=SIZE,
        patch_size=8,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        vocab_size=tokenizer.get_vocab_size(),
        max_title_tokens=8,
        dropout=0.5,
        **changes,  # type: ignore[arg-type]
    )
    torch.manual_seed(0)
    model = ItemModel(config)
    with torch.no_grad():
        for parameter in model.parameters():  # no bias is 0 and no norm 1, so that a forgotten one shows
            parameter.add_(torch.randn_like(parameter) * 0.2)
    processor = ItemProcessor.for_config(tokenizer, config)
    processor.save_pretrained(folder)
    return TorchBackend(model, processor, folder, "the model's", "cpu", whitening=whitening(kind))


def photo(number: int) -> Image.Image:
    """A photo that fits; of odd numbers part of it, or nearly all, is white."""
    return decode(on_white(number) if number % 2 else pattern(number))
