"""ITEm's encoder trained on categories instead: what labels bring, everything else equal."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from item_embed.embedding.embedder import Embedder
from item_embed.evaluation.learners.fitting import Batch, Task
from item_embed.evaluation.learners.labels import category_loss, training_labels
from item_embed.evaluation.learners.learner import Material
from item_embed.evaluation.learners.samples import Samples
from item_embed.evaluation.learners.trained import Trained
from item_embed.model.configuration import ItemConfig
from item_embed.model.encoder import ItemModel
from item_embed.model.processor import ItemProcessor, scale_pixels
from item_embed.objectives.loss import Loss


class Supervised(Trained):
    """`supervised`: [CLS], trained by cross-entropy on the leaf categories of labelled rows, from photo and title."""

    name = "supervised"
    sees = "both"
    labels = True

    def prepare(self, material: Material) -> Task:
        """Whole pairs, also those without a photo or a title, and their categories; photos augmented if ITEm's are."""
        labels = training_labels(material, material.rows)
        config = ItemConfig.from_settings(
            material.config.model, material.config.objectives, material.tokenizer.get_vocab_size()
        )
        config.objectives = []  # its checkpoint holds no head
        processor = ItemProcessor.for_config(material.tokenizer, config)
        samples = Samples(material, labels.rows, processor)
        encoder = ItemModel(config)

        def batch(rows: NDArray[np.int64], epochs: NDArray[np.int64]) -> Batch:
            tokens, photos = samples.tokens(rows), samples.augmented(rows, epochs)
            background = processor.background(photos)
            arrays = {
                "ids": tokens.ids,
                "padding": tokens.padding,
                "photos": photos,
                "photo_missing": ~material.catalog.has_photo[rows],
                "labels": labels.of[rows],
                **({} if background is None else {"background": background}),
            }
            return {name: torch.from_numpy(array) for name, array in arrays.items()}

        return Task(encoder, _Classes(encoder, labels.count), samples, batch)

    def load(self, folder: Path, device: torch.device) -> Embedder:
        """As any model of ours."""
        return Embedder.from_pretrained(folder, str(device))


class _Classes(nn.Module):
    """Cross-entropy of a linear layer on [CLS]."""

    def __init__(self, encoder: ItemModel, leaves: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, leaves)

    def forward(
        self,
        ids: Tensor,
        padding: Tensor,
        photos: Tensor,
        *,
        photo_missing: Tensor,
        labels: Tensor,
        background: Tensor | None = None,
    ) -> Loss:
        """(B, T), (B, T), (B, 3, height, width) bytes, (B,), (B,), (B, P)."""
        output = self.encoder(ids, scale_pixels(photos), padding, photo_missing, left_out=background)
        return category_loss(self.head(output.cls), labels)
