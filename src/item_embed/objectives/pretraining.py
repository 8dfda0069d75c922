"""The objectives over the encoder's output, each with its inputs picked out, and their weighted sum."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from item_embed.config import ObjectiveSettings
from item_embed.model.encoder import PHOTO, ItemOutput
from item_embed.model.heads import (
    GMIMHead,
    GMLMHead,
    ItemForPreTraining,
    ITMHead,
    MIMDecoderHead,
    MIMHead,
    MLMHead,
)
from item_embed.model.patches import kept_patches, patches_at
from item_embed.model.processor import scale_pixels
from item_embed.objectives.agreement import Gather, alone, nt_xent
from item_embed.objectives.batch import PretrainingBatch, Views
from item_embed.objectives.gmim import gmim_loss
from item_embed.objectives.gmlm import gmlm_loss
from item_embed.objectives.itm import itm_loss
from item_embed.objectives.loss import Loss
from item_embed.objectives.mim import decoded_mim_loss, mim_loss, patch_targets
from item_embed.objectives.mlm import mlm_loss

H = TypeVar("H", bound=nn.Module)


@dataclass(frozen=True)
class PretrainingOutput:
    """The losses of a batch, and the encoder's outputs that they stand on, for the gradient that each puts on them.

    Attributes:
        losses: by objective, those that are switched on.
        encoded: by what was encoded, where a loss reads it: `masked`, the masked batch, (B, S, D); `whole`, the J pairs
            that ITM judges with nothing masked, (J, S', D); `views`, those of agreement, (2 B, S'', D).
    """

    losses: dict[str, Loss]
    encoded: dict[str, Tensor]

    @property
    def hidden(self) -> Tensor:
        """Of the masked batch, (B, S, D)."""
        return self.encoded["masked"]

    @property
    def whole(self) -> Tensor | None:
        """Of the pairs that ITM judges with nothing masked, (J, S', D); None where it judges none so."""
        return self.encoded.get("whole")


class Pretraining(nn.Module):
    """The model and its objectives: a masked batch in, losses out.

    Args:
        model: the encoder with a head for each objective that has a weight.
        settings: weights, patch target and patch loss, and what ITM judges.

    Attributes:
        same_passes: whether the encoder is asked as often of every batch, also where there is nothing to ask: processes
            that hold shares of its weights have to meet in each block.

    Examples:
        >>> output = Pretraining(model, settings)(batch)           # doctest: +SKIP
        >>> weighted_sum(output.losses, weights, batch.counts())   # doctest: +SKIP
    """

    def __init__(self, model: ItemForPreTraining, settings: ObjectiveSettings) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        self.same_passes = False

    def forward(self, batch: PretrainingBatch, gather: Gather = alone) -> PretrainingOutput:
        """Encode each kind of input once, and ask all objectives that read it.

        Args:
            batch: the pairs, or one process's share of them.
            gather: brings together what all shares' products are told from, for agreement.
        """
        masked = self._of_masked(batch) if len(self.model.heads) else PretrainingOutput({}, {})
        if batch.views is None:
            return masked
        views = self._encode_views(batch.views)
        losses = {**masked.losses, "agreement": self._agreement(views, batch.views, gather)}
        return PretrainingOutput(losses, {**masked.encoded, "views": views.hidden})

    def _of_masked(self, batch: PretrainingBatch) -> PretrainingOutput:
        """Encode the masked batch once (and once more what ITM is to judge whole), and ask each head."""
        pixel_values = scale_pixels(batch.pixels)
        # Dropped patches need no mask vector; but convolutions must not see what they are.
        hides = self.model.config.patch_masking == "keep" or self.model.config.patch_embedding == "convolutional"
        output: ItemOutput = self.model(
            batch.input_ids,
            pixel_values,
            batch.token_padding,
            batch.photo_missing,
            batch.masked_patches if hides else None,
            left_out=self._left_out(batch),
        )
        losses: dict[str, Loss] = {}
        whole: ItemOutput | None = None
        if "itm" in self.model.heads:
            (judged,) = batch.judged_pairs.nonzero(as_tuple=True)  # (J,)
            if self.settings.itm_input == "whole" and (len(judged) or self.same_passes):
                asked = judged if len(judged) else torch.zeros_like(batch.matched[:1], dtype=torch.int64)
                whole = self._encode_whole(batch, pixel_values, asked)
            cls = output.cls[judged] if whole is None else whole.cls[: len(judged)]
            losses["itm"] = itm_loss(self._head("itm", ITMHead), cls, batch.matched[judged])
        losses |= self._token_losses(output, batch)
        losses |= self._patch_losses(output, batch, pixel_values)
        if whole is None:
            return PretrainingOutput(losses, {"masked": output.hidden})
        # ITM alone, of whole pairs, asks nothing of masked ones.
        masked = {} if losses.keys() == {"itm"} else {"masked": output.hidden}
        return PretrainingOutput(losses, {**masked, "whole": whole.hidden})

    def _encode_views(self, views: Views) -> ItemOutput:
        """As products are embedded."""
        drops = self.model.config.background == "drop"
        output: ItemOutput = self.model(
            views.input_ids,
            scale_pixels(views.pixels),
            views.token_padding,
            views.photo_missing,
            left_out=views.background if drops else None,
        )
        return output

    def _agreement(self, output: ItemOutput, views: Views, gather: Gather) -> Loss:
        vectors, begin = gather(torch.cat(output.cls.chunk(2), dim=1))  # (B of all shares, 2 D)
        first, second = vectors.chunk(2, dim=1)
        shown = views.gathered(gather)
        own = slice(begin, begin + len(views.kinds))
        return nt_xent(first, second, self.settings.agreement.temperature, shown.kinds, shown.alike, own=own)

    def _encode_whole(self, batch: PretrainingBatch, pixel_values: Tensor, pairs: Tensor) -> ItemOutput:
        """Encode pairs (J,), each with a title and a photo, as a product is embedded: nothing is masked."""
        drops = self.model.config.background == "drop"
        output: ItemOutput = self.model(
            batch.tokens[pairs],
            pixel_values[pairs],
            batch.token_padding[pairs],
            left_out=batch.background[pairs] if drops else None,
        )
        return output

    def _left_out(self, batch: PretrainingBatch) -> Tensor | None:
        """(B, P) True where a patch is not encoded; None where all are."""
        if self.model.config.patch_masking == "drop":
            return batch.masked_patches | batch.background
        return batch.background if self.model.config.background == "drop" else None

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
        patches = patch_targets(patches_at(pixel_values, size, pair, position), self.settings.patch_target)
        positions = embeddings.patch_positions((pixel_values.shape[2] // size, pixel_values.shape[3] // size))
        kind = self.settings.patch_loss
        losses: dict[str, Loss] = {}
        if "mim" in self.model.heads:
            losses["mim"] = self._mim_loss(output, batch.predicted_patches, positions, patches)
        if "gmim" in self.model.heads:
            where = _rows(positions, position)
            losses["gmim"] = gmim_loss(self._head("gmim", GMIMHead), _rows(output.cls, pair), where, patches, kind)
        return losses

    def _mim_loss(self, output: ItemOutput, predicted: Tensor, positions: Tensor, patches: Tensor) -> Loss:
        """From the masked patches' own outputs, (B, P) True at each, or from a decoder's where they have none."""
        kind = self.settings.patch_loss
        if self.model.config.patch_masking == "keep":
            if output.patch_index is not None:
                predicted = predicted.gather(1, output.patch_index)
            return mim_loss(self._head("mim", MIMHead), output.photo[predicted], patches, kind)
        embeddings = self.model.item.embeddings
        queries = embeddings.patch_mask + positions + embeddings.modality.weight[PHOTO]  # (P, D), as `keep` embeds them
        (pair,) = predicted.any(dim=1).nonzero(as_tuple=True)
        asked = kept_patches(~predicted[pair])
        memory, absent = output.hidden.index_select(0, pair), output.absent[pair]
        head = self._head("mim", MIMDecoderHead)
        return decoded_mim_loss(
            head,
            queries=queries,
            index=asked.index,
            padding=asked.padding,
            memory=memory,
            absent=absent,
            patches=patches,
            kind=kind,
        )

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
