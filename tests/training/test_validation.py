from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from item_embed.catalog.store import Catalog
from item_embed.objectives.pretraining import Pretraining
from item_embed.training.batches import PretrainingData
from item_embed.training.validation import held_out_losses
from tests.tiny import tiny_catalog, tiny_config, tiny_model, tiny_processor


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return tiny_catalog(tmp_path / "catalog")


@pytest.fixture
def data(catalog: Catalog) -> PretrainingData:
    config = tiny_config("model.dropout=0.5", "objectives.mismatch_rate=0.5")
    return PretrainingData(catalog, catalog.rows("validation"), tiny_processor(catalog, config), config)


@pytest.fixture(params=["masked", "whole"])
def pretraining(request: pytest.FixtureRequest, data: PretrainingData) -> Pretraining:
    config = tiny_config("model.dropout=0.5", f"objectives.itm_input={request.param}")
    return Pretraining(tiny_model(data.processor, config), config.objectives)


def test_means_over_all_held_out_rows_each_alone(data: PretrainingData, pretraining: Pretraining) -> None:
    rows = data.rows
    result = held_out_losses(data, rows, 3)(pretraining)
    pretraining.train(False)
    totals: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for row in rows:
        for name, loss in pretraining(data.batch(np.array([row]), np.array([-1]))).losses.items():
            totals[name] += loss.total.item()
            counts[name] += loss.count
    assert len(rows) == 8
    assert result["losses"] == pytest.approx({name: totals[name] / counts[name] for name in counts}, rel=1e-4)


def test_every_call_measures_the_same_and_leaves_the_model_as_it_was(
    data: PretrainingData, pretraining: Pretraining
) -> None:
    validate = held_out_losses(data, data.rows, 4)
    before = {name: value.clone() for name, value in pretraining.state_dict().items()}
    randomness = torch.get_rng_state()
    first = validate(pretraining)
    assert validate(pretraining) == first
    assert pretraining.training
    assert all(module.training for module in pretraining.modules())
    assert torch.equal(torch.get_rng_state(), randomness)
    assert all(torch.equal(value, before[name]) for name, value in pretraining.state_dict().items())
    assert all(parameter.grad is None for parameter in pretraining.parameters())


def test_mismatched_photos_come_from_the_held_out_rows(data: PretrainingData) -> None:
    shown = data.photo_rows(data.rows, np.full(len(data.rows), -1))
    assert (shown != data.rows).any()
    assert set(shown.tolist()) <= set(data.rows.tolist())


def test_a_batch_size_changes_nothing_but_rounding(data: PretrainingData, pretraining: Pretraining) -> None:
    results = [held_out_losses(data, data.rows, size)(pretraining) for size in (1, 5, 100)]
    for result in results[1:]:
        assert result["losses"] == pytest.approx(results[0]["losses"], rel=1e-4)
        assert result["metrics"].keys() == results[0]["metrics"].keys()
