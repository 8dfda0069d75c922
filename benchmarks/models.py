"""The models that the benchmarks train: ours with its objectives, a ViLT of the same size from `transformers`; a step.

Each makes its own arguments of a batch (`ready`), gives its loss, and knows its optimiser and how much it computes.
What they are compared on, and what favours ViLT: benchmarks/training.py.
"""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import ViltConfig, ViltForMaskedLM
from transformers.models.vilt.modeling_vilt import ViltSelfAttention

from item_embed.config import ModelSettings, RunConfig
from item_embed.evaluation.ablation.cost import Lengths, encoder_flops, training_flops
from item_embed.model import encoder
from item_embed.model.configuration import ItemConfig
from item_embed.model.heads import ItemForPreTraining
from item_embed.model.processor import scale_pixels
from item_embed.model.tokenizer import PAD
from item_embed.objectives.batch import PretrainingBatch
from item_embed.objectives.pretraining import Pretraining, weighted_sum
from item_embed.training.batches import PretrainingData
from item_embed.training.optimiser import make_optimizer

VILT_TITLE = 40  # positions of a title in ViLT
_IGNORED = -100  # the label of a position that MLM does not judge, as in transformers


class Ours(nn.Module):
    """The package's model with its objectives: the loss of a batch.

    Args:
        config: of the run.
        vocab_size: tokens of the vocabulary.
        padded: whether sequences go through the blocks padded to the longest, as if packing saved nothing.
    """

    def __init__(self, config: RunConfig, vocab_size: int, *, padded: bool = False) -> None:
        super().__init__()
        architecture = ItemConfig.from_settings(config.model, config.objectives, vocab_size)
        self.pretraining = Pretraining(ItemForPreTraining(architecture), config.objectives)
        self.config = config
        self.vocab_size = vocab_size
        self.padded = padded

    def optimizer(self) -> torch.optim.Optimizer:
        """The package's own."""
        return make_optimizer(self.pretraining.model, self.config.training)

    def compile_blocks(self) -> None:
        """Compile the blocks for sequences of any length."""
        compile_or_fail()
        for block in self.pretraining.model.item.blocks:
            block.compile(dynamic=True)

    def ready(self, batch: PretrainingBatch, device: torch.device) -> tuple[PretrainingBatch, dict[str, int]]:
        """The arguments of `forward`: the batch on the device, its counts taken before."""
        return batch.to(device), batch.counts()

    def forward(self, batch: PretrainingBatch, counts: dict[str, int]) -> Tensor:
        """The weighted sum of all objectives."""
        unpacked = patch.multiple(encoder, grouped=lambda *_: None, attends_ragged=lambda *_: False)
        with unpacked if self.padded else nullcontext():
            losses = self.pretraining(batch).losses
        return weighted_sum(losses, self.config.objectives.weights.active(), counts)

    def flops(self, batch: PretrainingBatch) -> float:
        """Of the matrix products of a step; padding does not count."""
        return len(batch) * training_flops(self.config, self.vocab_size, Lengths.of(batch, self.config))


class ViltBatch(NamedTuple):
    """What ViLT reads of a batch: B pairs, T title positions.

    Attributes:
        input_ids: (B, T) tokens, masked as ours are.
        attended: (B, T) 1 where a token is no padding.
        pixels: (B, 3, height, width).
        labels: (B, T) the masked tokens; `_IGNORED` elsewhere and in mismatched pairs.
        matched: (B,) 1 where the photo is the title's own.
        judged: (B,) True where there are a title and a photo to be matched.
    """

    input_ids: Tensor
    attended: Tensor
    pixels: Tensor
    labels: Tensor
    matched: Tensor
    judged: Tensor


class FusedAttention(nn.Module):
    """ViLT's self-attention by our `attention` with the same projections; its own has no fused kernel.

    Args:
        shipped: what it stands in for.
    """

    def __init__(self, shipped: ViltSelfAttention) -> None:
        super().__init__()
        assert shipped.dropout.p == 0
        self.heads = shipped.num_attention_heads
        self.query, self.key, self.value = shipped.query, shipped.key, shipped.value

    def forward(self, x: Tensor, attended: Tensor, output_attentions: bool = False) -> tuple[Tensor]:
        """(B, S, D), (B, 1, 1, S) -> (B, S, D), in a tuple as a layer of ViLT takes it."""
        assert not output_attentions
        q, k, v = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, S, K)
            for projection in (self.query, self.key, self.value)
        )
        return (encoder.attention(q, k, v, attended).transpose(1, 2).flatten(2),)


