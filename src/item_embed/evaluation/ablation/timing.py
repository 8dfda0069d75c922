"""What the runs of a plan will take on this machine: steps, embedding and the probe, each tried for a moment.

    seconds of a run = steps * seconds of each + rows to validate and to embed * seconds of each + the linear probe

Starting a process, writing checkpoints, searching and drawing intervals are not counted.
"""

import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapreplace
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from item_embed.config import RunConfig
from item_embed.embedding.bulk import embed_seen
from item_embed.embedding.embedder import Embedder
from item_embed.embedding.torch_backend import TorchBackend
from item_embed.evaluation.ablation.cost import Lengths, encoder_flops, training_flops
from item_embed.evaluation.ablation.plan import Run
from item_embed.evaluation.ablation.running import Ablation, state
from item_embed.evaluation.attempts import State
from item_embed.evaluation.drawn import MOST_QUERIES
from item_embed.evaluation.learners.trained import find_device
from item_embed.model.configuration import ItemConfig
from item_embed.model.heads import ItemForPreTraining
from item_embed.model.processor import ItemProcessor
from item_embed.objectives.batch import PretrainingBatch
from item_embed.objectives.pretraining import Pretraining
from item_embed.progress import Stages, silent_stages
from item_embed.training.batches import PretrainingData
from item_embed.training.loop import Trainer
from item_embed.training.run import run_tokenizer, training_rows

_PAIRS = 64  # whose lengths stand for all
_WORK = 2e11  # most operations of a timed step on a CPU: a second or two
_STEPS = 3  # that are timed with photos to decode, and again without
_NEVER = 10**9
_PROBE_PASSES = 400  # of the linear probe over its rows, at most: four strengths, a hundred iterations each
_PROBE_ROWS = 4096  # on which one is timed


@dataclass(frozen=True)
class Shape:
    """What it takes to train and measure a model of some size, with some objectives.

    Attributes:
        parameters: of the encoder, without heads.
        flops: floating-point operations of a training step's matrix products, per pair.
        first_step: seconds of a step of the first epoch, which decodes its photos.
        later_step: seconds of any other.
        validation: seconds of a validation.
        measuring: seconds to embed all that is asked for, and of the linear probe.
    """

    parameters: int
    flops: float
    first_step: float
    later_step: float
    validation: float
    measuring: float


@dataclass(frozen=True)
class Cost:
    """What is left of a run.

    Attributes:
        run: the run.
        state: how far it is.
        steps: that are still to be made.
        shape: what they take; None where nothing is left, or they could not be tried.
        seconds: until it is measured; nan where that could not be tried.
        problem: why it could not be tried, as where memory is too small.
    """

    run: Run
    state: State
    steps: int
    shape: Shape | None
    seconds: float
    problem: str | None = None


def estimate(
    ablation: Ablation, runs: Sequence[Run], *, one_thread: bool = False, stage: Stages = silent_stages
) -> list[Cost]:
    """Time a few steps of each distinct shape, and count. Nothing of the ablation's folder is changed.

    Args:
        ablation: what the runs are trained on and asked.
        runs: of a plan.
        one_thread: whether a run will have one thread, as it has beside others.
        stage: told of the progress of each stage.

    Examples:
        >>> [cost.seconds for cost in estimate(ablation, plan.runs)]  # doctest: +SKIP
        [412.0, 409.8]
    """
    threads = torch.get_num_threads()
    if one_thread:
        torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder, stage("timing steps") as on_progress:
            timer = _Timer(ablation, Path(folder))
            costs = []
            for number, run in enumerate(runs, 1):
                costs.append(timer.cost(run))
                on_progress(number, len(runs))
            return costs
    finally:
        torch.set_num_threads(threads)


def makespan(seconds: Sequence[float], jobs: int) -> float:
    """How long it takes until all is done, each next run going to the job that is free first.

    Examples:
        >>> makespan([3.0, 3.0, 2.0], jobs=2)
        5.0
    """
    busy = [0.0] * jobs
    for one in seconds:
        heapreplace(busy, busy[0] + one)
    return max(busy)


