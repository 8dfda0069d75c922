"""A step of the tiny catalogue, and the module that it is for."""

import torch
from torch import Tensor

from item_embed.catalog.store import Catalog
from item_embed.config import RunConfig
from item_embed.objectives.batch import PretrainingBatch
from item_embed.objectives.loss import Loss
from item_embed.objectives.pretraining import Pretraining
from item_embed.training.batches import PretrainingData
from tests.tiny import tiny_model, tiny_processor

SETTINGS = ("objectives.token_mask_rate=0.4", "training.batch_size=16")


def parts(catalog: Catalog, config: RunConfig) -> list[PretrainingBatch]:
    data = PretrainingData(catalog, catalog.rows("train"), tiny_processor(catalog, config), config)
    return data[0]


def pretraining(catalog: Catalog, config: RunConfig) -> Pretraining:
    return Pretraining(tiny_model(tiny_processor(catalog, config), config), config.objectives)


def position_gradients(loss: Loss, hidden: Tensor) -> Tensor:
    """The norm of the loss's gradient at each output of the encoder, (B, S)."""
    (gradient,) = torch.autograd.grad(loss.total, hidden, retain_graph=True)
    norms: Tensor = gradient.norm(dim=-1)
    return norms
