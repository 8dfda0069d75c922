"""Weights by integrated gradients, through all that makes a served vector.

A listing is three inputs: the embeddings of its title's tokens, those of its photo's patches, and what each of its
words adds to the vector of words. Of a blank listing they are those of [MASK] and of a white photo, and zeros; what is
seen of it, the positions and how many patches are encoded stay. From there a straight line leads to the listing, and
captum sums the gradient of the score along it (Sundararajan et al., arXiv 1703.01365).
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from item_embed.embedding.torch_backend import TorchBackend
from item_embed.errors import ModelError, installing
from item_embed.explain.explanation import Explanation, Seen, Side, words_with
from item_embed.explain.titles import place_of, shared_out, word_spans
from item_embed.model.patches import kept_patches
from item_embed.model.tokenizer import CLS, MASK, SEP

_POSITIONS = 4096  # that the encoder reads at once; of more steps there are several passes
_WHITE = 1.0  # a pixel as the encoder reads it


def by_gradients(backend: TorchBackend, a: Seen, b: Seen, steps: int) -> Explanation:
    """Explain two listings, each on the way from its blank to what it is, while the other stays as it is.

    Raises:
        ModelError: when captum is not installed.
    """
    served = [ServedVector(backend, seen) for seen in (a, b)]
    with torch.no_grad():
        vectors = [one(*one.parts.values())[0] for one in served]
    sides = [_side(one, other, steps) for one, other in zip(served, reversed(vectors), strict=True)]
    return Explanation(float(vectors[0] @ vectors[1]), "gradients", sides[0], sides[1])


class ServedVector:
    """The vector that a model serves of a listing, as a function of what its words and patches are embedded as.

    Args:
        backend: the model; computed in float32.
        seen: the listing.

    Attributes:
        parts: by name, those of `title` (1, T, D), `photo` (1, N, D) and `words` (1, V, W) that there are: token
            embeddings, patch embeddings, and what each different word adds to the vector of words.
        blank: the same of a blank listing.
        kept: the patches that are encoded, by number, (N,).
        words: the V words.

    Examples:
        >>> served = ServedVector(backend, Seen(None, "Red mug"))   # doctest: +SKIP
        >>> served(*served.parts.values()).shape                    # doctest: +SKIP
        torch.Size([1, 256])
    """

    def __init__(self, backend: TorchBackend, seen: Seen) -> None:
        self.backend = backend
        self.seen = seen
        self.parts: dict[str, Tensor] = {}
        self.blank: dict[str, Tensor] = {}
        self.kept = np.zeros(0, np.int64)
        self.words: list[str] = []
        inputs = {
            name: value.to(backend.device) for name, value in backend.processor([seen.title], [seen.photo]).items()
        }
        with torch.no_grad():
            if seen.title is not None:
                self._read_title(seen.title, inputs["input_ids"])
            if seen.photo is not None:
                self._read_photo(inputs["pixel_values"], inputs.get("left_out"))

    def __call__(self, *parts: Tensor) -> Tensor:
        """(S, dimension), from what `parts` names, in its order, each (S, ...)."""
        given = dict(zip(self.parts, parts, strict=True))
        title, photo, words = (given.get(name) for name in ("title", "photo", "words"))
        count, whitening = len(parts[0]), self.backend.whitening
        whole = self._encoded(title, photo)
        if whitening is None:
            return whole
        there = [torch.full((count,), part is not None, device=self.backend.device) for part in (photo, title)]
        if whitening.fusion is None:
            return whitening.joined(whole, there[0], there[1], None)
        both = title is not None and photo is not None
        alone = [self._encoded(None, photo), self._encoded(title, None)] if both else [whole, whole]
        width = whitening.fusion.words.width
        summed = whole.new_zeros(count, width) if words is None else words.sum(dim=1)
        return whitening.joined(torch.stack([whole, *alone], dim=1), there[0], there[1], summed)

    def _read_title(self, title: str, ids: Tensor) -> None:
        embeddings = self.backend.model.embeddings
        special = (ids == CLS) | (ids == SEP)
        self.parts["title"] = embeddings(ids, None)
        self.blank["title"] = embeddings(torch.where(special, ids, MASK), None)
        whitening = self.backend.whitening
        if whitening is None or whitening.fusion is None:
            return
        shares = whitening.fusion.words.shares(title)
        self.words = list(shares)
        if shares:
            self.parts["words"] = torch.from_numpy(np.stack(list(shares.values()))).to(self.backend.device)[None]
            self.blank["words"] = torch.zeros_like(self.parts["words"])

    def _read_photo(self, pixels: Tensor, left_out: Tensor | None) -> None:
        model, processor = self.backend.model, self.backend.processor
        nothing = torch.from_numpy(processor.tokenize([None]).ids).to(self.backend.device)
        index = None if left_out is None else kept_patches(left_out).index
        self.kept = np.arange(model.config.num_patches) if index is None else index[0].cpu().numpy()
        white = torch.full_like(pixels, _WHITE)
        read, blank = (model.embeddings(nothing, shown, None, index) for shown in (pixels, white))
        self._no_title = read[:, : nothing.shape[1]]
        self.parts["photo"], self.blank["photo"] = read[:, nothing.shape[1] :], blank[:, nothing.shape[1] :]

    def _encoded(self, title: Tensor | None, photo: Tensor | None) -> Tensor:
        """h_CLS of length 1, (S, D), of what is given of (S, T, D) and (S, N, D)."""
        if photo is None:
            assert title is not None
            x = title
        else:
            x = torch.cat([self._no_title.expand(len(photo), -1, -1) if title is None else title, photo], dim=1)
        absent = torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device)
        return F.normalize(self.backend.model.encode(x, absent)[:, 0], dim=-1)


def _side(served: ServedVector, other: Tensor, steps: int) -> Side:
    """What each word and patch of a listing adds to its score with a vector, (dimension,)."""
    found = _attributed(served, other, steps)
    title, photo = served.seen.title, served.seen.photo
    spans = word_spans(title)
    weights = np.zeros(len(spans), np.float64)
    for place, weight in zip(_places(served, spans), found.get("title", ()), strict=True):
        if place is not None:
            weights[place] += weight
    if "words" in found:
        weights += found["words"] @ shared_out(title, spans, served.words)
    patches = None
    if photo is not None:
        patches = np.zeros(served.backend.model.config.grid_size, np.float32)
        patches.flat[served.kept] = found["photo"]
    with torch.no_grad():
        score, baseline = (float(served(*parts.values())[0] @ other) for parts in (served.parts, served.blank))
    added = float(weights.sum()) + (0.0 if patches is None else float(patches.sum()))
    words = words_with(title, spans, weights.tolist())
    return Side(photo, title, words, patches, baseline, score - baseline - added)


def _attributed(served: ServedVector, other: Tensor, steps: int) -> dict[str, NDArray[np.float64]]:
    """What is added by each position of a title (T,), each patch (N,) and each different word (V,)."""
    try:
        from captum.attr import IntegratedGradients
    except ImportError:
        raise ModelError(
            f"captum, which sums gradients, is not installed; {installing('explain')}, or explain by occlusion."
        ) from None

    def score(*parts: Tensor) -> Tensor:
        return served(*parts) @ other

    positions = sum(part.shape[1] for name, part in served.parts.items() if name != "words")
    summed = IntegratedGradients(score).attribute(
        tuple(served.parts.values()),
        tuple(served.blank.values()),
        n_steps=steps,
        method="gausslegendre",
        internal_batch_size=max(1, _POSITIONS // positions),
    )
    return {name: part[0].sum(dim=1).double().cpu().numpy() for name, part in zip(served.parts, summed, strict=True)}


def _places(served: ServedVector, spans: list[tuple[int, int]]) -> list[int | None]:
    """Of each token of the title, the number of the word it belongs to; None for [CLS] and [SEP]."""
    if served.seen.title is None:
        return []
    encoding = served.backend.processor.tokenizer.encode(served.seen.title)
    return [
        None if special else place_of(spans, piece)
        for piece, special in zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
    ]
