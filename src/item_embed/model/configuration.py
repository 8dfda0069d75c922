"""`ItemConfig`: the architecture, as transformers stores it beside the weights."""

from collections.abc import Sequence
from typing import Any

from transformers import PretrainedConfig

from item_embed.config import MASKED_TASKS, ModelSettings, ObjectiveSettings


class ItemConfig(PretrainedConfig):
    """The architecture of an `ItemModel`, and which pre-training heads its checkpoint holds.

    Args:
        image_size: height and width of a photo in pixels, multiples of `patch_size`.
        patch_size: side of a square patch in pixels.
        hidden_size: width of the encoder and length of the embedding.
        num_hidden_layers: transformer blocks.
        num_attention_heads: heads of each block; divides `hidden_size`.
        intermediate_size: width of each block's MLP.
        vocab_size: tokens of the vocabulary.
        max_title_tokens: most positions of a title, [CLS] and [SEP] included.
        dropout: of each residual branch and of the embeddings.
        norm_position: `pre` where blocks norm what attention and MLP read (ViT), `post` where they norm the sums after
            them (BERT), and the embeddings once before the first block.
        background: `drop` where empty patches are not encoded; `ItemProcessor` finds them.
        objectives: the tasks that have a head, of `item_embed.config.MASKED_TASKS`.
        patch_embedding: what makes a vector of a patch, `linear` or `convolutional`.
        patch_masking: `drop` where masked patches are not encoded in training; MIM's head is then a decoder.
        global_head: how GMLM's and GMIM's heads join [CLS] and position: `span`, `linear` or `conditioned`.
        initializer_range: standard deviation of the normal distribution that initial weights are drawn from, cut at two
            of it on either side.
        hidden_act: what blocks have between the layers of their MLP, by its name in transformers.
        layer_norm_eps: of every LayerNorm.

    Examples:
        >>> ItemConfig(image_size=(80, 64), hidden_size=128, num_attention_heads=2).grid_size
        (5, 4)
    """

    model_type = "item"

    def __init__(
        self,
        *,
        image_size: Sequence[int] = (224, 224),
        patch_size: int = 16,
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        vocab_size: int = 30_000,
        max_title_tokens: int = 32,
        dropout: float = 0.1,
        norm_position: str = "pre",
        background: str = "keep",
        objectives: Sequence[str] = MASKED_TASKS,
        patch_embedding: str = "linear",
        patch_masking: str = "keep",
        global_head: str = "span",
        initializer_range: float = 0.02,
        hidden_act: str = "gelu",
        layer_norm_eps: float = 1e-6,
        **kwargs: Any,
    ) -> None:
        self.image_size = list(image_size)
        self.patch_size = patch_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.vocab_size = vocab_size
        self.max_title_tokens = max_title_tokens
        self.dropout = dropout
        self.norm_position = norm_position
        self.background = background
        self.objectives = list(objectives)
        self.patch_embedding = patch_embedding
        self.patch_masking = patch_masking
        self.global_head = global_head
        self.initializer_range = initializer_range
        self.hidden_act = hidden_act
        self.layer_norm_eps = layer_norm_eps
        kwargs.setdefault("tie_word_embeddings", False)  # the decoders borrow the embeddings; nothing is tied on disk
        super().__init__(**kwargs)

    @classmethod
    def from_settings(cls, model: ModelSettings, objectives: ObjectiveSettings, vocab_size: int) -> "ItemConfig":
        """The configuration of a run's model, with the vocabulary that its tokenizer came to have."""
        return cls(
            **{**model.model_dump(), "vocab_size": vocab_size},
            objectives=[name for name in objectives.weights.active() if name in MASKED_TASKS],
            patch_masking=objectives.patch_masking,
            global_head=objectives.global_head,
        )

    @property
    def grid_size(self) -> tuple[int, int]:
        """Rows and columns of patches in a photo."""
        height, width = self.image_size
        return height // self.patch_size, width // self.patch_size

    @property
    def num_patches(self) -> int:
        """Patches in a photo."""
        rows, columns = self.grid_size
        return rows * columns

    @property
    def patch_dim(self) -> int:
        """Numbers in a patch: three channels of `patch_size` squared pixels."""
        return 3 * self.patch_size**2
