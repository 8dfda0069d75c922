from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from item_embed.catalog.store import Catalog
from item_embed.errors import ModelError
from item_embed.evaluation.learners.choosing import learner
from item_embed.evaluation.learners.fitting import Batch, Spent, Task, train
from item_embed.evaluation.learners.roberta import Roberta
from item_embed.objectives.loss import Loss
from item_embed.training.optimiser import learning_rate
from tests.evaluation.learners.made import StoppedError, material, records, stop_at

CPU = torch.device("cpu")


def roberta(catalog: Catalog, *overrides: str) -> tuple[Task, Callable[..., Spent]]:
    """A task, and its training in a folder."""
    given = material(catalog, *overrides)
    torch.manual_seed(0)
    task = Roberta().prepare(given)
    return task, lambda folder, *rest: train(task, given.config.training, folder, CPU, *rest)


def test_a_step_is_what_its_formula_says(catalog: Catalog, tmp_path: Path) -> None:
    settings = ("training.steps=3", "training.max_grad_norm=0.5")
    _, run = roberta(catalog, *settings)
    run(tmp_path)

    task, _ = roberta(catalog, *settings)
    config = material(catalog, *settings).config.training
    task_rate = task.learning_rate or config.learning_rate
    decayed = {id(m.weight) for m in task.module.modules() if isinstance(m, nn.Linear)}
    groups = [
        {"params": [p for p in task.module.parameters() if id(p) in decayed], "weight_decay": config.weight_decay},
        {"params": [p for p in task.module.parameters() if id(p) not in decayed], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=config.betas, foreach=False)
    for step, record in enumerate(records(tmp_path)):
        loss = task.module(**task.batch(*task.samples.drawn(step)))
        mean = loss.total / loss.count
        assert record["loss"] == pytest.approx(mean.item(), rel=1e-5)
        optimizer.zero_grad()
        mean.backward()
        norm = nn.utils.clip_grad_norm_(task.module.parameters(), 0.5)
        assert record["gradient_norm"] == pytest.approx(norm.item(), rel=1e-4)
        assert norm > 0.5  # so that clipping is tested
        for group in optimizer.param_groups:
            group["lr"] = task_rate * learning_rate(step, config) / config.learning_rate
        optimizer.step()


def test_parts_of_a_batch_add_up_to_the_batch(catalog: Catalog, tmp_path: Path) -> None:
    for parts in (1, 4):
        _, run = roberta(catalog, f"training.accumulation={parts}")
        run(tmp_path / str(parts))
    whole, split = records(tmp_path / "1"), records(tmp_path / "4")
    for one, other in zip(whole, split, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert one["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=1e-3)


def test_what_is_told_from_all_others_stays_whole(catalog: Catalog, tmp_path: Path) -> None:
    given = material(catalog, "training.accumulation=4", "training.steps=3")
    learner("clip").fit(given, tmp_path / "parts", "cpu")
    learner("clip").fit(material(catalog, "training.steps=3"), tmp_path / "whole", "cpu")
    assert records(tmp_path / "parts") == records(tmp_path / "whole")


def test_minutes_are_kept_and_counted_once(catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock goes on by one minute each time it is looked at: when training begins, at checkpoints, at the end."""
    now = iter(range(0, 10_000_000, 60))
    monkeypatch.setattr("item_embed.evaluation.learners.fitting.time.monotonic", lambda: next(now))
    monkeypatch.setattr("item_embed.evaluation.learners.fitting.time.process_time", lambda: 0.0)
    _, run = roberta(catalog)  # 6 steps, a checkpoint every 2
    with pytest.raises(StoppedError):
        run(tmp_path, stop_at(5))  # checkpoints at 1 and 2 minutes
    _, run = roberta(catalog)
    assert run(tmp_path) == Spent(minutes=2 + 2, cpu_minutes=0)  # from step 4: the checkpoint of step 6, the end


def test_a_loss_that_is_no_number_is_one_sentence(catalog: Catalog, tmp_path: Path) -> None:
    class Exploding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, **batch: Tensor) -> Loss:
            return Loss(self.weight * float("inf"), 1)

    given = material(catalog)
    task = replace(Roberta().prepare(given), module=Exploding())
    with pytest.raises(ModelError, match=r"stopped at step 1: the gradient is not a number any more; remove"):
        train(task, given.config.training, tmp_path, CPU)


def test_a_task_may_have_a_learning_rate_of_its_own(catalog: Catalog, tmp_path: Path) -> None:
    given = material(catalog)
    train(replace(Roberta().prepare(given), learning_rate=0.5), given.config.training, tmp_path, CPU)
    assert max(record["learning_rate"] for record in records(tmp_path)) == 0.5


def test_batches_come_in_the_order_of_item(catalog: Catalog) -> None:
    from item_embed.evaluation.learners.samples import rows_with
    from item_embed.training.batches import PretrainingData

    given = material(catalog)
    task = Roberta().prepare(given)
    titled = rows_with(given, title=True)
    data = PretrainingData(catalog, titled, task.samples.processor, given.config)
    for step in range(8):
        rows, epochs = task.samples.drawn(step)
        np.testing.assert_array_equal(rows, data.samples(step)[0])
        assert epochs.max() == (8 * step + 7) // len(titled)


def test_batches_may_be_prepared_by_other_processes(catalog: Catalog, tmp_path: Path) -> None:
    seen: list[int] = []
    given = material(catalog, "training.workers=1", "training.steps=3")
    task = Roberta().prepare(given)

    def batch(rows: NDArray[np.int64], epochs: NDArray[np.int64]) -> Batch:
        seen.append(1)  # in another process, so not here
        return task.batch(rows, epochs)

    train(replace(task, batch=batch), given.config.training, tmp_path, CPU)
    assert len(records(tmp_path)) == 3
    assert not seen
