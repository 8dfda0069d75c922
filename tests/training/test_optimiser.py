import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.config import TrainingSettings
from item_embed.training.optimiser import learning_rate, make_optimizer
from tests.tiny import tiny_catalog, tiny_config, tiny_model, tiny_processor


@given(st.integers(1, 200), st.integers(0, 100), st.floats(1e-5, 1))
@settings(max_examples=50, deadline=None)
def test_the_learning_rate_is_its_formula(steps: int, warmup: int, peak: float) -> None:
    warmup = min(warmup, steps - 1)
    plan = TrainingSettings(steps=steps, warmup_steps=warmup, learning_rate=peak)
    rates = [learning_rate(step, plan) for step in range(steps)]
    for step, rate in enumerate(rates):
        if step < warmup:
            expected = peak * (step + 1) / warmup
        else:
            expected = peak / 2 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
        assert rate == pytest.approx(expected)
    assert min(rates) > 0
    assert max(rates) == pytest.approx(peak)
    assert rates[:warmup] == sorted(rates[:warmup])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)


def test_every_parameter_is_in_exactly_one_group_and_only_matrices_decay(tmp_path: Path) -> None:
    config = tiny_config("training.weight_decay=0.07")
    model = tiny_model(tiny_processor(tiny_catalog(tmp_path / "catalog"), config), config)
    optimizer = make_optimizer(model, config.training)
    decayed, kept = optimizer.param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.07, 0.0)
    grouped = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())
    names = {id(p): name for name, p in model.named_parameters()}
    for parameter in decayed["params"]:
        assert parameter.dim() == 2
        assert "position" not in names[id(parameter)]
        assert "modality" not in names[id(parameter)]
    kept_names = {names[id(p)] for p in kept["params"]}
    assert {n for n in names.values() if n.endswith("bias") or "norm" in n or "position" in n} <= kept_names
    assert "item.embeddings.patch_mask" in kept_names
    assert "item.embeddings.word.weight" not in kept_names
    assert all(group["betas"] == config.training.betas for group in optimizer.param_groups)


_MANY_SHAPES = """
import torch
from item_embed.training.optimiser import keep_few_kernels

keep_few_kernels()
weight = torch.ones(64, 64, dtype=torch.bfloat16)
for rows in [*range(64, 264), 64]:
    torch.ones(rows, 64, dtype=torch.bfloat16) @ weight
"""


@pytest.mark.slow
@pytest.mark.parametrize(("capacity", "kept"), [(None, False), ("1024", True)])
def test_kernels_that_are_not_asked_for_again_are_let_go(capacity: str | None, kept: bool) -> None:
    environment = os.environ | {"ONEDNN_VERBOSE": "2", "OMP_NUM_THREADS": "1"}
    environment.pop("ONEDNN_PRIMITIVE_CACHE_CAPACITY", None)
    if capacity is not None:
        environment["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] = capacity
    command = [sys.executable, "-c", _MANY_SHAPES]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    made = [line for line in said.splitlines() if ",create:cache_" in line and "64x64:64x64" in line]
    if not made:
        pytest.skip("this torch multiplies bf16 without oneDNN, or without telling")
    assert ("cache_hit" in made[-1]) == kept