class Vilt(nn.Module):
    """A ViLT of the same size with its heads of MLM and ITM: the loss of a batch, from one forward pass.

    Args:
        model: the size.
        vocab_size: tokens of the vocabulary.
        learning_rate: of its optimiser.
        shipped: whether to use it as its documentation does, or as fast as its parts allow.
        title_length: positions that titles are padded to; by default the longest of the batch.
    """

    def __init__(
        self,
        model: ModelSettings,
        vocab_size: int,
        learning_rate: float,
        *,
        shipped: bool,
        title_length: int | None = None,
    ) -> None:
        super().__init__()
        config = ViltConfig(
            vocab_size=vocab_size,
            max_position_embeddings=VILT_TITLE,
            hidden_size=model.hidden_size,
            num_hidden_layers=model.num_hidden_layers,
            num_attention_heads=model.num_attention_heads,
            intermediate_size=model.intermediate_size,
            hidden_dropout_prob=model.dropout,
            image_size=model.image_size[0],
            patch_size=model.patch_size,
        )
        self.model = ViltForMaskedLM(config)
        self.itm = nn.Linear(model.hidden_size, 1)  # as in ViltForImageAndTextRetrieval
        if not shipped:
            layer: Any
            for layer in self.model.vilt.encoder.layer:
                layer.attention.attention = FusedAttention(layer.attention.attention)
        self.settings = model
        self.learning_rate = learning_rate
        self.shipped = shipped
        self.title_length = title_length

    def optimizer(self) -> torch.optim.Optimizer:
        """The default of the Trainer of transformers."""
        return torch.optim.AdamW(self.parameters(), lr=self.learning_rate, fused=True)

    def compile_blocks(self) -> None:
        """Compile the layers, for one length of sequences."""
        compile_or_fail()
        for layer in self.model.vilt.encoder.layer:
            layer.compile(dynamic=False)

    def ready(self, batch: PretrainingBatch, device: torch.device) -> tuple[ViltBatch, dict[str, int]]:
        """The arguments of `forward`: titles padded and photos scaled, as a processor does before the step; counts."""
        missing = (self.title_length or batch.tokens.shape[1]) - batch.tokens.shape[1]
        assert missing >= 0
        ready = ViltBatch(
            input_ids=F.pad(batch.input_ids, (0, missing), value=PAD),
            attended=F.pad((~batch.token_padding).long(), (0, missing)),
            pixels=scale_pixels(batch.pixels),
            labels=F.pad(batch.tokens.where(batch.predicted_tokens, _IGNORED), (0, missing), value=_IGNORED),
            matched=batch.matched.float(),
            judged=batch.judged_pairs,
        )
        return ViltBatch(*(tensor.to(device) for tensor in ready)), batch.counts()

    def forward(self, batch: ViltBatch, counts: dict[str, int]) -> Tensor:
        """The sum of both tasks, each the mean of its predictions as in ours: 0 where it has none."""
        hidden, pooled = (self._as_shipped if self.shipped else self._fast)(batch)
        title, labels = hidden[:, : batch.input_ids.shape[1]], batch.labels
        if not self.shipped:
            masked = labels != _IGNORED
            title, labels = title[masked], labels[masked]
        scores = self.model.mlm_score(title)
        mlm = F.cross_entropy(scores.view(-1, scores.shape[-1]), labels.view(-1), reduction="sum")
        judged, matched = self.itm(pooled)[batch.judged, 0], batch.matched[batch.judged]
        itm = F.binary_cross_entropy_with_logits(judged, matched, reduction="sum")
        return mlm / max(1, counts["mlm"]) + itm / max(1, counts["itm"])

    def flops(self, batch: PretrainingBatch) -> float:
        """Of the matrix products of a step; padding, and scores of tokens that are not masked, do not count."""
        d, b, tokens = self.settings.hidden_size, len(batch), batch.counts()["mlm"]
        title = (~batch.token_padding).sum(dim=1).double().numpy() + 1  # ViLT has a [CLS] of the photo too
        photo = np.full(b, self.settings.patches, np.float64)
        heads = 2 * tokens * (d * d + d * self.model.config.vocab_size) + 2 * b * d * d
        forward = float(encoder_flops(self.settings, title, photo).sum()) + heads
        return 3 * forward - 2 * float(photo.sum()) * 3 * self.settings.patch_size**2 * d  # photos need no gradient

    def _as_shipped(self, batch: ViltBatch) -> tuple[Tensor, Tensor]:
        """Outputs (B, S, D) and pooled (B, D), with the mask that its processor makes: no photo is padded."""
        whole = torch.ones_like(batch.pixels[:, 0], dtype=torch.long)
        output = self.model.vilt(
            batch.input_ids, attention_mask=batch.attended, pixel_values=batch.pixels, pixel_mask=whole
        )
        return output.last_hidden_state, output.pooler_output

    def _fast(self, batch: ViltBatch) -> tuple[Tensor, Tensor]:
        """The same without its loops over the photos, which shuffle patches and resize positions, and a square mask."""
        vilt: Any = self.model.vilt
        embeddings = vilt.embeddings
        patches = embeddings.patch_embeddings(batch.pixels).flatten(2).transpose(1, 2)
        photos = torch.cat([embeddings.cls_token.expand(len(patches), -1, -1), patches], dim=1)
        photos = embeddings.dropout(photos + embeddings.position_embeddings)
        whole = torch.ones_like(photos[..., 0], dtype=torch.long)
        x, attended = embeddings(batch.input_ids, batch.attended, None, None, whole, None, photos)
        hidden = vilt.layernorm(vilt.encoder(x, attended.bool()[:, None, None, :]).last_hidden_state)
        return hidden, vilt.pooler(hidden)


