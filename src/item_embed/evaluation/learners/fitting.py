"""The one training loop of all baselines: what ITEm's own loop does, for any module that gives a loss.

    FOLDER/begun.json                         what it learns from, and how
    FOLDER/metrics.jsonl, tensorboard/, checkpoints/
    FOLDER/model                              the trained encoder and its processor
    FOLDER/done.json                          size and cost; it is there when all is

Order of rows, steps, batch size, optimiser, schedule, precision and clipping are ITEm's.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedModel

from item_embed.config import TrainingSettings
from item_embed.errors import ModelError
from item_embed.evaluation.learners.samples import Samples
from item_embed.hashing import hash64
from item_embed.model.encoder import ItemPreTrainedModel
from item_embed.model.precision import choose_precision
from item_embed.objectives.loss import Loss
from item_embed.objectives.masking import Stream
from item_embed.progress import OnProgress, silent
from item_embed.training.checkpoints import latest_checkpoint, load_checkpoint, save_checkpoint
from item_embed.training.metrics import Means, MetricsLog
from item_embed.training.optimiser import learning_rate, make_optimizer

#: What a module is called with, by name.
Batch: TypeAlias = dict[str, Tensor]


@dataclass(frozen=True)
class Task:
    """What a baseline trains, and on what.

    Attributes:
        encoder: what will make vectors: a part of `module`.
        module: `module(**batch)` is the `Loss` of a batch, or of a part of it.
        samples: the rows that are drawn.
        batch: the batch of some rows in given epochs, (B,) both; it depends on nothing else.
        whole: whether each sample of a batch is told from all others of it, so that it cannot be computed in parts.
        learning_rate: its peak; None: the configuration's, which is meant for a transformer.
    """

    encoder: PreTrainedModel
    module: nn.Module
    samples: Samples
    batch: Callable[[NDArray[np.int64], NDArray[np.int64]], Batch]
    whole: bool = False
    learning_rate: float | None = None


@dataclass(frozen=True)
class Spent:
    """What training took: minutes by the clock on the wall, and of the processor, all threads of this process."""

    minutes: float = 0.0
    cpu_minutes: float = 0.0


def train(
    task: Task, settings: TrainingSettings, folder: Path, device: torch.device, on_progress: OnProgress = silent
) -> Spent:
    """Train from the newest checkpoint of the folder, or from the start, to the last step.

    A run that was killed ends as one that was not: everything drawn is a function of the step.

    Args:
        task: what to train, with its initial weights; its module is trained in place.
        settings: the optimiser and the loop.
        folder: where checkpoints and the log are kept.
        device: to train on.
        on_progress: told of steps.

    Returns:
        What all steps took; those that a killed run did after its last checkpoint are counted once.

    Raises:
        ModelError: when the gradient is no longer a number, or a checkpoint cannot be read.
    """
    if task.learning_rate is not None:
        settings = settings.model_copy(update={"learning_rate": task.learning_rate})
    low = choose_precision(settings.precision, device) == "bf16"
    if low and device.type == "cpu" and not isinstance(task.encoder, ItemPreTrainedModel):
        task.encoder.set_attn_implementation("eager")  # as ITEm's does by itself: docs/decisions/0003
    module = task.module.to(device).train()
    optimizer = make_optimizer(module, settings)
    step, means, before = 0, Means(), Spent()
    checkpoint = latest_checkpoint(folder / "checkpoints")
    if checkpoint is not None:
        state = load_checkpoint(checkpoint, module, optimizer)
        step, means, before = int(state["step"]), Means(**state["means"]), Spent(**state["spent"])
    clock = Clock(before)
    with closing(MetricsLog(folder, step)) as log:
        for parts in _batches(task, settings, step, device):
            norm = _train_step(module, optimizer, parts, means, _Moment(step, settings, device, low))
            step += 1
            if not math.isfinite(norm):
                raise ModelError(_divergence(folder, step))
            if step % settings.log_every == 0:
                log.write(_record(step, settings, means, norm))
                means = Means()
            if step == settings.steps or step % settings.checkpoint_every == 0:
                kept = {"means": means.state(), "spent": vars(clock.spent())}
                save_checkpoint(folder / "checkpoints", step, module, optimizer, kept)
            on_progress(step, settings.steps)
    return clock.spent()


@dataclass(frozen=True)
class _Moment:
    """A step of training: its number, and how it is computed; `low`: in bf16."""

    step: int
    settings: TrainingSettings
    device: torch.device
    low: bool


def _train_step(
    module: nn.Module, optimizer: torch.optim.Optimizer, parts: list[Batch], means: Means, moment: _Moment
) -> float:
    """One step of the optimiser; returns the norm of the gradient before clipping."""
    seed = int(hash64(moment.settings.seed, Stream.DROPOUT, moment.step)) >> 1
    torch.manual_seed(seed)  # of dropout: a function of the step, so a resumed run draws the same
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(moment.step, moment.settings)
    count = 0
    for part in parts:
        batch = {name: tensor.to(moment.device, non_blocking=True) for name, tensor in part.items()}
        with torch.autocast(moment.device.type, torch.bfloat16, enabled=moment.low):
            loss: Loss = module(**batch)
        loss.total.backward()
        means.add({"loss": loss})
        count += loss.count
    for parameter in module.parameters():  # of the sum, to that of the mean, however many parts there are
        if parameter.grad is not None:
            parameter.grad /= max(1, count)
    norm = float(nn.utils.clip_grad_norm_(module.parameters(), moment.settings.max_grad_norm))
    if math.isfinite(norm):
        optimizer.step()
    optimizer.zero_grad()
    return norm


def _record(step: int, settings: TrainingSettings, means: Means, norm: float) -> dict[str, Any]:
    found = means.result()
    return {
        "step": step,
        "samples": step * settings.batch_size,
        "split": "train",
        "loss": found["losses"]["loss"],
        "metrics": found["metrics"],
        "learning_rate": learning_rate(step - 1, settings),
        "gradient_norm": norm,
    }


def _divergence(folder: Path, step: int) -> str:
    return (
        f"training in {folder} stopped at step {step}: the gradient is not a number any more; remove the folder and "
        "begin again with a lower training.max_grad_norm, or with training.precision=fp32."
    )


class Clock:
    """Time since it was made, on top of what was spent before."""

    def __init__(self, before: Spent) -> None:
        self._before = before
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def spent(self) -> Spent:
        """Both together."""
        wall, cpu = time.monotonic() - self._wall, time.process_time() - self._cpu
        return Spent(self._before.minutes + wall / 60, self._before.cpu_minutes + cpu / 60)


class _Batches(Dataset[list[Batch]]):
    """Item number `step` is that step's batch, in parts."""

    def __init__(self, task: Task, settings: TrainingSettings) -> None:
        self._draw, self._batch = task.samples.drawn, task.batch
        self._parts = 1 if task.whole else settings.accumulation

    def __getitem__(self, step: int) -> list[Batch]:
        drawn = (np.split(array, self._parts) for array in self._draw(step))
        return [self._batch(rows, epochs) for rows, epochs in zip(*drawn, strict=True)]


def _batches(task: Task, settings: TrainingSettings, first: int, device: torch.device) -> Iterator[list[Batch]]:
    """The batches from a step to the last, prepared ahead by worker processes where there are any."""
    loader: DataLoader[list[Batch]] = DataLoader(
        _Batches(task, settings),
        batch_size=None,
        sampler=range(first, settings.steps),
        num_workers=settings.workers,
        pin_memory=device.type == "cuda",
    )
    return iter(loader)
