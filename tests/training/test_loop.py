import math
from pathlib import Path

import pytest
import torch

from item_embed.catalog.store import Catalog
from item_embed.config import RunConfig
from item_embed.objectives.pretraining import Pretraining
from item_embed.training.batches import PretrainingData, batches
from item_embed.training.loop import Trainer
from item_embed.training.optimiser import learning_rate
from tests.tiny import tiny_catalog, tiny_config, tiny_model, tiny_processor
from tests.training.runs import records


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny_catalog(tmp_path_factory.mktemp("loop") / "catalog")


def prepared(catalog: Catalog, config: RunConfig) -> tuple[Pretraining, PretrainingData]:
    processor = tiny_processor(catalog, config)
    data = PretrainingData(catalog, catalog.rows("train"), processor, config)
    return Pretraining(tiny_model(processor, config), config.objectives), data


def fit(pretraining: Pretraining, data: PretrainingData, config: RunConfig, run: Path) -> Trainer:
    run.mkdir()
    trainer = Trainer(pretraining, config.training, run, lambda _: {"losses": {}, "metrics": {}})
    trainer.fit(batches(data, 0))
    return trainer


def test_it_trains_on_the_device_it_is_given_whatever_the_process_used_before(catalog: Catalog, tmp_path: Path) -> None:
    config = tiny_config()
    for name in ("cpu", "meta", "cpu"):
        pretraining, _ = prepared(catalog, config)
        trainer = Trainer(pretraining, config.training, tmp_path, None, torch.device(name))
        assert trainer.device == torch.device(name)
        assert {parameter.device.type for parameter in pretraining.parameters()} == {name}
    default = Trainer(prepared(catalog, config)[0], config.training, tmp_path, None).device.type
    assert default == ("cuda" if torch.cuda.is_available() else "cpu")


def test_training_is_the_plain_loop(catalog: Catalog, tmp_path: Path) -> None:
    config = tiny_config("training.steps=4", "training.max_grad_norm=0.5", "training.accumulation=2")
    pretraining, data = prepared(catalog, config)
    fit(pretraining, data, config, tmp_path / "run")

    plain, _ = prepared(catalog, config)
    matrices = [p for n, p in plain.named_parameters() if p.dim() == 2 and "position" not in n and "modality" not in n]
    others = [p for p in plain.parameters() if all(p is not m for m in matrices)]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), foreach=False)
    weights = {"itm": 1, "mlm": 1, "mim": 2, "gmlm": 1, "gmim": 0.5}
    for step, line in enumerate(records(tmp_path / "run", "train")):
        parts = data[step]
        loss = torch.zeros(())
        for name, weight in weights.items():
            losses = [plain(part).losses[name] for part in parts]
            mean = sum((k.total for k in losses), torch.zeros(())) / sum(k.count for k in losses)
            assert line["losses"][name] == pytest.approx(mean.item(), rel=1e-4)
            loss = loss + weight * mean
        optimizer.zero_grad()
        loss.backward()
        norm = math.sqrt(sum(p.grad.square().sum().item() for p in plain.parameters() if p.grad is not None))
        assert line["gradient_norm"] == pytest.approx(norm, rel=1e-4)
        assert norm > 0.5  # so that clipping is tested
        for parameter in plain.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(0.5 / norm)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, config.training)
        optimizer.step()
    for (name, p), q in zip(pretraining.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(p, q, atol=1e-4, rtol=1e-3, msg=name)


@pytest.mark.parametrize("judged", ["masked", "whole"])
def test_the_gradient_that_each_objective_puts_on_the_encoders_outputs(
    judged: str, catalog: Catalog, tmp_path: Path
) -> None:
    config = tiny_config("training.steps=3", "training.accumulation=2", f"objectives.itm_input={judged}")
    pretraining, data = prepared(catalog, config)
    fit(pretraining, data, config, tmp_path / "run")

    plain, _ = prepared(catalog, config)
    outputs = [plain(part) for part in data[0]]
    for name, weight in config.objectives.weights.active().items():
        count = sum(output.losses[name].count for output in outputs)
        square = 0.0
        for output in outputs:
            mean = weight * output.losses[name].total / count
            read = output.whole if judged == "whole" and name == "itm" else output.hidden
            assert read is not None
            (gradient,) = torch.autograd.grad(mean, read, retain_graph=True)
            square += gradient.square().sum().item()
        logged = records(tmp_path / "run", "train")[0]["objective_gradient_norms"][name]
        assert logged == pytest.approx(math.sqrt(square), rel=1e-4)


def test_dropout_is_a_function_of_the_step(catalog: Catalog, tmp_path: Path) -> None:
    config = tiny_config("training.steps=3", "model.dropout=0.5")
    losses = []
    for attempt in range(2):
        pretraining, data = prepared(catalog, config)
        torch.manual_seed(attempt)
        fit(pretraining, data, config, tmp_path / f"run {attempt}")
        losses.append([line["losses"] for line in records(tmp_path / f"run {attempt}", "train")])
    assert losses[0] == losses[1]


def test_lines_average_over_the_steps_since_the_last(catalog: Catalog, tmp_path: Path) -> None:
    lines = {}
    for every in (1, 2):
        config = tiny_config("training.steps=4", f"training.log_every={every}")
        pretraining, data = prepared(catalog, config)
        fit(pretraining, data, config, tmp_path / f"every {every}")
        lines[every] = records(tmp_path / f"every {every}", "train")
    counts = [data[step][0].counts() for step in range(4)]
    assert [line["step"] for line in lines[2]] == [2, 4]
    for number, line in enumerate(lines[2]):
        for name, loss in line["losses"].items():
            steps = (2 * number, 2 * number + 1)
            total = sum(lines[1][step]["losses"][name] * counts[step][name] for step in steps)
            assert loss == pytest.approx(total / sum(counts[step][name] for step in steps))
