"""A ResNet over photos: trained by contrasting views of them (SimCLR), or on their categories."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetModel

from item_embed.evaluation.learners.fitting import Batch, Task
from item_embed.evaluation.learners.labels import category_loss, training_labels
from item_embed.evaluation.learners.learner import Material
from item_embed.evaluation.learners.matching import nearest_size
from item_embed.evaluation.learners.samples import Samples, processor_of, rows_with
from item_embed.evaluation.learners.trained import Trained, load_encoder
from item_embed.evaluation.learners.vectors import OneModality, photo_vectors
from item_embed.evaluation.learners.views import view
from item_embed.model.processor import ItemProcessor, scale_pixels
from item_embed.objectives.agreement import nt_xent
from item_embed.objectives.loss import Loss

TEMPERATURE = 0.2  # MoCo's; 0.1 was as good after a hundred steps
_PROJECTION = 128  # numbers in what is contrasted, as in SimCLR
# Of AdamW, where SimCLR has LARS for its batches of thousands. After 300 steps on fashion 0.004 had a lower loss but
# found less by the photo alone (.21 of relistings among the first ten, .28 here); so did 0.005 and 0.001 after 100.
_RATE = 2e-3
_DEPTHS = [3, 4, 6, 3]  # bottleneck blocks of each stage: ResNet-50 (arXiv 1512.03385)
_WIDTHS = [64, 128, 256, 512]  # of the 3 x 3 convolutions of each stage
_SCALES = 1024  # steps in which all widths are scaled together


class ResNet(Trained):
    """`resnet50`: the photo's pooled features, trained without labels."""

    name = "resnet50"
    sees = "image"

    def prepare(self, material: Material) -> Task:
        """Two views of each photo."""
        samples = Samples(material, rows_with(material, photo=True), processor_of(material))
        encoder = ResNetModel(resnet_config(material.parameters))

        def batch(rows: NDArray[np.int64], epochs: NDArray[np.int64]) -> Batch:
            photos = samples.photos(rows)
            both = [view(photos, samples.seed, epochs, rows, number) for number in (0, 1)]
            return {"views": torch.from_numpy(np.concatenate(both))}

        return Task(encoder, _Contrast(encoder), samples, batch, whole=True, learning_rate=_RATE)

    def load(self, folder: Path, device: torch.device) -> OneModality:
        """The encoder without what it was trained through."""
        encoder = load_encoder(ResNetModel, folder, device)
        processor = ItemProcessor.from_pretrained(folder)
        return photo_vectors(processor, _width(encoder), lambda pixels: _pooled(encoder, pixels), device)


class ResNetOnCategories(ResNet):
    """`resnet50-categories`: the same, trained by cross-entropy on the leaf categories of labelled rows."""

    name = "resnet50-categories"
    labels = True

    def prepare(self, material: Material) -> Task:
        """One view of each photo and its category."""
        labels = training_labels(material, rows_with(material, photo=True))
        samples = Samples(material, labels.rows, processor_of(material))
        encoder = ResNetModel(resnet_config(material.parameters))

        def batch(rows: NDArray[np.int64], epochs: NDArray[np.int64]) -> Batch:
            photos = view(samples.photos(rows), samples.seed, epochs, rows)
            return {"photos": torch.from_numpy(photos), "labels": torch.from_numpy(labels.of[rows])}

        return Task(encoder, _Classes(encoder, labels.count), samples, batch, learning_rate=_RATE)


def resnet_config(wanted: int) -> ResNetConfig:
    """ResNet-50, or the same with all its widths scaled down so that parameters come as near as can be.

    Args:
        wanted: parameters; from those of ResNet-50 (23.5 million) on it is ResNet-50.
    """
    return _scaled(_size(wanted))


class _Contrast(nn.Module):
    """NT-Xent of two views through a projection head, SimCLR's: what it throws away stays in the features."""

    def __init__(self, encoder: ResNetModel) -> None:
        super().__init__()
        self.encoder = encoder
        width = _width(encoder)
        self.projection = nn.Sequential(
            nn.Linear(width, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, _PROJECTION)
        )

    def forward(self, views: Tensor) -> Loss:
        """(2 B, 3, height, width) bytes, the first views before the second ones."""
        first, second = self.projection(_pooled(self.encoder, scale_pixels(views))).chunk(2)
        return nt_xent(first, second, TEMPERATURE)


class _Classes(nn.Module):
    """Cross-entropy of a linear layer on the pooled features."""

    def __init__(self, encoder: ResNetModel, leaves: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(_width(encoder), leaves)

    def forward(self, photos: Tensor, labels: Tensor) -> Loss:
        """(B, 3, height, width) bytes, (B,)."""
        return category_loss(self.head(_pooled(self.encoder, scale_pixels(photos))), labels)


def _width(encoder: ResNetModel) -> int:
    """Numbers in the pooled features."""
    widths = encoder.config.hidden_sizes
    assert widths is not None
    return widths[-1]


@cache
def _size(wanted: int) -> int:
    return nearest_size(lambda size: ResNetModel(_scaled(size)), range(1, _SCALES + 1), wanted)


def _scaled(size: int) -> ResNetConfig:
    widths = [max(1, round(width * size / _SCALES)) for width in _WIDTHS]
    return ResNetConfig(
        embedding_size=widths[0], hidden_sizes=[4 * width for width in widths], depths=_DEPTHS, layer_type="bottleneck"
    )


def _pooled(encoder: ResNetModel, pixels: Tensor) -> Tensor:
    """(n, 3, height, width) -> (n, D), with the channels last in memory: convolutions then take two thirds as long."""
    features: Tensor = encoder(pixels.contiguous(memory_format=torch.channels_last)).pooler_output
    return features.flatten(1)
