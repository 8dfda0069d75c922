"""`ItemModel`: one transformer encoder over a title's tokens and a photo's patches.

Shapes: B batch, T title positions ([CLS], tokens, [SEP], padding), P patches of a photo, N of them encoded (all P
unless some are left out), S = T + N, D hidden size, H heads, K = D / H. Masks: True means masked (absent, not attended
to, or to be predicted).
"""

from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.activations import ACT2FN

from item_embed.model.configuration import ItemConfig
from item_embed.model.packing import Grouped, Ragged, grouped, put, ragged, take
from item_embed.model.patches import hidden_patches, kept_patches, patches_at, patchify
from item_embed.model.stem import ConvolutionalStem

varlen_attn: Any = None
with suppress(ImportError):  # before torch 2.10
    from torch.nn.attention.varlen import varlen_attn

TITLE, PHOTO = 0, 1  # modality types


class ItemOutput(NamedTuple):
    """What the encoder returns.

    Attributes:
        hidden: outputs of the whole sequence, (B, S, D); those of `absent` positions mean nothing.
        title_length: T, where the patches begin.
        absent: (B, S) True where a position is no part of the product: padding, or a patch of a missing photo.
        patch_index: the patches encoded, by number and in their order, (B, N); None where all are. Where `absent`, it
            names any patch that was left out.
    """

    hidden: Tensor
    title_length: int
    absent: Tensor
    patch_index: Tensor | None = None

    @property
    def cls(self) -> Tensor:
        """The embedding of each product, h_CLS: (B, D)."""
        return self.hidden[:, 0]

    @property
    def title(self) -> Tensor:
        """The outputs of the title's positions, (B, T, D)."""
        return self.hidden[:, : self.title_length]

    @property
    def photo(self) -> Tensor:
        """The outputs of the encoded patches, (B, N, D)."""
        return self.hidden[:, self.title_length :]


