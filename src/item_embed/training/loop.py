"""The training loop: batches in, a trained model and a log out. It knows no catalogue and no evaluation.

Where several processes train together, each computes its share of every part of a batch, and losses are divided by the
counts of all. Weights, losses and steps are the same in each; one writes them.
"""

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from item_embed.config import TrainingSettings
from item_embed.errors import ModelError
from item_embed.hashing import hash64
from item_embed.model.heads import ItemForPreTraining
from item_embed.model.precision import choose_precision
from item_embed.objectives.agreement import Gather
from item_embed.objectives.batch import PretrainingBatch, total_counts
from item_embed.objectives.loss import Loss
from item_embed.objectives.masking import Stream
from item_embed.objectives.pretraining import Pretraining, weighted_sum
from item_embed.progress import OnProgress, silent
from item_embed.training.checkpoints import latest_checkpoint, load_checkpoint, save_checkpoint
from item_embed.training.distributed import ALONE, Processes
from item_embed.training.metrics import Means, MetricsLog, Unlogged
from item_embed.training.optimiser import learning_rate, make_optimizer
from item_embed.training.sharding import sharding_accelerator, whole_model
from item_embed.training.validation import Validate


class Trainer:
    """Trains a `Pretraining` module step by step; `RUN/checkpoints` always holds what `resume` goes on from.

    Args:
        pretraining: the model and its objectives.
        settings: the optimiser and the loop.
        run: the run's folder.
        validate: measures the model on held-out rows; None where there are none.
        device: where it trains; None: on a GPU where there is one.
        processes: those that train together.
    """

    def __init__(
        self,
        pretraining: Pretraining,
        settings: TrainingSettings,
        run: Path,
        validate: Validate | None,
        device: torch.device | None = None,
        *,
        processes: Processes = ALONE,
    ) -> None:
        self.processes = processes
        self.sharded = settings.sharding == "full" and processes.count > 1
        self.accelerator = _accelerator(settings, device, processes)
        self.pretraining = pretraining
        pretraining.same_passes = self.sharded
        pretraining.model.item.activation_checkpointing = settings.activation_checkpointing
        optimizer = make_optimizer(pretraining.model, settings)
        self.module, wrapped = self.accelerator.prepare(_Part(pretraining), optimizer)
        self.optimizer: torch.optim.Optimizer = wrapped.optimizer
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
            batches: this process's shares of the current step's and of all that follow, each in parts.
            on_progress: told of steps.

        Raises:
            ModelError: when a loss is no longer a number.
        """
        with closing(MetricsLog(self.run, self.step) if self.processes.leads else Unlogged()) as log:
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
                if last or self.step % self.settings.validate_every == 0:
                    self._with_weights(lambda: self._validate(log))
                if last or self.step % self.settings.checkpoint_every == 0:
                    self._with_weights(self._save)
                on_progress(self.step, self.settings.steps)

    def whole_model(self) -> ItemForPreTraining:
        """The model, whole in the process that leads; all call this together."""
        return whole_model(self.pretraining.model) if self.sharded else self.pretraining.model

    def _with_weights(self, work: Callable[[], object]) -> None:
        """Let the process that leads do what takes all weights; where each has a share of them, all together."""
        if self.sharded:
            work()
        else:
            self.processes.once(work)

    def _train_step(self, parts: list[PretrainingBatch], measure: bool) -> dict[str, Any]:
        seed = int(hash64(self.settings.seed, Stream.DROPOUT, self.step)) >> 1
        # Of dropout: a function of the step, so a resumed run draws the same, and of whose share it is.
        torch.manual_seed(seed ^ self.processes.rank)
        rate = learning_rate(self.step, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        counts = self.processes.totals(total_counts(parts))
        squares = dict.fromkeys(self.weights, 0.0)
        for number, part in enumerate(parts, 1):
            # Gradients travel once in a step; but where they are sharded, nobody has room for all of them until then.
            travel = number == len(parts) or self.sharded
            with nullcontext() if travel else self.accelerator.no_sync(self.module):
                with self.accelerator.autocast():
                    asked = (self.weights, counts) if measure else None
                    losses, norms = self.module(part.to(self.device), self.processes.gather, asked)
                self.means.add(losses, self.processes)
                for name, norm in norms.items():
                    squares[name] += norm**2
                # DDP and FSDP take the mean over processes of what is a sum
                loss = weighted_sum(losses, self.weights, counts) * self.processes.count
                self.accelerator.backward(loss)
        norm = self.accelerator.clip_grad_norm_(self.pretraining.parameters(), self.settings.max_grad_norm)
        norm = float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
        if not math.isfinite(norm):
            raise ModelError(self._divergence())
        self.optimizer.step()
        self.optimizer.zero_grad()
        together = self.processes.total(torch.tensor(list(squares.values()), dtype=torch.float64)).tolist()
        norms = {name: math.sqrt(square) for name, square in zip(squares, together, strict=True)}
        return {"learning_rate": rate, "gradient_norm": norm, "objective_gradient_norms": norms}

    def _record(self, split: str, means: dict[str, dict[str, float]]) -> dict[str, Any]:
        loss = sum(self.weights[name] * mean for name, mean in means["losses"].items())
        samples = self.step * self.settings.batch_size
        return {"step": self.step, "samples": samples, "split": split, "loss": loss, **means}

    def _validate(self, log: MetricsLog | Unlogged) -> None:
        if self.validate is not None:
            with self.accelerator.autocast(), self._unsharded():
                log.write(self._record("validation", self.validate(self.pretraining)))

    @contextmanager
    def _unsharded(self) -> Iterator[None]:
        """Bring together the weights outside the blocks, as a step does by itself; a block's come when it runs."""
        if isinstance(self.module, FSDPModule):
            self.module.unshard()
        yield
        if isinstance(self.module, FSDPModule):
            self.module.reshard()

    def _save(self) -> None:
        state = {"means": self.means.state()}
        save_checkpoint(
            self._checkpoints, self.step, self.pretraining.model, self.optimizer, state, processes=self.processes
        )

    def _divergence(self) -> str:
        which = [name for name in self.weights if not math.isfinite(self.means.sums.get(f"losses/{name}", 0.0))]
        what = f"the loss of {', '.join(which)}" if which else "the gradient"
        kept = latest_checkpoint(self._checkpoints)
        where = f"the last good checkpoint is {kept}" if kept else "no checkpoint was written yet"
        return (
            f"training stopped at step {self.step + 1}: {what} is not a number any more; {where}. "
            "Go on by --resume with a lower training.learning_rate or training.max_grad_norm"
            f"{'' if self.accelerator.mixed_precision == 'no' else ', or with training.precision=fp32'}."
        )