@dataclass
class Contestant:
    """A model that trains, the batches of its run, and what its steps took.

    Attributes:
        name: in the table.
        precision: `bf16` (autocast) or `fp32`.
        module: the model and its loss.
        optimizer: its own.
        device: where it trains.
        data: its batches.
        compiled: whether torch.compile makes its kernels.
        seconds: of the steps that were timed.
        worked: operations of each.
    """

    name: str
    precision: str
    module: Ours | Vilt
    optimizer: torch.optim.Optimizer
    device: torch.device
    data: PretrainingData
    compiled: bool = False
    seconds: list[float] = field(default_factory=list)
    worked: list[float] = field(default_factory=list)

    def ready(self, number: int) -> tuple[Any, ...]:
        """The arguments of the step of that number, on the device."""
        (batch,) = self.data[number]
        return self.module.ready(batch, self.device)

    def step(self, arguments: tuple[Any, ...]) -> None:
        """Train on one batch."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            loss: Tensor = self.module(*arguments)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def time(self, number: int) -> None:
        """Make the step of that number; keep the seconds it took, without its batch, and what it worked.

        On one thread of a CPU these are the process's own seconds: other work on the machine does not count.
        """
        (batch,) = self.data[number]
        arguments = self.module.ready(batch, self.device)
        alone = self.device.type == "cpu" and torch.get_num_threads() == 1
        clock = time.process_time if alone else time.perf_counter
        wait(self.device)
        began = clock()
        self.step(arguments)
        wait(self.device)
        self.seconds.append(clock() - began)
        self.worked.append(self.module.flops(batch))

    @property
    def products(self) -> int:
        """Of a batch."""
        return self.data.training.batch_size

    @property
    def flops(self) -> float:
        """Of a product: the mean."""
        return statistics.mean(self.worked) / self.products

    @property
    def rate(self) -> float:
        """Products per second: the median."""
        return self.products / statistics.median(self.seconds)

    @property
    def rates(self) -> tuple[float, float]:
        """Products per second: the quartiles."""
        low, high = np.percentile(self.products / np.array(self.seconds), [25, 75])
        return float(low), float(high)


@contextmanager
def leaving_out(contestant: Contestant) -> Iterator[None]:
    """Say so where torch.compile fails; what is not compiled has to work."""
    try:
        yield
    except Exception as error:  # torch raises errors of many kinds where there is no compiler
        if not contestant.compiled:
            raise
        said = next(iter(str(error).splitlines()), type(error).__name__)
        print(f"{contestant.name} is left out, since what torch.compile made of it failed here: {said}")


def wait(device: torch.device) -> None:
    """Until a GPU has done what it was told to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def compile_or_fail() -> None:
    """Forget what was compiled for other models, and let torch.compile fail where it would give up and not compile."""
    torch.compiler.reset()
    if hasattr(torch._dynamo.config, "fail_on_recompile_limit_hit"):  # an older torch has none
        torch._dynamo.config.fail_on_recompile_limit_hit = True
