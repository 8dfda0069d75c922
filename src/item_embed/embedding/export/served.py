"""What `Embedder` does with a model, as one ONNX graph: encoder passes, whitening, late fusion."""

from collections.abc import Mapping

import numpy as np
from onnx import ModelProto, TensorProto

from item_embed.embedding.export.encoder import EncoderGraph, Part
from item_embed.embedding.export.graph import Graph
from item_embed.embedding.exported import WORDS
from item_embed.embedding.seen import Modalities
from item_embed.model.encoder import ItemModel
from item_embed.model.whitening import SIGHTS, Fusion, Whitening

VECTOR = "vector"
WHITENING = "whitening"  # what the names of its weights begin with
_BOTH, _IMAGE, _TITLE = range(len(SIGHTS))


def served_model(
    model: ItemModel, whitening: Whitening | None, modalities: Modalities, facts: Mapping[str, str]
) -> ModelProto:
    """The graph that makes the vectors which `Embedder` makes.

    Args:
        model: the encoder.
        whitening: of its vectors; it becomes part of the graph, late fusion too, but for the vectors of words, which
            it reads.
        modalities: what the graph reads: photos and titles, or one of them alone.
        facts: kept in the file.

    Returns:
        A model with the inputs `input_ids`, `pixel_values`, `patch_index` and `words`, those of them that it needs,
        and the output `vector`; `docs/export.md` says what they hold.

    Raises:
        ModelError: when the encoder has an activation that is not known here.

    Examples:
        >>> served_model(backend.model, backend.whitening, "both", {}).opset_import[0].version  # doctest: +SKIP
        20
    """
    graph = Graph()
    encoder = EncoderGraph(graph, model)
    title = encoder.title() if modalities != "image" else None
    photo = encoder.photo() if modalities != "title" else None
    if whitening is None:
        vector, dimension = encoder.encode(*_sequence(encoder, title, photo)), model.config.hidden_size
    else:
        vector, dimension = _Whitened(graph, encoder, whitening).vector(title, photo), whitening.dimension
    return graph.model(VECTOR, ["products", dimension], vector, facts)


def _sequence(encoder: EncoderGraph, title: Part | None, photo: Part | None) -> list[Part]:
    """What one pass reads: without a title, [CLS] [SEP] stand in for it."""
    if photo is None:
        assert title is not None
        return [title]
    return [title or encoder.no_title(photo), photo]


class _Whitened:
    """`model/whitening.py` in ONNX operators."""

    def __init__(self, graph: Graph, encoder: EncoderGraph, whitening: Whitening) -> None:
        self._graph, self._encoder = graph, encoder
        self._mean, self._matrix = whitening.mean.cpu().numpy(), whitening.matrix.cpu().numpy()
        self._fusion = whitening.fusion

    def vector(self, title: Part | None, photo: Part | None) -> str:
        """The vectors of products, (B, dimension)."""
        add = self._graph.add
        read = self._encoder.encode(*_sequence(self._encoder, title, photo))
        if title is None or photo is None:
            sight = _IMAGE if title is None else _TITLE
            whole = self._whitened(read, sight)
            return whole if self._fusion is None else self._fused(self._fusion, {_BOTH: whole, sight: whole})
        has_photo, has_title = self._there(photo, 0), self._there(title, 2)  # [CLS] and [SEP] are no title
        alone = {sight: self._whitened(read, sight) for sight in (_BOTH, _IMAGE, _TITLE)}
        whole = add("Where", has_photo, add("Where", has_title, alone[_BOTH], alone[_IMAGE]), alone[_TITLE])
        if self._fusion is None:
            return whole
        nothing = self._graph.scalar(0)
        by_photo = self._whitened(self._encoder.encode(*_sequence(self._encoder, None, photo)), _IMAGE)
        by_title = self._whitened(self._encoder.encode(title), _TITLE)
        parts = {
            _BOTH: whole,
            _IMAGE: add("Where", has_photo, by_photo, nothing),
            _TITLE: add("Where", has_title, by_title, nothing),
        }
        return self._fused(self._fusion, parts)

    def _there(self, part: Part, beyond: int) -> str:
        """(B, 1) True for products that have more positions of a part than so many."""
        add = self._graph.add
        present = add("Cast", add("Not", part.absent), to=TensorProto.INT64)
        count = add("ReduceSum", present, self._graph.ints(1), keepdims=1)
        return add("Greater", count, self._graph.ints(beyond))

    def _whitened(self, vectors: str, sight: int) -> str:
        """(B, D) to (B, K), of length 1."""
        add, name = self._graph.add, f"{WHITENING}.{SIGHTS[sight]}"
        centred = add("Sub", vectors, self._graph.weight(f"{name}.mean", self._mean[sight]))
        return self._encoder.unit(add("MatMul", centred, self._graph.weight(f"{name}.matrix", self._matrix[sight])))

    def _fused(self, fusion: Fusion, parts: dict[int, str]) -> str:
        """Vectors (B, K), by sight, to (B, J + W): three in a row times the frame, then the words.

        A part that is not there is zeros, and so are the words where no title is read.
        """
        add, graph, width = self._graph.add, self._graph, fusion.words.width
        frames = np.split(fusion.frame.cpu().numpy(), len(SIGHTS))
        products = [
            add("MatMul", part, graph.weight(f"{WHITENING}.frame.{SIGHTS[sight]}", frames[sight]))
            for sight, part in parts.items()
        ]
        joined = add("Sum", *products)
        if _TITLE in parts and width:
            meaning = "the words of each title, as model/words.py has them; zeros without a title"
            joined = add("Concat", joined, graph.input(WORDS, np.float32, ["products", width], meaning), axis=1)
        else:
            joined = add("Pad", joined, graph.ints(0, 0, 0, width))
        return self._encoder.unit(joined)