def _accelerator(settings: TrainingSettings, device: torch.device | None, processes: Processes) -> Accelerator:
    # accelerate keeps precision and device for the whole process, which may train with others next
    AcceleratorState._reset_state(reset_partial_state=True)
    if device is not None:
        PartialState(cpu=device.type == "cpu").device = device
    elif processes.count > 1:  # without GPUs, accelerate takes each for the only one unless told
        PartialState(cpu=not torch.cuda.is_available())
    precision = "no" if choose_precision(settings.precision, device) == "fp32" else "bf16"
    os.environ.pop("ACCELERATE_USE_FSDP", None)  # the run's settings say it, and not a run before
    if settings.sharding == "full" and processes.count > 1:
        return sharding_accelerator(precision, processes.count)
    # A share may have nothing to ask of a weight that another share needs, as of ITM's head: pairs without photos.
    shares = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(mixed_precision=precision, kwargs_handlers=[shares])


class _Part(nn.Module):
    """What a process computes of its share of a part of a step."""

    def __init__(self, pretraining: Pretraining) -> None:
        super().__init__()
        self.pretraining = pretraining

    def forward(
        self, part: PretrainingBatch, gather: Gather, asked: tuple[Mapping[str, float], Mapping[str, int]] | None
    ) -> tuple[dict[str, Loss], dict[str, float]]:
        """The losses and, where weights and counts are given, the norm of the gradient that each puts on the encoder.

        It is measured in here: where weights are sharded, a backward pass outside is one of the whole model.
        """
        output = self.pretraining(part, gather)
        if asked is None:
            return output.losses, {}
        encoded = list(output.encoded.values())
        with torch.autocast(part.input_ids.device.type, enabled=False):
            terms = {name: weighted_sum({name: loss}, *asked) for name, loss in output.losses.items()}
            return output.losses, {name: _gradient_norm(term, encoded) for name, term in terms.items()}


def _gradient_norm(loss: Tensor, outputs: Sequence[Tensor]) -> float:
    """The norm of the gradient that a loss puts on the encoder's outputs together; 0 where it reaches none."""
    if not loss.requires_grad:
        return 0.0
    gradients = torch.autograd.grad(loss, outputs, retain_graph=True, allow_unused=True)
    return math.hypot(*(float(gradient.norm()) for gradient in gradients if gradient is not None))
