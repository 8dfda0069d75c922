"""The five objectives over one encoder pass, each with its inputs picked out, and their weighted sum."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from item_embed.config import ObjectiveSettings
from item_embed.model.encoder import ItemOutput, patchify
from item_embed.model.heads import GMIMHead, GMLMHead, ItemForPreTraining, ITMHead, MIMHead, MLMHead
from item_embed.model.processor import scale_pixels
from item_embed.objectives.batch import PretrainingBatch
from item_embed.objectives.gmim import gmim_loss
from item_embed.objectives.gmlm import gmlm_loss
from item_embed.objectives.itm import itm_loss
from item_embed.objectives.loss import Loss
from item_embed.objectives.mim import mim_loss, patch_targets
from item_embed.objectives.mlm import mlm_loss

H = TypeVar("H", bound=nn.Module)


@dataclass(frozen=True)
class PretrainingOutput:
    """The losses of a batch, and the encoder's output that they all stand on.

    Attributes:
        losses: by objective, those that are switched on.
        hidden: (B, S, D), for the gradient that each objective puts on it.
    """

    losses: dict[str, Loss]
    hidden: Tensor


class Pretraining(nn.Module):
    """The model and its objectives: a masked batch in, losses out.

    Args:
        model: the encoder with a head for each objective that has a weight.
        settings: weights, patch target and patch loss.

    Example:
        >>> output = Pretraining(model, settings)(batch)           # doctest: +SKIP
        >>> weighted_sum(output.losses, weights, batch.counts())   # doctest: +SKIP
    """

    def __init__(self, model: ItemForPreTraining, settings: ObjectiveSettings) -> None:
        super().__init__()
        self.model = model
        self.settings = settings

    def forward(self, batch: PretrainingBatch) -> PretrainingOutput:
        """Encode once, then ask each head."""
        pixel_values = scale_pixels(batch.pixels)
        output: ItemOutput = self.model(
            batch.input_ids, pixel_values, batch.token_padding, batch.photo_missing, batch.masked_patches
        )
        losses: dict[str, Loss] = {}
        if "itm" in self.model.heads:
            judged = batch.judged_pairs
            losses["itm"] = itm_loss(self._head("itm", ITMHead), output.cls[judged], batch.matched[judged])
        losses |= self._token_losses(output, batch)
        losses |= self._patch_losses(output, batch, pixel_values)
        return PretrainingOutput(losses, output.hidden)

    def _token_losses(self, output: ItemOutput, batch: PretrainingBatch) -> dict[str, Loss]:
        embeddings = self.model.item.embeddings
        pair, position = batch.predicted_tokens.nonzero(as_tuple=True)  # (M,), (M,)
        tokens = batch.tokens[pair, position]
        vocabulary = embeddings.word.weight
        losses: dict[str, Loss] = {}
        if "mlm" in self.model.heads:
            losses["mlm"] = mlm_loss(self._head("mlm", MLMHead), output.title[pair, position], vocabulary, tokens)
        if "gmlm" in self.model.heads:
            where = _rows(embeddings.title_position.weight, position)
            losses["gmlm"] = gmlm_loss(self._head("gmlm", GMLMHead), _rows(output.cls, pair), where, vocabulary, tokens)
        return losses

    def _patch_losses(self, output: ItemOutput, batch: PretrainingBatch, pixel_values: Tensor) -> dict[str, Loss]:
        embeddings = self.model.item.embeddings
        size = embeddings.patch_size
        pair, position = batch.predicted_patches.nonzero(as_tuple=True)  # (M,), (M,)
        patches = patch_targets(patchify(pixel_values, size)[pair, position], self.settings.patch_target)
        kind = self.settings.patch_loss
        losses: dict[str, Loss] = {}
        if "mim" in self.model.heads:
            losses["mim"] = mim_loss(self._head("mim", MIMHead), output.photo[pair, position], patches, kind)
        if "gmim" in self.model.heads:
            grid = (pixel_values.shape[2] // size, pixel_values.shape[3] // size)
            where = _rows(embeddings.patch_positions(grid), position)
            losses["gmim"] = gmim_loss(self._head("gmim", GMIMHead), _rows(output.cls, pair), where, patches, kind)
        return losses

    def _head(self, name: str, kind: type[H]) -> H:
        head = self.model.heads[name]
        assert isinstance(head, kind)
        return head


def _rows(table: Tensor, rows: Tensor) -> Tensor:
    """`table[rows]`, (M, D), with a gradient that is the same at every call.

    The same row is asked for many times. The gradient of indexing adds up such repeats in fp32 in whatever order the
    threads come; that of an embedding has a fixed order.
    """
    return F.embedding(rows, table)


def weighted_sum(losses: Mapping[str, Loss], weights: Mapping[str, float], counts: Mapping[str, int]) -> Tensor:
    """The number that is optimised: each objective's mean over the whole step, times its weight.

        loss = sum over objectives k of weight_k * total_k / count_k

    Args:
        losses: of this part of the step.
        weights: by objective.
        counts: predictions of the whole step (all its parts), so that the parts' sums add up to the step's mean.
    """
    terms = [weights[name] * loss.total / max(1, counts[name]) for name, loss in losses.items()]
    return torch.stack(terms).sum()
