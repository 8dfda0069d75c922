"""A classifier of leaves that trains the encoder too: what a model can learn, beside what its vector holds.

Letters in shapes: n rows, L leaves.
"""

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from item_embed.catalog.photos.images import decode
from item_embed.catalog.store import Catalog
from item_embed.categories.classifiers import Classifier, Scores, quality
from item_embed.categories.leaves import LeafTask
from item_embed.config import TrainingSettings
from item_embed.embedding.seen import Modalities
from item_embed.embedding.torch_backend import TorchBackend
from item_embed.hashing import hash64
from item_embed.model.folder import PROVENANCE_FILE, fingerprint, provenance
from item_embed.model.storage import quiet_transformers
from item_embed.progress import OnProgress, silent
from item_embed.training.optimiser import learning_rate, make_optimizer

_SCORED = 256  # rows scored at once
_ORDER = 0xF17E  # the stream of the order of rows


@dataclass(frozen=True)
class FineTuning:
    """How to train.

    Attributes:
        epochs: how often each training row is seen; after each, validation says whether to keep what was learnt.
        least_steps: of an epoch: with few rows it goes over them more than once.
        batch_size: rows per step.
        learning_rate: its peak, after a tenth of the steps.
        seed: of the head, of dropout and of the order of rows.
    """

    epochs: int = 4
    least_steps: int = 50
    batch_size: int = 64
    learning_rate: float = 5e-4
    seed: int = 0


def fine_tune(
    model: str | Path,
    catalog: Catalog,
    modalities: Modalities = "both",
    settings: FineTuning | None = None,
    *,
    device: str | None = None,
    on_progress: OnProgress = silent,
) -> Classifier:
    """Train encoder and a linear layer on [CLS], starting anew from the model for each set of training rows.

    The epoch that is best on validation is kept, the last one where there is no validation row.

    Args:
        model: the model's folder, which stays as it is.
        catalog: whose titles and photos are read.
        modalities: what the model sees of them.
        settings: how to train.
        device: a torch device; by default a GPU where there is one.
        on_progress: told of steps.

    Returns:
        A classifier, for `leaf_category.evaluate_leaf_category`.

    Examples:
        >>> methods = {"fine_tuned": fine_tune("run/model", catalog)}  # doctest: +SKIP
    """

    def classify(task: LeafTask, rows: NDArray[np.int64]) -> Scores:
        return _train(
            model, catalog, task, rows, modalities=modalities, settings=settings, device=device, on_progress=on_progress
        )[1]

    return classify


def fine_tuned_model(
    model: str | Path,
    catalog: Catalog,
    task: LeafTask,
    out: Path,
    *,
    modalities: Modalities = "both",
    settings: FineTuning | None = None,
    device: str | None = None,
    on_progress: OnProgress = silent,
) -> dict[str, float]:
    """Train encoder and a linear layer as `fine_tune` does, on all training rows, and keep the encoder.

    Args:
        model: the model's folder, which stays as it is.
        catalog: whose titles and photos are read.
        task: its leaves and splits.
        out: the folder to write, a model as any other. Its vectors are [CLS] as it is: a whitening of the model is left
            out, for it belongs to vectors that are no more.
        modalities: what the model sees of titles and photos.
        settings: how to train.
        device: a torch device; by default a GPU where there is one.
        on_progress: told of steps.

    Returns:
        What was chosen on validation.
    """
    network, scores = _train(
        model,
        catalog,
        task,
        task.train,
        modalities=modalities,
        settings=settings,
        device=device,
        on_progress=on_progress,
    )
    with quiet_transformers():
        network.encoder.save_pretrained(out)
    network.processor.save_pretrained(out)
    known = _provenance(Path(model), catalog, len(task.train), scores.settings)
    (out / PROVENANCE_FILE).write_text(json.dumps(known, indent=2) + "\n", encoding="utf8")
    return scores.settings


def _provenance(model: Path, catalog: Catalog, rows: int, settings: dict[str, float]) -> dict[str, Any]:
    """How a fine-tuned model came to be; its source, less a whitening, which it has no more, is told under `from`."""
    source = {name: value for name, value in provenance(model).items() if name != "whitened"}
    config = {name: value for name, value in source.pop("config", {}).items() if name != "whitening"}
    known = {
        "catalog": str(catalog.path),
        "catalog_fingerprint": catalog.fingerprint,
        "rows": rows,
        "excluded_rows": 0,
        "fine_tuned_on": "categories",
        **settings,
        "from": {"model": str(model), "fingerprint": fingerprint(model), **source},
    }
    if config:  # of the run before: what it has practised, and what a run that goes on from this one goes by
        known["config"] = config
    if "learner" in source:  # a baseline of `item compare` stays one
        known["learner"] = source["learner"]
    return known


