"""The training loop: batches in, a trained model and a log out. It knows no catalogue and no evaluation."""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from torch import Tensor

from item_embed.config import TrainingSettings
from item_embed.errors import ModelError
from item_embed.hashing import hash64
from item_embed.model.precision import choose_precision
from item_embed.objectives.batch import PretrainingBatch, total_counts
from item_embed.objectives.loss import Loss
from item_embed.objectives.masking import Stream
from item_embed.objectives.pretraining import Pretraining, weighted_sum
from item_embed.progress import OnProgress, silent
from item_embed.training.checkpoints import latest_checkpoint, load_checkpoint, save_checkpoint
from item_embed.training.metrics import Means, MetricsLog
from item_embed.training.optimiser import learning_rate, make_optimizer
from item_embed.training.validation import Validate


class Trainer:
    """Trains a `Pretraining` module step by step; `RUN/checkpoints` always holds what `resume` goes on from.

    Args:
        pretraining: the model and its objectives.
        settings: the optimiser and the loop.
        run: the run's folder.
        validate: measures the model on held-out rows; None where there are none.
        device: where it trains; None: on a GPU where there is one.
    """

    def __init__(
        self,
        pretraining: Pretraining,
        settings: TrainingSettings,
        run: Path,
        validate: Validate | None,
        device: torch.device | None = None,
    ) -> None:
        self.accelerator = _accelerator(settings, device)
        self.pretraining = pretraining
        self.module = self.accelerator.prepare(pretraining)
        self.optimizer = make_optimizer(pretraining.model, settings)
        self.settings = settings
        self.weights = pretraining.settings.weights.active()
        self.run = run
        self.validate = validate
        self.means = Means()
        self.step = 0

    @property
    def device(self) -> torch.device:
        """Where it trains."""
        device: torch.device = self.accelerator.device
        return device

    @property
    def _checkpoints(self) -> Path:
        return self.run / "checkpoints"

    def resume(self) -> None:
        """Go back to the newest checkpoint, or stay at the start where there is none.

        Raises:
            ModelError: when it cannot be read.
        """
        path = latest_checkpoint(self._checkpoints)
        if path is not None:
            state = load_checkpoint(path, self.pretraining.model, self.optimizer)
            self.step = int(state["step"])
            self.means = Means(**state["means"])

    def fit(self, batches: Iterable[list[PretrainingBatch]], on_progress: OnProgress = silent) -> None:
        """Train from the current step to the last.

        Args:
            batches: of the current step and all that follow, each in parts.
            on_progress: told of steps.

        Raises:
            ModelError: when a loss is no longer a number.
        """
        with closing(MetricsLog(self.run, self.step)) as log:
            self.module.train()
            began, first = time.monotonic(), self.step
            for parts in batches:
                logs = (self.step + 1) % self.settings.log_every == 0
                record = self._train_step(parts, measure=logs)
                self.step += 1
                if logs:
                    rate = (self.step - first) * self.settings.batch_size / (time.monotonic() - began)
                    log.write({**self._record("train", self.means.result()), **record, "samples_per_second": rate})
                    self.means = Means()
                last = self.step == self.settings.steps
                if self.validate is not None and (last or self.step % self.settings.validate_every == 0):
                    with self.accelerator.autocast():
                        log.write(self._record("validation", self.validate(self.pretraining)))
                if last or self.step % self.settings.checkpoint_every == 0:
                    state = {"means": self.means.state()}
                    save_checkpoint(self._checkpoints, self.step, self.pretraining.model, self.optimizer, state)
                on_progress(self.step, self.settings.steps)

    def _train_step(self, parts: list[PretrainingBatch], measure: bool) -> dict[str, Any]:
        seed = int(hash64(self.settings.seed, Stream.DROPOUT, self.step)) >> 1
        torch.manual_seed(seed)  # of dropout: a function of the step, so a resumed run draws the same
        rate = learning_rate(self.step, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        counts = total_counts(parts)
        squares = dict.fromkeys(self.weights, 0.0)
        for part in parts:
            with self.accelerator.autocast():
                output = self.module(part.to(self.device))
            self.means.add(output.losses)
            if measure:
                outputs = list(output.encoded.values())
                for name, loss in output.losses.items():
                    term = weighted_sum({name: loss}, self.weights, counts)
                    squares[name] += _gradient_norm(term, outputs) ** 2
            self.accelerator.backward(weighted_sum(output.losses, self.weights, counts))
        norm = self.accelerator.clip_grad_norm_(self.pretraining.parameters(), self.settings.max_grad_norm)
        if not math.isfinite(norm):
            raise ModelError(self._divergence(output.losses))
        self.optimizer.step()
        self.optimizer.zero_grad()
        norms = {name: math.sqrt(square) for name, square in squares.items()}
        return {"learning_rate": rate, "gradient_norm": float(norm), "objective_gradient_norms": norms}

    def _record(self, split: str, means: dict[str, dict[str, float]]) -> dict[str, Any]:
        loss = sum(self.weights[name] * mean for name, mean in means["losses"].items())
        samples = self.step * self.settings.batch_size
        return {"step": self.step, "samples": samples, "split": split, "loss": loss, **means}

    def _divergence(self, losses: Mapping[str, Loss]) -> str:
        which = [name for name, loss in losses.items() if not torch.isfinite(loss.total)]
        what = f"the loss of {', '.join(which)}" if which else "the gradient"
        kept = latest_checkpoint(self._checkpoints)
        where = f"the last good checkpoint is {kept}" if kept else "no checkpoint was written yet"
        return (
            f"training stopped at step {self.step + 1}: {what} is not a number any more; {where}. "
            "Go on by --resume with a lower training.learning_rate or training.max_grad_norm"
            f"{'' if self.accelerator.mixed_precision == 'no' else ', or with training.precision=fp32'}."
        )


def _accelerator(settings: TrainingSettings, device: torch.device | None) -> Accelerator:
    # accelerate keeps precision and device for the whole process, which may train with others next
    AcceleratorState._reset_state(reset_partial_state=True)
    if device is not None:
        PartialState(cpu=device.type == "cpu").device = device
    precision = choose_precision(settings.precision, device)
    return Accelerator(mixed_precision="no" if precision == "fp32" else "bf16")


def _gradient_norm(loss: Tensor, outputs: Sequence[Tensor]) -> float:
    """The norm of the gradient that a loss puts on the encoder's outputs together; 0 where it reaches none."""
    if not loss.requires_grad:
        return 0.0
    gradients = torch.autograd.grad(loss, outputs, retain_graph=True, allow_unused=True)
    return math.hypot(*(float(gradient.norm()) for gradient in gradients if gradient is not None))
