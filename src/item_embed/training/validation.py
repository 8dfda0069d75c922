"""The losses on held-out rows, with masks that are the same at every call and take no training randomness."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from item_embed.objectives.pretraining import Pretraining
from item_embed.training.batches import PretrainingData
from item_embed.training.metrics import Means

#: Gives the losses and metrics of a model on held-out rows; the loop is handed one.
Validate = Callable[[Pretraining], dict[str, dict[str, float]]]

# An epoch that training never reaches, so that masked photos are measured as they are; see `PretrainingData.batch`.
_EPOCH = -1


def held_out_losses(data: PretrainingData, rows: NDArray[np.int64], batch_size: int = 256) -> Validate:
    """A function that measures every objective on `rows`: masked as in training, photos not augmented; views changed.

    Args:
        data: made with the held-out rows, so that mismatched photos come from them too.
        rows: those to measure on.
        batch_size: rows per encoder pass. The same in every run, since agreement is harder among more others.
    """

    def validate(pretraining: Pretraining) -> dict[str, dict[str, float]]:
        means = Means()
        device = next(pretraining.parameters()).device
        was_training = pretraining.training
        pretraining.eval()
        with torch.no_grad():
            for start in range(0, len(rows), batch_size):
                chosen = rows[start : start + batch_size]
                batch = data.batch(chosen, np.full(len(chosen), _EPOCH))
                means.add(pretraining(batch.to(device)).losses)
        pretraining.train(was_training)
        return means.result()

    return validate