def _train(
    model: str | Path,
    catalog: Catalog,
    task: LeafTask,
    rows: NDArray[np.int64],
    *,
    modalities: Modalities,
    settings: FineTuning | None,
    device: str | None,
    on_progress: OnProgress,
) -> "tuple[_Network, Scores]":
    """The network with the weights of the epoch that is best on validation, and what it says."""
    chosen = settings or FineTuning()
    known, labels = np.unique(task.labels[rows], return_inverse=True)
    truth = task.labels[task.validation]
    steps = max(chosen.least_steps, -(-len(rows) // chosen.batch_size))
    total = steps * chosen.epochs
    schedule = TrainingSettings(
        steps=total, warmup_steps=total // 10, learning_rate=chosen.learning_rate, batch_size=chosen.batch_size
    )
    with torch.random.fork_rng():
        torch.manual_seed(chosen.seed)
        network = _Network(TorchBackend.from_pretrained(model, device), catalog, modalities, len(known))
        optimizer = make_optimizer(network, schedule)
        best: tuple[tuple[float, float], Scores, dict[str, Tensor]] | None = None
        for step, places in enumerate(_batches(rows, total, chosen)):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, schedule)
            target = torch.from_numpy(labels[places]).to(network.device)
            network.train()
            optimizer.zero_grad()
            cross_entropy(network(rows[places]), target).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            on_progress(step + 1, total)
            if (step + 1) % steps == 0 and (len(truth) or step + 1 == total):
                validation = network.score(task.validation, known, len(task.leaves))
                reached = quality(validation, truth)
                if best is None or reached > best[0]:
                    test = network.score(task.test, known, len(task.leaves))
                    scores = Scores(validation, test, {"epochs": (step + 1) // steps})
                    best = reached, scores, deepcopy(network.state_dict())
    assert best is not None
    network.load_state_dict(best[2])
    return network, best[1]


class _Network(nn.Module):
    """The encoder with a linear layer on [CLS]; takes numbers of rows."""

    def __init__(self, trained: TorchBackend, catalog: Catalog, modalities: Modalities, leaves: int) -> None:
        super().__init__()
        self.catalog, self.modalities = catalog, modalities
        self.encoder, self.processor, self.device = trained.model, trained.processor, trained.device
        self.head = nn.Linear(self.encoder.config.hidden_size, leaves).to(self.device)

    def forward(self, rows: NDArray[np.int64]) -> Tensor:
        """The logits of some rows, (n, leaves)."""
        photos = self.catalog.photos(rows) if self.modalities != "title" else [None] * len(rows)
        images = [None if photo is None else decode(photo, self.processor.image_size) for photo in photos]
        titles = [self.catalog.titles[row] if self.modalities != "image" else None for row in rows]
        inputs = self.processor(titles, images)
        cls = self.encoder(**{name: tensor.to(self.device) for name, tensor in inputs.items()}).cls
        logits: Tensor = self.head(cls)
        return logits

    @torch.no_grad()
    def score(self, rows: NDArray[np.int64], known: NDArray[np.int64], leaves: int) -> NDArray[np.float32]:
        """The logits of some rows over all leaves, (n, L), `-inf` for those that it does not know."""
        self.eval()
        scores = np.full((len(rows), leaves), -np.inf, np.float32)
        for start in range(0, len(rows), _SCORED):
            part = rows[start : start + _SCORED]
            scores[start : start + len(part), known] = self(part).float().cpu().numpy()
        return scores


def _batches(rows: NDArray[np.int64], steps: int, settings: FineTuning) -> Iterator[NDArray[np.int64]]:
    """Places in `rows`: all of them in one order after another, each a function of (seed, pass, row)."""
    waiting = np.zeros(0, np.int64)
    passes = 0
    for _ in range(steps):
        while len(waiting) < settings.batch_size:
            order = np.argsort(hash64(settings.seed, _ORDER, passes, rows), kind="stable")
            waiting, passes = np.concatenate([waiting, order]), passes + 1
        yield waiting[: settings.batch_size]
        waiting = waiting[settings.batch_size :]
