"""Weights by leaving out: what the score loses without a word, or with a patch painted white. Any model, no torch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from item_embed.embedding.backend import Backend
from item_embed.embedding.seen import seen_title
from item_embed.explain.explanation import Explanation, Seen, Side, words_with
from item_embed.explain.titles import without, word_spans

_TOGETHER = 64  # products embedded at once
_WHITE = 255


def by_occlusion(backend: Backend, a: Seen, b: Seen) -> Explanation:
    """Explain two listings by embedding each once without each word and each patch.

    Where the last of what is seen of a listing is left out, there is no vector, and all of the score is lost.
    """
    vectors = backend.encode([a.photo, b.photo], [a.title, b.title])
    sides = [_side(backend, seen, other) for seen, other in ((a, vectors[1]), (b, vectors[0]))]
    return Explanation(float(vectors[0] @ vectors[1]), "occlusion", sides[0], sides[1])


def _side(backend: Backend, seen: Seen, other: NDArray[np.float32]) -> Side:
    spans = word_spans(seen.title)
    changed = [Seen(seen.photo, seen_title(without(seen.title or "", span))) for span in spans]
    grid, shown = None, np.zeros(0, np.int64)
    if seen.photo is not None:
        pixels = backend.processor.pixels(seen.photo)
        grid = tuple(side // backend.patch_size for side in backend.image_size)
        shown = shown_patches(pixels, backend.patch_size)
        changed += [Seen(painted(pixels, [int(patch)], backend.patch_size), seen.title) for patch in shown]
    lost = _scores(backend, [seen], other)[0] - _scores(backend, changed, other)
    patches = None if grid is None else np.zeros(grid, np.float32)
    if patches is not None:
        patches.flat[shown] = lost[len(spans) :]
    return Side(seen.photo, seen.title, words_with(seen.title, spans, lost[: len(spans)].tolist()), patches)


def shown_patches(pixels: NDArray[np.uint8], patch_size: int) -> NDArray[np.int64]:
    """The patches of a photo, (3, height, width), that are not all white, by number row by row."""
    channels, height, width = pixels.shape
    cut = pixels.reshape(channels, height // patch_size, patch_size, width // patch_size, patch_size)
    return np.flatnonzero((cut != _WHITE).any(axis=(0, 2, 4)))


def painted(pixels: NDArray[np.uint8], patches: Sequence[int], patch_size: int) -> Image.Image:
    """A photo, (3, height, width), with some patches white, as the backend scales to itself."""
    painted = pixels.copy()
    columns = pixels.shape[2] // patch_size
    for patch in patches:
        top, left = patch // columns * patch_size, patch % columns * patch_size
        painted[:, top : top + patch_size, left : left + patch_size] = _WHITE
    return Image.fromarray(np.ascontiguousarray(painted.transpose(1, 2, 0)))


def _scores(backend: Backend, listings: Sequence[Seen], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Their cosines to a vector, (n,); 0 where nothing is seen."""
    scores = np.zeros(len(listings), np.float32)
    there = [number for number, seen in enumerate(listings) if seen != (None, None)]
    for start in range(0, len(there), _TOGETHER):
        rows = there[start : start + _TOGETHER]
        photos, titles = zip(*(listings[row] for row in rows), strict=True)
        scores[rows] = backend.encode(photos, titles) @ other
    return scores
