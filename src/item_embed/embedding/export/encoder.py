"""The encoder once more, in ONNX operators, beside `model/encoder.py` in torch; tests and each export compare the two.

Shapes: B products, T title positions, I photos, P patches of a photo, N of them kept of a product, S = T + N, D hidden
size, H heads, K = D / H.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from torch.nn import GroupNorm

from item_embed.embedding.export.graph import Graph
from item_embed.errors import ModelError
from item_embed.model.encoder import PHOTO, TITLE, ItemModel
from item_embed.model.stem import ConvolutionalStem
from item_embed.model.tokenizer import CLS, PAD, SEP

_SMALLEST_LENGTH = 1e-12  # as torch's normalize has it

#: Activations by their names in transformers, as ONNX has them.
_ACTIVATIONS: dict[str, tuple[str, dict[str, str]]] = {
    "gelu": ("Gelu", {}),
    "gelu_new": ("Gelu", {"approximate": "tanh"}),
    "gelu_pytorch_tanh": ("Gelu", {"approximate": "tanh"}),
    "relu": ("Relu", {}),
}


class Part(NamedTuple):
    """A part of a sequence: its embeddings (B, S, D), before any norm, and where it is `absent`, (B, S)."""

    values: str
    absent: str


class EncoderGraph:
    """Adds to a graph what `ItemModel` does with titles and photos.

    Args:
        graph: to be added to.
        model: the encoder.

    Raises:
        ModelError: when it has an activation that is not known here.
    """

    def __init__(self, graph: Graph, model: ItemModel) -> None:
        self._graph, self._config = graph, model.config
        if self._config.hidden_act not in _ACTIVATIONS:
            known = ", ".join(_ACTIVATIONS)
            raise ModelError(
                f"the model has the activation {self._config.hidden_act!r}, which `item export` cannot write; it can "
                f"write {known}."
            )
        self._state = {name: value.detach().cpu().float().numpy() for name, value in model.state_dict().items()}
        self._post = self._config.norm_position == "post"
        self._stem = model.embeddings.patch if isinstance(model.embeddings.patch, ConvolutionalStem) else None

    def title(self) -> Part:
        """Titles, by the input `input_ids` (B, T)."""
        add, ints = self._graph.add, self._graph.ints
        ids = self._graph.input("input_ids", np.int64, ["products", "tokens"], "[CLS], the title's tokens, [SEP], 0 …")
        places = self._graph.weight("title_places", self._title_places())
        length = add("Shape", ids, start=1, end=2)
        places = add("Slice", places, ints(0), length, ints(0))
        words = add("Gather", self._weight("embeddings.word.weight"), ids)
        return Part(add("Add", words, places), add("Equal", ids, ints(PAD)))

    def no_title(self, like: Part) -> Part:
        """[CLS] [SEP], for as many products as another part has."""
        add, ints = self._graph.add, self._graph.ints
        values = self._state["embeddings.word.weight"][[CLS, SEP]] + self._title_places()[:2]
        products = add("Shape", like.values, start=0, end=1)
        shape = add("Concat", products, ints(*values.shape), axis=0)
        present = self._graph.weight("no_title_absent", np.zeros((1, 2), np.bool_))
        pair = add("Concat", products, ints(2), axis=0)
        return Part(add("Expand", self._graph.weight("no_title", values[None]), shape), add("Expand", present, pair))

    def photo(self) -> Part:
        """Photos, by the inputs `pixel_values` (I, 3, height, width) and `patch_index` (B, N)."""
        add, graph, config = self._graph.add, self._graph, self._config
        pixels = graph.input(
            "pixel_values", np.uint8, ["photos", 3, *config.image_size], "bytes; the whole photo with white around it"
        )
        meaning = "patches of each product, numbered row by row through all photos; -1 where it has fewer"
        index = graph.input("patch_index", np.int64, ["products", "patches"], meaning)
        chosen = add("Max", index, graph.ints(0))
        patches = self._stem_patches(pixels, chosen) if self._stem else self._linear_patches(pixels, chosen)
        table = self._state["embeddings.patch_position.weight"] + self._state["embeddings.modality.weight"][PHOTO]
        place = add("Mod", chosen, graph.ints(config.num_patches))
        places = add("Gather", graph.weight("photo_places", table), place)
        return Part(add("Add", patches, places), add("Less", index, graph.ints(0)))

    def encode(self, *parts: Part) -> str:
        """h_CLS of length 1, (B, D), of parts one after the other, the title's or its stand-in's first."""
        add = self._graph.add
        x, absent = parts[0]
        if len(parts) > 1:
            x = add("Concat", *(part.values for part in parts), axis=1)
            absent = add("Concat", *(part.absent for part in parts), axis=1)
        # What is added to attention's scores: nothing is seen where -inf is.
        nowhere = add("Where", absent, self._graph.scalar(-np.inf), self._graph.scalar(0))
        nowhere = add("Unsqueeze", nowhere, self._graph.ints(1, 2))  # (B, 1, 1, S)
        if self._post:
            x = self._norm(x, "embeddings.norm")
        for number in range(self._config.num_hidden_layers):
            last = number == self._config.num_hidden_layers - 1
            x = self._block(x, nowhere, f"blocks.{number}", first_only=last)  # of the last, only h_CLS is read
        if not self._post:
            x = self._norm(x, "norm")
        return self.unit(add("Squeeze", x, self._graph.ints(1)))

    def unit(self, vectors: str) -> str:
        """Vectors made as long as 1; zeros stay zeros."""
        length = self._graph.add("ReduceL2", vectors, self._graph.ints(-1), keepdims=1)
        return self._graph.add("Div", vectors, self._graph.add("Max", length, self._graph.scalar(_SMALLEST_LENGTH)))

    def _block(self, x: str, nowhere: str, name: str, *, first_only: bool) -> str:
        """(B, S, D) to the same, or to (B, 1, D)."""
        add = self._graph.add
        normed = x if self._post else self._norm(x, f"{name}.attention_norm")
        asking, kept = (self._first(normed), self._first(x)) if first_only else (normed, x)
        x = add("Add", kept, self._attention(asking, normed, nowhere, f"{name}.attention"))
        if self._post:
            x = self._norm(x, f"{name}.attention_norm")
        normed = x if self._post else self._norm(x, f"{name}.mlp_norm")
        operator, attributes = _ACTIVATIONS[self._config.hidden_act]
        inner = add(operator, self._linear(normed, f"{name}.mlp.0"), **attributes)
        x = add("Add", x, self._linear(inner, f"{name}.mlp.2"))
        return self._norm(x, f"{name}.mlp_norm") if self._post else x

    def _attention(self, asking: str, asked: str, nowhere: str, name: str) -> str:
        """(B, Q, D), (B, S, D), (B, 1, 1, S) to (B, Q, D)."""
        add, config = self._graph.add, self._config
        heads = config.num_attention_heads
        size = config.hidden_size // heads
        split = self._graph.ints(0, 0, heads, size)
        weights = np.split(self._state[f"{name}.qkv.weight"], 3), np.split(self._state[f"{name}.qkv.bias"], 3)
        scaled = (size**-0.5, 1.0, 1.0)  # attention's scale lies in the weights of q
        q, k, v = (
            add(
                "Transpose",
                add("Reshape", self._product(source, f"{name}.{letter}", weight * scale, bias * scale), split),
                perm=perm,
            )
            for source, letter, weight, bias, scale, perm in zip(
                (asking, asked, asked), "qkv", *weights, scaled, ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3)), strict=True
            )
        )
        scores = add("Softmax", add("Add", add("MatMul", q, k), nowhere), axis=-1)  # (B, H, Q, S)
        mixed = add("Transpose", add("MatMul", scores, v), perm=(0, 2, 1, 3))
        return self._linear(add("Reshape", mixed, self._graph.ints(0, 0, config.hidden_size)), f"{name}.out")

    def _linear_patches(self, pixels: str, chosen: str) -> str:
        """(B, N, D): bytes are cut into patches, and only those chosen become floats."""
        add, config = self._graph.add, self._config
        (rows, columns), side = config.grid_size, config.patch_size
        cut = add("Reshape", pixels, self._graph.ints(0, 3, rows, side, columns, side))
        cut = add("Transpose", cut, perm=(0, 2, 4, 1, 3, 5))
        cut = add("Reshape", cut, self._graph.ints(-1, config.patch_dim))  # (I P, 3 side²)
        return self._linear(self._scaled(add("Gather", cut, chosen)), "embeddings.patch")

    def _stem_patches(self, pixels: str, chosen: str) -> str:
        """(B, N, D): convolutions of whole photos, then a linear map of the patches chosen."""
        add, ints = self._graph.add, self._graph.ints
        assert self._stem is not None
        x = self._scaled(pixels)
        for number, norm in enumerate(self._stem.norms):
            name = f"embeddings.patch.convolutions.{number}"
            weights = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
            x = add("Conv", x, *weights, kernel_shape=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1))
            assert isinstance(norm, GroupNorm)
            x = self._group_norm(x, f"embeddings.patch.norms.{number}", norm)
            x = add("Relu", x)
        width = self._config.hidden_size
        x = add("Transpose", add("Reshape", x, ints(0, width, -1)), perm=(0, 2, 1))
        x = add("Gather", add("Reshape", x, ints(-1, width)), chosen)
        return self._linear(x, "embeddings.patch.out")

    def _group_norm(self, x: str, name: str, norm: GroupNorm) -> str:
        """Group normalisation, as instance normalisation of the groups."""
        add, scale, bias = self._graph.add, self._state[f"{name}.weight"], self._state[f"{name}.bias"]
        groups, shape = norm.num_groups, add("Shape", x)
        x = add("Reshape", x, self._graph.ints(0, groups, -1))
        ones, zeros = np.ones(groups, np.float32), np.zeros(groups, np.float32)
        plain = self._graph.weight(f"ones {groups}", ones), self._graph.weight(f"zeros {groups}", zeros)
        x = add("Reshape", add("InstanceNormalization", x, *plain, epsilon=norm.eps), shape)
        x = add("Mul", x, self._graph.weight(f"{name}.weight", scale[:, None, None]))
        return add("Add", x, self._graph.weight(f"{name}.bias", bias[:, None, None]))

    def _scaled(self, pixels: str) -> str:
        """Bytes to floats in [-1, 1], as `scale_pixels` does it."""
        add, scalar = self._graph.add, self._graph.scalar
        return add("Sub", add("Div", add("Cast", pixels, to=TensorProto.FLOAT), scalar(127.5)), scalar(1))

    def _norm(self, x: str, name: str) -> str:
        weights = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        return self._graph.add("LayerNormalization", x, *weights, epsilon=self._config.layer_norm_eps)

    def _linear(self, x: str, name: str) -> str:
        return self._product(x, name, self._state[f"{name}.weight"], self._state[f"{name}.bias"])

    def _product(self, x: str, name: str, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
        """`x @ weight.T + bias`; the weight is kept turned, as ONNX multiplies it."""
        product = self._graph.add("MatMul", x, self._graph.weight(f"{name}.weight", weight.T))
        return self._graph.add("Add", product, self._graph.weight(f"{name}.bias", bias))

    def _first(self, x: str) -> str:
        """(B, S, D) to (B, 1, D)."""
        return self._graph.add("Slice", x, self._graph.ints(0), self._graph.ints(1), self._graph.ints(1))

    def _title_places(self) -> NDArray[np.float32]:
        places, modality = self._state["embeddings.title_position.weight"], self._state["embeddings.modality.weight"]
        return np.asarray(places + modality[TITLE], np.float32)

    def _weight(self, name: str) -> str:
        return self._graph.weight(name, self._state[name])
