"""The heads of the pre-training tasks, and the encoder with those that a configuration switches on.

A head turns hidden vectors into a prediction; what it is asked, and what it is judged against, is an objective's
business. Shapes: M predicted positions, D hidden size, V vocabulary, C numbers in a patch.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from item_embed.model.configuration import ItemConfig
from item_embed.model.encoder import ItemModel, ItemOutput, ItemPreTrainedModel, attention


def _dense(inputs: int, config: ItemConfig) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, config.hidden_size),
        nn.GELU(),
        nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps),
    )


class TokenDecoder(nn.Module):
    """Hidden vectors to vocabulary scores, with the word embeddings as weights (tied, as in BERT) and a bias."""

    def __init__(self, config: ItemConfig) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, x: Tensor, vocabulary: Tensor) -> Tensor:
        """(M, D), (V, D) -> (M, V)."""
        return F.linear(x, vocabulary, self.bias)


class ITMHead(nn.Module):
    """Image-text matching: h_CLS to the scores of (mismatched, matched)."""

    def __init__(self, config: ItemConfig) -> None:
        super().__init__()
        self.classifier = nn.Linear(config.hidden_size, 2)

    def forward(self, cls: Tensor) -> Tensor:
        """(M, D) -> (M, 2)."""
        return self.classifier(cls)  # type: ignore[no-any-return]


class MLMHead(nn.Module):
    """Masked language modelling: a token's own output to vocabulary scores (BERT's head)."""

    def __init__(self, config: ItemConfig) -> None:
        super().__init__()
        self.transform = _dense(config.hidden_size, config)
        self.decoder = TokenDecoder(config)

    def forward(self, hidden: Tensor, vocabulary: Tensor) -> Tensor:
        """(M, D), (V, D) -> (M, V)."""
        return self.decoder(self.transform(hidden), vocabulary)  # type: ignore[no-any-return]


class MIMHead(nn.Module):
    """Masked image modelling: a patch's own output to its pixels, linearly (SimMIM)."""

    def __init__(self, config: ItemConfig) -> None:
        super().__init__()
        self.decoder = nn.Linear(config.hidden_size, config.patch_dim)

    def forward(self, hidden: Tensor) -> Tensor:
        """(M, D) -> (M, C)."""
        return self.decoder(hidden)  # type: ignore[no-any-return]