class ItemEmbeddings(nn.Module):
    """Tokens and patches to vectors: content + position + modality type, normed for post-norm blocks, then dropout."""

    def __init__(self, config: ItemConfig) -> None:
        super().__init__()
        self.patch_size = config.patch_size
        self.grid_size = config.grid_size
        self.word = nn.Embedding(config.vocab_size, config.hidden_size)
        self.title_position = nn.Embedding(config.max_title_tokens, config.hidden_size)
        convolutional = config.patch_embedding == "convolutional"
        self.patch = ConvolutionalStem(config) if convolutional else nn.Linear(config.patch_dim, config.hidden_size)
        self.patch_position = nn.Embedding(config.num_patches, config.hidden_size)
        self.patch_mask = nn.Parameter(torch.zeros(config.hidden_size))
        self.modality = nn.Embedding(2, config.hidden_size)
        post = config.norm_position == "post"
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps) if post else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None,
        masked_patches: Tensor | None = None,
        patch_index: Tensor | None = None,
        photo_missing: Tensor | None = None,
    ) -> Tensor:
        """(B, T), (B, 3, height, width), (B, P), (B, N), (B,) -> (B, S, D); without photos (B, T, D)."""
        title = self.word(input_ids) + self.title_position.weight[: input_ids.shape[1]]  # (B, T, D)
        title = title + self.modality.weight[TITLE]
        if pixel_values is None:
            return self.dropout(self.norm(title))  # type: ignore[no-any-return]
        height, width = pixel_values.shape[2:]
        positions = self.patch_positions((height // self.patch_size, width // self.patch_size))  # (P, D)
        if isinstance(self.patch, ConvolutionalStem):
            photo = self._convolved(pixel_values, masked_patches, patch_index, photo_missing)
        elif patch_index is None:
            photo = self.patch(patchify(pixel_values, self.patch_size))  # (B, P, D)
        else:
            pair = torch.arange(len(patch_index), device=patch_index.device)[:, None]
            photo = self.patch(patches_at(pixel_values, self.patch_size, pair, patch_index))  # (B, N, D)
        if patch_index is not None:
            positions = F.embedding(patch_index, positions)  # (B, N, D)
            masked_patches = None if masked_patches is None else masked_patches.gather(1, patch_index)
        if masked_patches is not None:
            photo = torch.where(masked_patches[..., None], self.patch_mask.to(photo.dtype), photo)
        photo = photo + positions + self.modality.weight[PHOTO]
        return self.dropout(self.norm(torch.cat([title, photo], dim=1)))  # type: ignore[no-any-return]

    def _convolved(
        self, pixel_values: Tensor, masked: Tensor | None, index: Tensor | None, missing: Tensor | None
    ) -> Tensor:
        """The stem's vectors of the patches encoded, (B, N, D); any where the photo is missing.

        A patch is described with what is around it. What is masked is hidden from its neighbours, too.
        """
        if masked is not None:
            pixel_values = pixel_values.masked_fill(hidden_patches(masked, pixel_values, self.patch_size), 0)
        if missing is None:
            photo = self.patch(pixel_values)
        else:  # photos that are not there cost nothing
            (there,) = (~missing).nonzero(as_tuple=True)
            found = self.patch(pixel_values[there])
            photo = found.new_zeros(len(missing), *found.shape[1:]).index_copy(0, there, found)
        return photo if index is None else photo.gather(1, index[..., None].expand(-1, -1, photo.shape[2]))  # type: ignore[no-any-return]

    def patch_positions(self, grid_size: tuple[int, int]) -> Tensor:
        """Position embeddings of a grid of patches, (P, D); interpolated where it is not the trained grid (ViT)."""
        return resized_positions(self.patch_position.weight, self.grid_size, grid_size)


def resized_positions(positions: Tensor, grid_size: tuple[int, int], wanted: tuple[int, int]) -> Tensor:
    """Embeddings of the positions of a grid, (P, D), interpolated to another one: (P', D)."""
    if grid_size == wanted:
        return positions
    grid = positions.reshape(1, *grid_size, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=wanted, mode="bicubic", align_corners=False)
    return grid.permute(0, 2, 3, 1).reshape(wanted[0] * wanted[1], -1)


def attention(q: Tensor, k: Tensor, v: Tensor, attended: Tensor) -> Tensor:
    """Scaled dot-product attention by torch's kernels, but in bf16 on a CPU by the plain formula.

    There torch's flash kernel takes up to nine times as long as two matrix products, above all backwards: see
    docs/decisions/0003-attention-on-cpu.md.

    Args:
        q: (B, H, Q, K), one query per output.
        k: (B, H, S, K), and so `v`.
        attended: (B, 1, 1, S) True where a position takes part (SDPA's polarity); at least one per row.
    """
    if q.device.type == "cpu" and q.dtype == torch.bfloat16:
        return plain_attention(q, k, v, attended)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=attended)


def plain_attention(q: Tensor, k: Tensor, v: Tensor, attended: Tensor) -> Tensor:
    """`attention` as two matrix products and a softmax in fp32."""
    bias = torch.zeros(attended.shape, device=q.device).masked_fill_(~attended, float("-inf"))
    weights = F.softmax((q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1) + bias, dim=-1)
    return weights.to(v.dtype) @ v


def attends_ragged(x: Tensor, head_size: int) -> bool:
    """Whether torch has a kernel for sequences without padding here: on a CUDA device, in bf16, since torch 2.10."""
    if not x.is_cuda or varlen_attn is None:
        return False
    dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else x.dtype
    return ragged_kernel_takes(dtype, head_size, torch.cuda.get_device_capability(x.device))


def ragged_kernel_takes(dtype: torch.dtype, head_size: int, capability: tuple[int, int]) -> bool:
    """What FlashAttention 2 asks for: Ampere or later, and heads of whole eights, up to 256 wide."""
    return dtype == torch.bfloat16 and head_size % 8 == 0 and head_size <= 256 and capability >= (8, 0)


def ragged_attention(q: Tensor, k: Tensor, v: Tensor, sequences: Ragged) -> Tensor:
    """`attention` within each of the sequences: (N, H, K) three times -> (N, H, K)."""
    bounds, longest = sequences.bounds, sequences.longest
    y: Tensor = varlen_attn(q, k, v, bounds, bounds, longest, longest)
    return y


#: What a position attends to: a mask over the keys of a rectangle, in SDPA's polarity, or its own sequence.
Attended: TypeAlias = Tensor | Grouped | Ragged


class ItemAttention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, config: ItemConfig) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.out = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor, attended: Attended) -> Tensor:
        """(B, S, D) with (B, 1, 1, S), or (N, D) with the layout of its sequences -> the shape of x."""
        qkv = self.qkv(x)
        if isinstance(attended, Tensor):
            y = self._rectangle(qkv, attended)
        elif isinstance(attended, Grouped):
            rectangles = put(qkv, attended.place, sum(attended.sizes)).split(attended.sizes)
            asked = [
                self._rectangle(part.view(*absent.shape, -1), ~absent[:, None, None, :]).flatten(0, 1)
                for part, absent in zip(rectangles, attended.absent, strict=True)
            ]
            y = take(torch.cat(asked), attended.place)
        else:
            q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).unbind(1)
            y = ragged_attention(q, k, v, attended).flatten(1)
        return self.out(y)  # type: ignore[no-any-return]

    def _rectangle(self, qkv: Tensor, attended: Tensor) -> Tensor:
        """(B, S, 3 D), (B, 1, 1, S) -> (B, S, D)."""
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, H, S, K)
        return attention(q, k, v, attended).transpose(1, 2).flatten(2)


