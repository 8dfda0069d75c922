"""CLIP on the catalogue's own pairs: a tower for photos, a tower for titles, each pair told from all others."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel

from item_embed.evaluation.learners.fitting import Batch, Task
from item_embed.evaluation.learners.learner import Material
from item_embed.evaluation.learners.matching import nearest_size
from item_embed.evaluation.learners.samples import Samples, processor_of, rows_with
from item_embed.evaluation.learners.trained import Trained, load_encoder
from item_embed.evaluation.learners.vectors import Joined, photo_vectors, title_vectors
from item_embed.model.processor import ItemProcessor, scale_pixels
from item_embed.model.tokenizer import CLS, PAD, SEP
from item_embed.objectives.loss import Loss

_STRONGEST = 100.0  # the scale of scores learns to be no larger, as in CLIP


class Clip(Trained):
    """`clip`: the two towers' projections, each of length 1, one after the other (arXiv 2103.00020).

    The half of a modality that a product lacks is zero.
    """

    name = "clip"
    sees = "both"

    def prepare(self, material: Material) -> Task:
        """Pairs of a photo and its title."""
        samples = Samples(material, rows_with(material, photo=True, title=True), processor_of(material))
        encoder = CLIPModel(clip_config(material))

        def batch(rows: NDArray[np.int64], epochs: NDArray[np.int64]) -> Batch:
            photos, ids = samples.augmented(rows, epochs), samples.tokens(rows).ids
            return {"photos": torch.from_numpy(photos), "ids": torch.from_numpy(ids)}

        return Task(encoder, _Pairs(encoder), samples, batch, whole=True)

    def load(self, folder: Path, device: torch.device) -> Joined:
        """Both towers."""
        encoder = load_encoder(CLIPModel, folder, device)
        processor = ItemProcessor.from_pretrained(folder)
        width = encoder.text_projection.out_features
        photos = photo_vectors(processor, width, lambda pixels: _photo_features(encoder, pixels), device)
        titles = title_vectors(processor, width, lambda ids, _: _title_features(encoder, ids), device)
        return Joined([photos, titles])


def clip_config(material: Material) -> CLIPConfig:
    """Two towers as deep as ITEm's encoder and narrower, so that both together have its parameters.

    First the width is chosen, MLPs four times as wide, in steps that keep eights of numbers in each head; then the
    width of the MLPs takes what is left.
    """
    model = material.config.model
    step = 8 * model.num_attention_heads

    def config(width: int, intermediate_size: int) -> CLIPConfig:
        tower: dict[str, Any] = {
            "hidden_size": width,
            "intermediate_size": intermediate_size,
            "num_hidden_layers": model.num_hidden_layers,
            "num_attention_heads": model.num_attention_heads,
            "attention_dropout": model.dropout,
        }
        # Positions are those of a square of patches; other photos take theirs from it, stretched.
        text = {
            "vocab_size": material.tokenizer.get_vocab_size(),
            "max_position_embeddings": model.max_title_tokens,
            "pad_token_id": PAD,
            "bos_token_id": CLS,
            "eos_token_id": SEP,
        }
        vision = {"image_size": max(model.image_size), "patch_size": model.patch_size}
        return CLIPConfig(text_config=tower | text, vision_config=tower | vision, projection_dim=width)

    widths = range(step, max(step, model.hidden_size) + 1, step)
    width = nearest_size(lambda width: CLIPModel(config(width, 4 * width)), widths, material.parameters)
    sizes = range(8, 8 * width + 1, 8)
    return config(width, nearest_size(lambda size: CLIPModel(config(width, size)), sizes, material.parameters))


def clip_loss(photos: Tensor, titles: Tensor, scale: Tensor) -> Loss:
    """Symmetric cross-entropy over the pairs of a batch.

    With u and v the B vectors of photos and titles at length 1 and s the scale:

        loss = - sum over i of ( log softmax(s u_i V)[i] + log softmax(s v_i U)[i] ) / 2

    Args:
        photos: (B, D).
        titles: (B, D), in the same order.
        scale: s, a number.

    Returns:
        The loss, with the metric `matched`, how often a photo's own title is the nearest.
    """
    scores = scale.float() * F.normalize(photos.float(), dim=-1) @ F.normalize(titles.float(), dim=-1).T
    own = torch.arange(len(scores), device=scores.device)
    total = (F.cross_entropy(scores, own, reduction="sum") + F.cross_entropy(scores.T, own, reduction="sum")) / 2
    return Loss(total, len(scores), {"matched": (scores.argmax(dim=-1) == own).sum().detach()})


class _Pairs(nn.Module):
    """CLIP's loss, with a scale that is learnt."""

    def __init__(self, encoder: CLIPModel) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, photos: Tensor, ids: Tensor) -> Loss:
        """(B, 3, height, width) bytes, (B, T)."""
        scale = self.encoder.logit_scale.exp().clamp(max=_STRONGEST)
        pixels = scale_pixels(photos)
        return clip_loss(_photo_features(self.encoder, pixels), _title_features(self.encoder, ids), scale)


def _photo_features(encoder: CLIPModel, pixels: Tensor) -> Tensor:
    """(n, 3, height, width) -> (n, D)."""
    features: Tensor = encoder.get_image_features(pixel_values=pixels, interpolate_pos_encoding=True).pooler_output
    return features


def _title_features(encoder: CLIPModel, ids: Tensor) -> Tensor:
    """(n, T) -> (n, D), of the output at [SEP], which sees all tokens before it and no padding."""
    features: Tensor = encoder.get_text_features(input_ids=ids).pooler_output
    return features