class MIMDecoderHead(nn.Module):
    """Masked image modelling where masked patches are not encoded: a light decoder in place of their outputs.

    One layer of cross-attention (CrossMAE, arXiv 2401.14391) and an MLP as wide as the encoder, each on a residual
    branch, then linear to pixels. A query asks the pair's encoded title and patches, and no other query.
    """

    def __init__(self, config: ItemConfig) -> None:
        super().__init__()
        d = config.hidden_size
        self.heads = config.num_attention_heads
        self.query_norm = nn.LayerNorm(d, eps=config.layer_norm_eps)
        self.query = nn.Linear(d, d)
        self.key_value = nn.Linear(d, 2 * d)
        self.out = nn.Linear(d, d)
        self.mlp_norm = nn.LayerNorm(d, eps=config.layer_norm_eps)
        self.mlp = nn.Sequential(nn.Linear(d, d), nn.GELU(), nn.Linear(d, d))
        self.norm = nn.LayerNorm(d, eps=config.layer_norm_eps)
        self.decoder = nn.Linear(d, config.patch_dim)

    def forward(self, queries: Tensor, index: Tensor, padding: Tensor, memory: Tensor, absent: Tensor) -> Tensor:
        """Construct patches.

        Args:
            queries: what asks for the patch of each position, (P, D); the same in every pair, so projected once.
            index: positions asked for, (R, Q).
            padding: (R, Q) True where `index` asks for nothing; M positions are left.
            memory: outputs of the encoder, already normed, (R, S, D).
            absent: (R, S) True where they are padding.

        Returns:
            (M, C), row by row.
        """
        r, s, d = memory.shape
        q = F.embedding(index, self.query(self.query_norm(queries)))
        q = q.view(*index.shape, self.heads, d // self.heads).transpose(1, 2)  # (R, H, Q, K)
        k, v = self.key_value(memory).view(r, s, 2, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        asked = attention(q, k, v, ~absent[:, None, None, :])
        x = F.embedding(index[~padding], queries)  # (M, D)
        x = x + self.out(asked.transpose(1, 2).flatten(2)[~padding])
        x = x + self.mlp(self.mlp_norm(x))
        return self.decoder(self.norm(x))  # type: ignore[no-any-return]


class ModulatedCLS(nn.Module):
    """[h_CLS; p] to `out((1 + scale(p)) * h_CLS + shift(p))`: FiLM (arXiv 1709.07871), then a linear map.

    Every position reads h_CLS by a linear map of its own.
    """

    def __init__(self, config: ItemConfig) -> None:
        super().__init__()
        d = config.hidden_size
        self.scale_shift = nn.Linear(d, 2 * d)
        self.out = nn.Linear(d, d)

    def forward(self, cls_position: Tensor) -> Tensor:
        """(M, 2 D) -> (M, D)."""
        cls, position = cls_position.chunk(2, dim=-1)
        scale, shift = self.scale_shift(position).chunk(2, dim=-1)
        return self.out((1 + scale) * cls + shift)  # type: ignore[no-any-return]


def _global_transform(config: ItemConfig) -> nn.Module:
    """What joins h_CLS and a position: [h_CLS; p], (M, 2 D), to what the decoder reads, (M, D).

    `span` is the span-boundary head of SpanBERT (arXiv 1907.10529) with [CLS] in place of the span's ends. `linear` is
    the least: its sum of a part for the product and a part for the position cannot say what stands where.
    """
    d = config.hidden_size
    if config.global_head == "linear":
        return nn.Linear(2 * d, d)
    if config.global_head == "conditioned":
        return ModulatedCLS(config)
    return nn.Sequential(_dense(2 * d, config), _dense(d, config))


class GMLMHead(nn.Module):
    """Global masked language modelling: [h_CLS; p_i] to vocabulary scores, by the tied decoder."""

    def __init__(self, config: ItemConfig) -> None:
        super().__init__()
        self.transform = _global_transform(config)
        self.decoder = TokenDecoder(config)

    def forward(self, cls: Tensor, position: Tensor, vocabulary: Tensor) -> Tensor:
        """(M, D), (M, D), (V, D) -> (M, V)."""
        return self.decoder(self.transform(torch.cat([cls, position], dim=-1)), vocabulary)  # type: ignore[no-any-return]


class GMIMHead(nn.Module):
    """Global masked image modelling: [h_CLS; p_j] to the patch's pixels, linearly after what `GMLMHead` begins with."""

    def __init__(self, config: ItemConfig) -> None:
        super().__init__()
        self.transform = _global_transform(config)
        self.decoder = nn.Linear(config.hidden_size, config.patch_dim)

    def forward(self, cls: Tensor, position: Tensor) -> Tensor:
        """(M, D), (M, D) -> (M, C)."""
        return self.decoder(self.transform(torch.cat([cls, position], dim=-1)))  # type: ignore[no-any-return]


HEADS: dict[str, type[nn.Module]] = {
    "itm": ITMHead,
    "mlm": MLMHead,
    "mim": MIMHead,
    "gmlm": GMLMHead,
    "gmim": GMIMHead,
}


def make_head(name: str, config: ItemConfig) -> nn.Module:
    """The head of a task; MIM's depends on whether masked patches have outputs of their own."""
    if name == "mim" and config.patch_masking == "drop":
        return MIMDecoderHead(config)
    return HEADS[name](config)


class ItemForPreTraining(ItemPreTrainedModel):
    """The encoder (`item`) with a head for each task of `config.objectives` (`heads`)."""

    def __init__(self, config: ItemConfig) -> None:
        super().__init__(config)
        self.item = ItemModel(config)
        self.heads = nn.ModuleDict({name: make_head(name, config) for name in config.objectives})
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, *args: Any, **kwargs: Any) -> ItemOutput:
        """Encode; see `ItemModel.forward`."""
        output: ItemOutput = self.item(*args, **kwargs)
        return output