class ItemBlock(nn.Module):
    """A transformer block: attention and MLP, each on a residual branch, with norms where `norm_position` says.

    x + f(norm(x))     pre, as in ViT
    norm(x + f(x))     post, as in BERT
    """

    def __init__(self, config: ItemConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = ItemAttention(config)
        self.mlp_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = nn.Sequential(
            nn.Linear(config.hidden_size, config.intermediate_size),
            ACT2FN[config.hidden_act],
            nn.Linear(config.intermediate_size, config.hidden_size),
        )
        self.dropout = nn.Dropout(config.dropout)
        self.post_norm = config.norm_position == "post"

    def forward(self, x: Tensor, attended: Attended) -> Tensor:
        """As `ItemAttention.forward`."""
        if self.post_norm:
            x = self.attention_norm(x + self.dropout(self.attention(x, attended)))
            return self.mlp_norm(x + self.dropout(self.mlp(x)))  # type: ignore[no-any-return]
        x = x + self.dropout(self.attention(self.attention_norm(x), attended))
        return x + self.dropout(self.mlp(self.mlp_norm(x)))  # type: ignore[no-any-return]


class ItemPreTrainedModel(PreTrainedModel):
    """What `ItemModel` and `ItemForPreTraining` share: configuration, prefix, initial weights."""

    config_class = ItemConfig
    base_model_prefix = "item"
    main_input_name = "input_ids"
    _supports_sdpa = True
    _no_split_modules = ["ItemBlock"]  # noqa: RUF012 - the base class wants a list

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # All initialisation of the project is here: normal weights, zero biases, unit norms.
        # torch.nn.init is used because transformers guards it against weights that were loaded.
        std = self.config.initializer_range
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm | nn.GroupNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, ItemEmbeddings):
            nn.init.trunc_normal_(module.patch_mask, std=std, a=-2 * std, b=2 * std)


