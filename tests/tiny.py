"""A catalogue, a configuration and a model so small that a test can train on them. No randomness: fixed patterns."""

import io
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from item_embed.catalog.store import Catalog
from item_embed.config import RunConfig
from item_embed.model.configuration import ItemConfig
from item_embed.model.heads import ItemForPreTraining
from item_embed.model.processor import ItemProcessor
from item_embed.model.tokenizer import train_tokenizer
from tests.catalogs import Row, write_catalog

COLOURS = ("red", "blue", "green", "black", "white", "golden", "grey")
THINGS = ("mug", "shoe", "lamp", "chair", "bag")
SIZE = (32, 16)  # height and width: 4 x 2 patches of 8 pixels

_SETTINGS = (
    f"model.image_size=[{SIZE[0]},{SIZE[1]}]",
    "model.patch_size=8",
    "model.hidden_size=16",
    "model.num_hidden_layers=1",
    "model.num_attention_heads=2",
    "model.intermediate_size=32",
    "model.dropout=0",
    "model.vocab_size=80",
    "model.max_title_tokens=8",
    "objectives.weights={itm: 1, mlm: 1, mim: 2, gmlm: 1, gmim: 0.5}",
    "objectives.token_mask_rate=0.15",
    "objectives.token_corruption=[0.8, 0.1, 0.1]",
    "objectives.patch_mask_rate=0.5",
    "objectives.patch_target=raw",
    "objectives.patch_loss=l2",
    "objectives.mismatch_rate=0.25",
    "training.steps=6",
    "training.batch_size=8",
    "training.learning_rate=1e-3",
    "training.weight_decay=0.05",
    "training.betas=[0.9, 0.98]",
    "training.max_grad_norm=1",
    "training.warmup_steps=2",
    "training.log_every=1",
    "training.validate_every=100",
    "training.validation_rows=8",
    "training.checkpoint_every=2",
    "training.precision=fp32",
)


@cache  # reading YAML takes longer than a step of the tiny model
def tiny_config(*overrides: str) -> RunConfig:
    """A configuration that leaves little to the defaults, whose values experiments may change."""
    return RunConfig.load("tiny", [*_SETTINGS, *overrides])


@cache
def pattern(number: int) -> bytes:
    """A lossless photo that fits the model exactly, another for every number."""
    height, width = SIZE
    y, x, c = np.ogrid[:height, :width, :3]
    pixels = (number * 37 + y * (number % 5 + 1) + x * x * (c + 1) + 60 * c) % 256
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def tiny_rows() -> list[Row]:
    """40 rows, the last 8 for validation; some without a title, some without a photo, some alike."""
    return [
        Row(
            id=f"item {i}",
            title=None if i % 11 == 5 else f"{COLOURS[i % 7].title()} {THINGS[i % 5]}, model {i % 13}",
            image=None if i % 7 == 3 else pattern(i % 29),
            category=f"Things > {THINGS[i % 5]}",
            product_id=f"product {i % 13}",
            group=i // 2,
            split="train" if i < 32 else "validation",
        )
        for i in range(40)
    ]


def tiny_catalog(path: Path) -> Catalog:
    """The catalogue of `tiny_rows`."""
    return write_catalog(path, tiny_rows())


def shown_patches(number: int) -> set[int]:
    """Where `on_white` draws: in as many patches as the number says, none to all eight, in no order."""
    return set((5, 2, 7, 0, 3, 6, 1, 4)[: number % 9])


@cache
def on_white(number: int) -> bytes:
    """`pattern` in some of the photo's patches; the others are white."""
    pixels = np.asarray(Image.open(io.BytesIO(pattern(number)))).copy()
    for patch in set(range(8)) - shown_patches(number):
        top, left = patch // 2 * 8, patch % 2 * 8
        pixels[top : top + 8, left : left + 8] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def white_catalog(path: Path) -> Catalog:
    """`tiny_rows` with photos of which part, all or nothing is background."""
    rows = [replace(row, image=row.image and on_white(i)) for i, row in enumerate(tiny_rows())]
    return write_catalog(path, rows)


def tiny_processor(catalog: Catalog, config: RunConfig) -> ItemProcessor:
    """A processor with a tokenizer trained on the catalogue's titles."""
    tokenizer = train_tokenizer([title for title in catalog.titles if title], config.model.vocab_size)
    return ItemProcessor.for_config(
        tokenizer, ItemConfig.from_settings(config.model, config.objectives, tokenizer.get_vocab_size())
    )


def tiny_model(processor: ItemProcessor, config: RunConfig, seed: int = 0) -> ItemForPreTraining:
    """A model in training mode, its biases and norms moved off 0 and 1 so that a forgotten one shows."""
    torch.manual_seed(seed)
    vocab_size = processor.tokenizer.get_vocab_size()
    model = ItemForPreTraining(ItemConfig.from_settings(config.model, config.objectives, vocab_size))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.train()
    return model
