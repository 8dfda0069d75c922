"""What a model constructs of single rows: masked patches and words, by [CLS] alone and by their own outputs.

Rows are masked as `reconstruction` masks them, so what is shown is part of what its figures are of. Letters in shapes:
B rows, T title positions, P patches, C numbers in a patch, M masked positions.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from item_embed.catalog.store import Catalog
from item_embed.evaluation.reconstruction import Masking
from item_embed.evaluation.report import Pictures, Word
from item_embed.hashing import hash64
from item_embed.model.patches import patchify
from item_embed.model.processor import scale_pixels
from item_embed.model.tokenizer import CLS, PAD, SEP
from item_embed.objectives.batch import PretrainingBatch
from item_embed.search.thumbnails import encoded

_SHOWN = 601  # a stream that nothing else uses
_GREY = 0.0  # of a masked patch, on the scale of pixels from -1 to 1
_PIECE = "##"  # how WordPiece begins a piece that goes on with a word
#: What is caught of each head: of those of words what comes before the scores of the whole vocabulary.
_CAUGHT = {"mlm": "mlm.transform", "gmlm": "gmlm.transform", "mim": "mim"}
_WORDS = {"gmlm": "[CLS] alone (GMLM)", "mlm": "own output (MLM)"}
_PHOTOS = {"gmim": "[CLS] alone (GMIM)", "mim": "own outputs (MIM)"}


def shown_rows(catalog: Catalog, split: str = "test", count: int = 8, seed: int = 0) -> NDArray[np.int64]:
    """Rows of a split to look at, (n,), drawn by a hash: those with a photo and a title first."""
    rows = catalog.rows(split)
    photo, title = catalog.has_photo[rows], catalog.titles.present[rows]
    order = np.lexsort((hash64(seed, _SHOWN, rows), ~(photo & title)))
    return rows[order[(photo | title)[order]][:count]]


def constructed(masking: Masking, rows: NDArray[np.int64]) -> list[Pictures]:
    """What the heads of a model say of rows, (n,): of a head that it does not have, nothing.

    By [CLS] alone the whole photo is constructed, by MIM its masked patches. Where the target is a normalised patch,
    constructed ones get mean and deviation of the true ones.

    Examples:
        >>> masking = Masking.of(Path("run/model"), catalog)                         # doctest: +SKIP
        >>> [name for name, _ in constructed(masking, shown_rows(catalog))[0].photos]  # doctest: +SKIP
        ['photo', 'what is shown', '[CLS] alone (GMIM)', 'own outputs (MIM)']
    """
    batch = masking.batch(rows)
    with torch.inference_mode():
        caught = _predicted(masking, batch)
        words = {name: _words(masking, name, batch, caught[name]) for name in _WORDS if name in caught}
        photos = _photos(masking, batch, caught)
    return [
        Pictures(
            photos=[] if batch.photo_missing[number] else [(name, encoded(p[number])) for name, p in photos.items()],
            lines=_lines(masking, batch, words, number) if not batch.title_missing[number] else [],
        )
        for number in range(len(rows))
    ]


def _predicted(masking: Masking, batch: PretrainingBatch) -> dict[str, Tensor]:
    """What the heads made of the masked positions, in their order, (M, ...), and GMIM of all patches, (B, P, C)."""
    model = masking.pretraining.model
    with ExitStack() as stack:
        made = {
            name: stack.enter_context(_caught(model.heads.get_submodule(path)))
            for name, path in _CAUGHT.items()
            if name in model.heads
        }
        cls = masking.pretraining(batch).hidden[:, 0]  # (B, D)
    found = {name: outputs[0] for name, outputs in made.items()}
    if "gmim" in model.heads:
        height, width = masking.processor.image_size
        size = masking.config.model.patch_size
        positions = model.item.embeddings.patch_positions((height // size, width // size))
        pairs = cls.repeat_interleave(len(positions), dim=0), positions.repeat(len(cls), 1)
        found["gmim"] = model.heads["gmim"](*pairs).unflatten(0, (len(cls), len(positions)))
    return found


@contextmanager
def _caught(module: nn.Module) -> Iterator[list[Tensor]]:
    """What a module returns, call by call."""
    outputs: list[Tensor] = []
    hook = module.register_forward_hook(lambda _, __, output: outputs.append(output))
    try:
        yield outputs
    finally:
        hook.remove()


def _words(masking: Masking, name: str, batch: PretrainingBatch, features: Tensor) -> Tensor:
    """(B, T) the true tokens, and where one is masked the best guess of a head."""
    model = masking.pretraining.model
    scores = model.heads[name].get_submodule("decoder")(features, model.item.embeddings.word.weight)
    guessed = batch.tokens.clone()
    guessed[batch.predicted_tokens] = scores.argmax(dim=-1)
    return guessed


def _photos(masking: Masking, batch: PretrainingBatch, caught: dict[str, Tensor]) -> dict[str, NDArray[np.uint8]]:
    """By name, (B, 3, height, width): the photos, what is shown of them, and what the heads construct."""
    true = patchify(scale_pixels(batch.pixels), masking.config.model.patch_size)  # (B, P, C)
    masked = batch.predicted_patches
    patches = {"photo": true, "what is shown": true.masked_fill(masked[..., None], _GREY)}
    if "gmim" in caught:
        asked = ~batch.background[..., None]
        patches[_PHOTOS["gmim"]] = torch.where(asked, _with_contrast(masking, caught["gmim"], true), true)
    if "mim" in caught:
        filled = true.clone()
        filled[masked] = _with_contrast(masking, caught["mim"], true[masked])
        patches[_PHOTOS["mim"]] = filled
    return {name: _joined(masking, one) for name, one in patches.items()}


def _with_contrast(masking: Masking, patches: Tensor, true: Tensor) -> Tensor:
    """Constructed patches, (..., C), as pixels."""
    if masking.config.objectives.patch_target == "raw":
        return patches.float()
    deviation, mean = torch.std_mean(true, dim=-1, keepdim=True)
    return patches.float() * deviation + mean


def _joined(masking: Masking, patches: Tensor) -> NDArray[np.uint8]:
    """(B, P, C) patches to (B, 3, height, width) bytes: `patchify` undone."""
    size = masking.config.model.patch_size
    height, width = masking.processor.image_size
    x = patches.reshape(-1, height // size, width // size, 3, size, size).permute(0, 3, 1, 4, 2, 5)
    pixels = x.reshape(-1, 3, height, width).add(1).mul(127.5).round().clamp(0, 255)
    return pixels.to(torch.uint8).numpy()


def _lines(
    masking: Masking, batch: PretrainingBatch, words: dict[str, Tensor], number: int
) -> list[tuple[str, list[Word]]]:
    tokens, masked = batch.tokens[number].tolist(), batch.predicted_tokens[number].tolist()
    places = [place for place, token in enumerate(tokens) if token not in {PAD, CLS, SEP}]

    def word(token: int, mark: str = "") -> Word:
        text = masking.processor.tokenizer.id_to_token(token) or ""  # never: its own tokens
        return Word(text.removeprefix(_PIECE), mark, glued=text.startswith(_PIECE))

    lines = [("title", [word(tokens[place], "hidden" if masked[place] else "") for place in places])]
    for name, guessed in words.items():
        said = guessed[number].tolist()
        marks = ["" if not masked[p] else "right" if said[p] == tokens[p] else "wrong" for p in places]
        lines.append((_WORDS[name], [word(said[p], mark) for p, mark in zip(places, marks, strict=True)]))
    return lines