class ItemModel(ItemPreTrainedModel):
    """The ITEm encoder (arXiv 2311.02084): `[CLS] title [SEP] patches` to vectors; [CLS] is the product's embedding.

    Examples:
        >>> model = ItemModel(ItemConfig(image_size=(32, 32), hidden_size=32, num_hidden_layers=1,
        ...                              num_attention_heads=2, intermediate_size=64, vocab_size=64))
        >>> model(torch.tensor([[2, 9, 3]]), torch.zeros(1, 3, 32, 32)).cls.shape
        torch.Size([1, 32])
    """

    # A checkpoint of `ItemForPreTraining` is a good source for the encoder alone.
    _keys_to_ignore_on_load_unexpected = [r"^heads\."]  # noqa: RUF012 - the base class wants a list

    def __init__(self, config: ItemConfig) -> None:
        super().__init__(config)
        self.embeddings = ItemEmbeddings(config)
        self.activation_checkpointing = False  # of a training run, not of the model
        self.blocks = nn.ModuleList(ItemBlock(config) for _ in range(config.num_hidden_layers))
        post = config.norm_position == "post"  # the last block has normed what it gives
        self.norm = nn.Identity() if post else nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = None,
        token_padding: Tensor | None = None,
        photo_missing: Tensor | None = None,
        masked_patches: Tensor | None = None,
        *,
        left_out: Tensor | None = None,
        **_: Any,
    ) -> ItemOutput:
        """Encode titles and photos together.

        Args:
            input_ids: (B, T) token ids: `[CLS]`, the title, `[SEP]`, padding. Without a title: `[CLS] [SEP]`.
            pixel_values: (B, 3, height, width) in [-1, 1]; any values where the photo is missing; None
                where no row has one, which gives the same outputs in less time.
            token_padding: (B, T) True where a position is padding.
            photo_missing: (B,) True where a row has no photo: its patches are not attended to.
            masked_patches: (B, P) True where a patch's content is replaced by the mask vector.
            left_out: (B, P) True where a patch is not encoded at all. The others have the outputs that they would have
                if nothing attended to it.
        """
        kept = None
        if left_out is not None and pixel_values is not None:
            kept = kept_patches(left_out if photo_missing is None else left_out | photo_missing[:, None])
        x = self.embeddings(input_ids, pixel_values, masked_patches, kept.index if kept else None, photo_missing)
        t = input_ids.shape[1]
        absent = torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device)  # (B, S)
        if token_padding is not None:
            absent[:, :t] = token_padding
        if kept is not None:
            absent[:, t:] = kept.padding
        elif photo_missing is not None and pixel_values is not None:
            absent[:, t:] = photo_missing[:, None]
        return ItemOutput(self.encode(x, absent), t, absent, kept.index if kept else None)

    def encode(self, x: Tensor, absent: Tensor) -> Tensor:
        """All blocks on embeddings: (B, S, D), (B, S) -> (B, S, D), the outputs of absent positions without meaning.

        Titles and photos have unequal lengths, and were all padded to the longest, one full photo would cost what the
        others save: so what is present is moved together, and put back at the end.
        """
        head_size = self.config.hidden_size // self.config.num_attention_heads
        layout = ragged(absent) if attends_ragged(x, head_size) else grouped(absent)
        if layout is None:
            return self._through_blocks(x, ~absent[:, None, None, :])
        b, s, d = x.shape
        hidden = self._through_blocks(take(x.reshape(b * s, d), layout.taken), layout)
        return put(hidden, layout.taken, b * s).view(b, s, d)

    def _through_blocks(self, x: Tensor, attended: Attended) -> Tensor:
        """(..., D) -> (..., D)."""
        for block in self.blocks:
            if self.activation_checkpointing and self.training:  # its inputs are kept, and it runs again backwards
                x = checkpoint(block, x, attended, use_reentrant=False)
            else:
                x = block(x, attended)
        x = self.norm(x)
        return x.view_as(x)  # no block's own output, also without a norm: gradients are asked of it, past the blocks

    def get_input_embeddings(self) -> nn.Module:
        """The word embeddings."""
        return self.embeddings.word

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the word embeddings."""
        assert isinstance(value, nn.Embedding)
        self.embeddings.word = value


AutoConfig.register("item", ItemConfig)
AutoModel.register(ItemConfig, ItemModel)
