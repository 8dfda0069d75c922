"""CLIP of `transformers` as ONNX graphs, a tower each, operator by operator as `item export` writes ours.

So CLIP has what ours has: products of matrices that can be quantised (`torch.onnx.export` makes a convolution of its
patches, which cannot), attention's scale in the weights, titles of any length, and of the last block only the one
output that is read. B products, T tokens, S positions, D hidden size.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from item_embed.embedding.export.graph import Graph

PHOTOS, TITLES = "vision_model", "text_model"  # what the names of their weights begin with


def photo_tower(clip: Any) -> ModelProto:
    """From `pixel_values`, (B, 3, side, side) float32 and normalised, to `vector`, (B, projection) of length 1."""
    tower = _Tower(clip, PHOTOS)
    graph, add, ints = tower.graph, tower.graph.add, tower.graph.ints
    config = clip.config.vision_config
    side, cut = config.image_size // config.patch_size, config.patch_size
    pixels = graph.input(
        "pixel_values", np.float32, ["products", 3, config.image_size, config.image_size], "normalised"
    )
    patches = add("Reshape", pixels, ints(0, 3, side, cut, side, cut))
    patches = add("Reshape", add("Transpose", patches, perm=(0, 2, 4, 1, 3, 5)), ints(0, side * side, 3 * cut * cut))
    weight = tower.state["embeddings.patch_embedding.weight"].reshape(config.hidden_size, -1)
    patches = tower.product(patches, "embeddings.patch_embedding", weight)
    products = add("Shape", patches, start=0, end=1)
    one = graph.weight("class", tower.state["embeddings.class_embedding"][None, None])
    first = add("Expand", one, add("Concat", products, ints(1, config.hidden_size), axis=0))
    places = graph.weight("places", tower.state["embeddings.position_embedding.weight"])
    x = tower.norm(add("Add", add("Concat", first, patches, axis=1), places), "pre_layrnorm")

    def read(x: str) -> str:
        return add("Slice", x, ints(0), ints(1), ints(1))

    return tower.finish(tower.blocks(x, None, None, read), "post_layernorm", clip.visual_projection)


def title_tower(clip: Any) -> ModelProto:
    """From `input_ids`, (B, T): start, tokens, end, padding; to `vector`, (B, projection) of length 1.

    Each position sees those before it alone. What is read is the output at the first end, which sees no padding.
    """
    tower = _Tower(clip, TITLES)
    graph, add, ints = tower.graph, tower.graph.add, tower.graph.ints
    config = clip.config.text_config
    ids = graph.input("input_ids", np.int64, ["products", "tokens"], "start, tokens, end, padding")
    length = add("Shape", ids, start=1, end=2)
    words = add("Gather", graph.weight("words", tower.state["embeddings.token_embedding.weight"]), ids)
    places = graph.weight("places", tower.state["embeddings.position_embedding.weight"])
    x = add("Add", words, add("Slice", places, ints(0), length, ints(0)))
    later = np.triu(np.full((config.max_position_embeddings,) * 2, -np.inf, np.float32), 1)
    causal = add("Slice", graph.weight("causal", later), ints(0, 0), add("Concat", length, length, axis=0), ints(0, 1))
    ends = add("Cast", add("Equal", ids, ints(config.eos_token_id)), to=6)  # int32, which ArgMax takes
    end = add("ArgMax", ends, axis=1, keepdims=1)  # (B, 1), the first

    def read(x: str) -> str:
        return add("Unsqueeze", add("GatherND", x, end, batch_dims=1), ints(1))

    seen_by_end = add("Unsqueeze", add("Gather", causal, end), ints(1))  # (B, 1, 1, T)
    return tower.finish(tower.blocks(x, causal, seen_by_end, read), "final_layer_norm", clip.text_projection)


class _Tower:
    """What both towers have: blocks with norms before attention and MLP."""

    def __init__(self, clip: Any, name: str) -> None:
        self.graph = Graph()
        self.config: Any = clip.config.vision_config if name == PHOTOS else clip.config.text_config
        self.state = _numbers(getattr(clip, name).state_dict())

    def blocks(self, x: str, nowhere: str | None, nowhere_last: str | None, read: Callable[[str], str]) -> str:
        """(B, S, D) to (B, 1, D): of the last block the one position that `read` takes.

        Args:
            x: (B, S, D).
            nowhere: added to scores, -inf where nothing is seen; None: all is seen.
            nowhere_last: the same for the position that is read.
            read: gives (B, 1, D) of (B, S, D).
        """
        add = self.graph.add
        for number in range(self.config.num_hidden_layers):
            last, name = number == self.config.num_hidden_layers - 1, f"encoder.layers.{number}"
            normed = self.norm(x, f"{name}.layer_norm1")
            asking, kept = (read(normed), read(x)) if last else (normed, x)
            mixed = self._attention(asking, normed, nowhere_last if last else nowhere, f"{name}.self_attn")
            x = add("Add", kept, mixed)
            inner = self.linear(self.norm(x, f"{name}.layer_norm2"), f"{name}.mlp.fc1")
            steep = add("Mul", inner, self.graph.scalar(1.702))
            inner = add("Mul", inner, add("Sigmoid", steep))  # quick_gelu; ONNX Runtime makes one operator of it
            x = add("Add", x, self.linear(inner, f"{name}.mlp.fc2"))
        return x

    def _attention(self, asking: str, asked: str, nowhere: str | None, name: str) -> str:
        add, ints, heads = self.graph.add, self.graph.ints, self.config.num_attention_heads
        size = self.config.hidden_size // heads
        q, k, v = (
            add(
                "Transpose",
                add("Reshape", self.linear(x, f"{name}.{letter}_proj", scale), ints(0, 0, heads, size)),
                perm=perm,
            )
            for x, letter, scale, perm in (
                (asking, "q", size**-0.5, (0, 2, 1, 3)),
                (asked, "k", 1.0, (0, 2, 3, 1)),
                (asked, "v", 1.0, (0, 2, 1, 3)),
            )
        )
        scores = add("MatMul", q, k)
        weights = add("Softmax", scores if nowhere is None else add("Add", scores, nowhere), axis=-1)
        mixed = add("Transpose", add("MatMul", weights, v), perm=(0, 2, 1, 3))
        return self.linear(add("Reshape", mixed, ints(0, 0, self.config.hidden_size)), f"{name}.out_proj")

    def norm(self, x: str, name: str) -> str:
        """Layer normalisation."""
        weights = (self.graph.weight(f"{name}.{part}", self.state[f"{name}.{part}"]) for part in ("weight", "bias"))
        return self.graph.add("LayerNormalization", x, *weights, epsilon=self.config.layer_norm_eps)

    def linear(self, x: str, name: str, scale: float = 1.0) -> str:
        """A linear map, its result times a scale."""
        product = self.product(x, name, self.state[f"{name}.weight"] * scale)
        return self.graph.add("Add", product, self.graph.weight(f"{name}.bias", self.state[f"{name}.bias"] * scale))

    def product(self, x: str, name: str, weight: NDArray[np.float32]) -> str:
        """`x @ weight.T`."""
        return self.graph.add("MatMul", x, self.graph.weight(f"{name}.weight", weight.T))

    def finish(self, x: str, norm: str, projection: Any) -> ModelProto:
        """The graph: (B, 1, D) normed, projected and made as long as 1."""
        add, ints = self.graph.add, self.graph.ints
        weight = projection.weight.detach().numpy()
        x = self.product(add("Squeeze", self.norm(x, norm), ints(1)), "projection", weight)
        unit = add("Div", x, add("ReduceL2", x, ints(-1), keepdims=1))
        return self.graph.model("vector", ["products", len(weight)], unit, {})


def _numbers(state: Mapping[str, Any]) -> dict[str, NDArray[np.float32]]:
    return {name: value.detach().float().numpy() for name, value in state.items() if value.is_floating_point()}