class _Timer:
    """Tries each shape once."""

    def __init__(self, ablation: Ablation, folder: Path) -> None:
        self.ablation = ablation
        self.folder = folder
        self.catalog = ablation.catalog
        self.rows, _ = training_rows(self.catalog, ablation.asked.file)
        self._shapes: dict[str, Shape | str] = {}

    def cost(self, run: Run) -> Cost:
        """What is left of a run."""
        config, (where, made) = run.config, state(self.ablation, run)
        steps = config.training.steps - made
        key = _key(config)
        if where is State.MEASURED:
            return Cost(run, where, 0, None, 0.0)
        if key not in self._shapes:
            try:
                self._shapes[key] = self._shape(config)
            except (RuntimeError, MemoryError) as error:
                self._shapes[key] = f"{type(error).__name__}: {error}".splitlines()[0]
        shape = self._shapes[key]
        if isinstance(shape, str):
            return Cost(run, where, steps, None, math.nan, shape)
        first = min(steps, -(-len(self.rows) // config.training.batch_size))
        training = first * shape.first_step + (steps - first) * shape.later_step
        validations = -(-steps // config.training.validate_every) * shape.validation
        return Cost(run, where, steps, shape, training + validations + shape.measuring)

    def _shape(self, config: RunConfig) -> Shape:
        tokenizer = self._tokenizer(config)
        vocab_size = tokenizer.get_vocab_size()
        model_config = ItemConfig.from_settings(config.model, config.objectives, vocab_size)
        model, processor = ItemForPreTraining(model_config), ItemProcessor.for_config(tokenizer, model_config)
        device, settings = find_device(self.ablation.device), _timed(config, 1).training
        trainer = Trainer(Pretraining(model, config.objectives), settings, self.folder / "run", None, device)
        on_gpu = device.type != "cpu"

        [some] = PretrainingData(self.catalog, self.rows, processor, _timed(config, _PAIRS))[0]
        lengths = Lengths.of(some, config)
        flops = training_flops(config, vocab_size, lengths)
        part = config.training.batch_size // config.training.accumulation
        pairs = part if on_gpu else min(part, max(1, int(_WORK / flops)))
        data = PretrainingData(self.catalog, self.rows, processor, _timed(config, pairs))
        first, later = _steps(trainer, data, ahead=config.training.workers > 0)
        steps = config.training.batch_size / pairs  # a smaller one was timed
        held_out = min(config.training.validation_rows, len(self.catalog.rows("validation")))

        precision = config.training.precision
        embedder = Embedder(TorchBackend(model.item, processor, self.folder, "", str(device), precision=precision))
        forward = float(encoder_flops(config.model, lengths.title, lengths.whole).mean())
        rows = _PAIRS if on_gpu else min(_PAIRS, max(1, int(_WORK / forward)))
        return Shape(
            parameters=sum(parameter.numel() for parameter in model.item.parameters()),
            flops=flops,
            first_step=first * steps,
            later_step=later * steps,
            validation=held_out * later / pairs / 3,  # forward only
            measuring=self._embedding(embedder, self.rows[:rows]) + self._probe(config.model.hidden_size),
        )

    def _tokenizer(self, config: RunConfig) -> Tokenizer:
        """As a run trains it; one for each size of the vocabulary."""
        return run_tokenizer(self.folder / f"vocabulary-{config.model.vocab_size}", self.catalog, self.rows, config)

    def _embedding(self, embedder: Embedder, rows: NDArray[np.int64]) -> float:
        """Seconds to embed catalogue and queries by both sides and by each, and what dominance exchanges."""
        queries = len(self.ablation.questions.queries)
        drawn = min(queries, MOST_QUERIES)
        photos, titles = self.catalog.photos(rows), self.catalog.titles.at(rows)
        nothing = [None] * len(titles)
        whole = _seconds(lambda: embed_seen(embedder, photos, titles, len(titles))) / len(titles)
        title = _seconds(lambda: embed_seen(embedder, nothing, titles, len(titles))) / len(titles)
        return (2 * len(self.catalog) + 2 * queries + 4 * drawn) * whole + (len(self.catalog) + queries + drawn) * title

    def _probe(self, dimension: int) -> float:
        """Seconds of the linear probe, at most: it is products of vectors and weights, there and back."""
        leaves = self.ablation.questions.leaves
        if leaves is None:
            return 0.0
        vectors = np.zeros((_PROBE_ROWS, dimension), np.float32)
        weights = np.zeros((dimension, len(leaves.leaves)), np.float32)
        return _seconds(lambda: vectors.T @ (vectors @ weights)) * _PROBE_PASSES * len(leaves.train) / _PROBE_ROWS


def _key(config: RunConfig) -> str:
    """Equal for configurations whose steps take equally long."""
    settings = config.model_dump(mode="json")
    loading = ("workers", "validation_rows", "pixel_cache_mb")
    alike = ("batch_size", "accumulation", "activation_checkpointing", "precision", *loading)
    return json.dumps({**settings, "training": {name: settings["training"][name] for name in alike}})


def _timed(config: RunConfig, pairs: int) -> RunConfig:
    """The same run in batches of so many pairs, that neither writes, validates nor diverges."""
    never = dict.fromkeys(("log_every", "validate_every", "checkpoint_every", "steps"), _NEVER)
    batches = {"batch_size": pairs, "accumulation": 1, "workers": 0, "learning_rate": 1e-9}
    return config.model_copy(update={"training": config.training.model_copy(update=batches | never)})


def _steps(trainer: Trainer, data: PretrainingData, *, ahead: bool) -> tuple[float, float]:
    """Seconds of a step that decodes its photos, and of one that has them in memory; `ahead`: of neither."""

    def batches() -> Iterator[list[PretrainingBatch]]:
        for number in (0, *range(1, _STEPS + 1), *range(1, _STEPS + 1)):
            yield data[number]

    ends: list[float] = []
    trainer.fit(list(batches()) if ahead else batches(), lambda done, total: ends.append(time.monotonic()))
    took = [end - start for start, end in pairwise(ends)]
    return median(took[:_STEPS]), median(took[_STEPS:])


def _seconds(work: Callable[[], object]) -> float:
    """How long it takes, done once before."""
    work()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
