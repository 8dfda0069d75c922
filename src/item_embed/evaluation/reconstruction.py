"""What [CLS] holds: masked words and patches of held-out rows, predicted by the model and by position alone.

The position-only predictor answers a masked word with the commonest token of that position in training titles, and a
masked patch with the mean of that position in training photos. A model that is no better has learnt nothing about
the product.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from item_embed.catalog.store import Catalog
from item_embed.config import RunConfig
from item_embed.errors import CatalogError, ModelError
from item_embed.evaluation.intervals import Figure, ratios
from item_embed.hashing import hash64
from item_embed.model.heads import ItemForPreTraining
from item_embed.model.patches import patchify
from item_embed.model.processor import ItemProcessor, scale_pixels
from item_embed.model.storage import load_model
from item_embed.objectives.batch import PretrainingBatch
from item_embed.objectives.mim import patch_targets
from item_embed.objectives.pretraining import Pretraining
from item_embed.progress import OnProgress, silent
from item_embed.training.batches import PretrainingData

_EPOCH = -2  # masks that neither training nor its validation uses
_BLOCK = 16  # rows measured together, and resampled together for the intervals
_FITTING_ROWS = 20_000  # enough for the statistics of a few hundred positions


@dataclass(frozen=True)
class Reconstruction:
    """How well masked words and patches are predicted.

    Attributes:
        split: the rows measured on.
        rows: how many.
        predictions: masked positions behind each figure.
        model: top-1 (`mlm_top1`, `gmlm_top1`) and error (`mim_error`, `gmim_error`), of the tasks that have a head.
        position_only: `top1` and `error` of the predictor that sees the position only.
    """

    split: str
    rows: int
    predictions: dict[str, int]
    model: dict[str, Figure]
    position_only: dict[str, Figure]

    def as_json(self) -> dict[str, Any]:
        """The figures as JSON."""
        return {
            "task": "reconstruction",
            "protocol": "mask rates of training, all that is asked for hidden; intervals resample blocks of 16 rows",
            "split": self.split,
            "rows": self.rows,
            "predictions": self.predictions,
            "model": {name: figure.as_json() for name, figure in self.model.items()},
            "position_only": {name: figure.as_json() for name, figure in self.position_only.items()},
        }


def evaluate_reconstruction(
    model: Path, catalog: Catalog, split: str = "test", seed: int = 0, on_progress: OnProgress = silent
) -> Reconstruction:
    """Measure MLM, GMLM, MIM and GMIM on held-out rows against position alone.

    Args:
        model: a model folder, whose configuration says how to mask.
        catalog: the catalogue.
        split: the rows to measure on; of `all`, those outside the training split, on which the position-only predictor
            is fitted.
        seed: of masks and intervals.
        on_progress: told of rows.

    Raises:
        ModelError: when the folder holds no pre-trained model, or none with a masked task.
        CatalogError: when the split or the training split has no rows.
    """
    masking = Masking.of(model, catalog, seed)
    pretraining = masking.pretraining
    names = [name for name in ("mlm", "gmlm", "mim", "gmim") if name in pretraining.model.heads]
    if not names:
        raise ModelError(f"{model} was trained without a masked task; there is nothing to reconstruct with.")
    rows, fitting = catalog.rows(split), catalog.rows("train")
    if split == "all":  # the position alone learns from the training split, and is not judged on it
        rows = np.setdiff1d(rows, fitting)
    if not len(rows) or not len(fitting):
        raise CatalogError(
            f"{catalog.path} has no row to measure on"
            + (
                f" in its {split if len(fitting) else 'train'} split."
                if split != "all"
                else " outside its train split."
            )
        )
    fitting = fitting[np.argsort(hash64(seed, fitting), kind="stable")[:_FITTING_ROWS]]
    position = _PositionOnly.fit(masking, fitting)

    sums: list[list[float]] = []
    counts: list[list[int]] = []
    with torch.inference_mode():
        for done, batch in enumerate(masking.blocks(rows), 1):
            losses = pretraining(batch).losses
            measured = [next(iter(losses[name].metrics.values())).item() for name in names]
            right, error = position.judge(batch)
            number = batch.counts()
            sums.append([*measured, right, error])
            counts.append([*(number[name] for name in names), number["mlm"], number["mim"]])
            on_progress(min(done * _BLOCK, len(rows)), len(rows))
    totals = np.array(counts).sum(axis=0)
    measured_on = np.flatnonzero(totals)  # rows without titles ask for no words, rows without photos for no patches
    if not len(measured_on):
        raise CatalogError(f"the {split} split of {catalog.path} has no title and no photo to mask.")
    values = ratios(np.array(sums)[:, measured_on], np.array(counts, np.float64)[:, measured_on], seed=seed)
    keys = [*(f"{name}_{'top1' if name.endswith('mlm') else 'error'}" for name in names), "top1", "error"]
    figures = {keys[column]: value for column, value in zip(measured_on, values, strict=True)}
    return Reconstruction(
        split=split,
        rows=len(rows),
        predictions={"tokens": int(totals[-2]), "patches": int(totals[-1])},
        model={key: value for key, value in figures.items() if "_" in key},
        position_only={key: value for key, value in figures.items() if "_" not in key},
    )


@dataclass(frozen=True)
class Masking:
    """A pre-trained model, and a catalogue's rows masked for it as reconstruction masks them.

    Attributes:
        pretraining: the model with its heads, not in training mode.
        processor: the model's.
        config: of its run, with every pair matched (nothing is asked of mismatched ones), every word asked for hidden
            (what training shows unchanged needs no reconstruction), and no second pass for ITM, which is not measured.
        catalog: whose rows are masked.

    Examples:
        >>> masking = Masking.of(Path("run/model"), Catalog("catalog"))  # doctest: +SKIP
        >>> masking.batch(np.array([3, 4])).masked_patches.shape         # doctest: +SKIP
        torch.Size([2, 20])
    """

    pretraining: Pretraining
    processor: ItemProcessor
    config: RunConfig
    catalog: Catalog

    @classmethod
    def of(cls, model: Path, catalog: Catalog, seed: int = 0) -> "Masking":
        """Load a model of `item pretrain`; masks are a function of the seed and the row.

        Raises:
            ModelError: when the folder holds none.
        """
        config = _config(model, seed)
        pretraining = Pretraining(load_model(model, ItemForPreTraining), config.objectives).eval()
        return cls(pretraining, ItemProcessor.from_pretrained(model), config, catalog)

    def batch(self, rows: NDArray[np.int64]) -> PretrainingBatch:
        """Rows, (n,), masked."""
        data = PretrainingData(self.catalog, rows, self.processor, self.config)
        return data.batch(rows, np.full(len(rows), _EPOCH))

    def blocks(self, rows: NDArray[np.int64]) -> Iterator[PretrainingBatch]:
        """Many rows, 16 at a time."""
        data = PretrainingData(self.catalog, rows, self.processor, self.config)
        for start in range(0, len(rows), _BLOCK):
            chosen = rows[start : start + _BLOCK]
            yield data.batch(chosen, np.full(len(chosen), _EPOCH))

    def patches(self, batch: PretrainingBatch) -> torch.Tensor:
        """(B, P, C) what the patches of a batch are to be constructed as."""
        patches = patchify(scale_pixels(batch.pixels), self.config.model.patch_size)
        return patch_targets(patches, self.config.objectives.patch_target)


@dataclass(frozen=True)
class _PositionOnly:
    token: NDArray[np.int64]  # (T,) the commonest of each position
    patch: torch.Tensor  # (P, C) the mean of each position
    masking: Masking

    @classmethod
    def fit(cls, masking: Masking, rows: NDArray[np.int64]) -> "_PositionOnly":
        processor = masking.processor
        occurrences = np.zeros((processor.max_title_tokens, processor.tokenizer.get_vocab_size()), np.int64)
        total, photos = torch.zeros(()), torch.zeros(())
        for batch in masking.blocks(rows):
            title = ~batch.token_padding & ~batch.title_missing[:, None]
            title[:, 0] = False  # [CLS]; a [SEP] counts but is never masked, so never asked for
            _, position = title.nonzero(as_tuple=True)
            np.add.at(occurrences, (position.numpy(), batch.tokens[title].numpy()), 1)
            shown = ~(batch.background | batch.photo_missing[:, None])[..., None]  # (B, P, 1): what may be asked for
            total = total + (masking.patches(batch) * shown).sum(dim=0)
            photos = photos + shown.sum(dim=0)
        occurrences[:, processor.tokenizer.token_to_id("[SEP]")] = 0
        return cls(occurrences.argmax(axis=1), total / photos.clamp(min=1), masking)

    def judge(self, batch: PretrainingBatch) -> tuple[float, float]:
        """How many masked words it gets right, and the sum of its errors on masked patches."""
        guess = torch.from_numpy(self.token[: batch.tokens.shape[1]])
        right = ((batch.tokens == guess) & batch.predicted_tokens).sum()
        difference = (self.masking.patches(batch) - self.patch)[batch.predicted_patches]
        distance = difference.abs() if self.masking.config.objectives.patch_loss == "l1" else difference.square()
        return float(right), float(distance.mean(dim=-1).sum())


def _config(model: Path, seed: int) -> RunConfig:
    """The run's configuration with the changes of `Masking`."""
    try:
        provenance = json.loads((model / "provenance.json").read_text(encoding="utf8"))
        config = RunConfig.model_validate(provenance["config"])
    except (OSError, ValueError, KeyError, ValidationError) as error:
        raise ModelError(f"{model} holds no model of `item pretrain` ({error}); give RUN/model.") from None
    weights = config.objectives.weights.model_copy(update={"agreement": 0.0})
    changes = {"weights": weights, "mismatch_rate": 0.0, "token_corruption": (1.0, 0.0, 0.0), "itm_input": "masked"}
    objectives = config.objectives.model_copy(update=changes)
    training = config.training.model_copy(update={"seed": seed, "pixel_cache_mb": 0})
    return config.model_copy(update={"objectives": objectives, "training": training})
