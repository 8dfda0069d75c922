"""ITM judged from the [CLS] of whole pairs, with nothing masked, by a second encoder pass."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from item_embed.catalog.store import Catalog
from item_embed.config import MASKED_TASKS
from item_embed.objectives.batch import PretrainingBatch, total_counts
from item_embed.objectives.pretraining import Pretraining, weighted_sum
from tests.objectives.modules import SETTINGS, parts, position_gradients, pretraining
from tests.tiny import tiny_config, white_catalog

WHOLE = "objectives.itm_input=whole"
MASKED = "objectives.itm_input=masked"
DROPS = ("objectives.patch_masking=drop", "model.background=drop")
CASES = [(), DROPS[:1], DROPS[1:], DROPS]
UNEQUAL = ("training.batch_size=32", "model.max_title_tokens=16")  # titles of 8 to 12 tokens


@pytest.fixture(scope="module")
def white(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return white_catalog(tmp_path_factory.mktemp("white") / "catalog")


def judging(white: Catalog, *overrides: str) -> tuple[Pretraining, PretrainingBatch]:
    config = tiny_config(*SETTINGS, *UNEQUAL, *overrides)
    (batch,) = parts(white, config)
    return pretraining(white, config), batch


def gradients(module: Pretraining, total: Tensor) -> dict[str, Tensor]:
    named = dict(module.named_parameters())
    found = torch.autograd.grad(total, list(named.values()), allow_unused=True)
    return {name: torch.zeros_like(p) if g is None else g for (name, p), g in zip(named.items(), found, strict=True)}


def plainly(module: Pretraining, batch: PretrainingBatch) -> Tensor:
    """ITM's loss, each pair that has a title and a photo encoded alone, as it is."""
    total = torch.zeros(())
    for b in range(len(batch)):
        if batch.photo_missing[b] or batch.title_missing[b]:
            continue
        title = batch.tokens[b, ~batch.token_padding[b]]
        photo = batch.pixels[b] / 127.5 - 1
        empty = batch.background[b] if module.model.config.background == "drop" else torch.zeros(8, dtype=torch.bool)
        cls = module.model(title[None], photo[None], left_out=empty[None]).cls[0]
        total = total - torch.log_softmax(module.model.heads["itm"](cls), dim=-1)[int(batch.matched[b])]
    return total


@pytest.mark.parametrize("drops", CASES)
def test_loss_and_gradients_are_those_of_each_whole_pair_alone(drops: tuple[str, ...], white: Catalog) -> None:
    module, batch = judging(white, WHOLE, *drops)
    judged = batch.judged_pairs
    assert {bool(m) for m in batch.matched[judged]} == {True, False}
    assert not judged.all()
    assert batch.token_padding[judged].any()
    loss, expected = module(batch).losses["itm"], plainly(module, batch)
    assert loss.count == judged.sum() == batch.counts()["itm"]
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-4)
    found, wanted = gradients(module, loss.total), gradients(module, expected)
    assert any(gradient.any() for gradient in wanted.values())
    for name, gradient in wanted.items():
        np.testing.assert_allclose(found[name].numpy(), gradient.numpy(), rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("drops", CASES)
def test_the_other_objectives_are_what_they_were(drops: tuple[str, ...], white: Catalog) -> None:
    (masked, batch), (whole, _) = judging(white, MASKED, *drops), judging(white, WHOLE, *drops)
    before, after = masked(batch).losses, whole(batch).losses
    assert list(before) == list(after)
    assert not torch.equal(before["itm"].total, after["itm"].total)
    for name in ("mlm", "mim", "gmlm", "gmim"):
        assert torch.equal(before[name].total, after[name].total), name


@pytest.mark.parametrize("drops", CASES)
@pytest.mark.parametrize("name", MASKED_TASKS)
def test_itm_reaches_the_whole_pairs_cls_alone_and_the_others_the_masked_batch_alone(
    name: str, drops: tuple[str, ...], white: Catalog
) -> None:
    module, batch = judging(white, WHOLE, *drops)
    output = module(batch)
    assert output.whole is not None
    assert output.whole.shape[:1] == (int(batch.judged_pairs.sum()),)
    reached, other = (output.whole, output.hidden) if name == "itm" else (output.hidden, output.whole)
    (gradient,) = torch.autograd.grad(output.losses[name].total, other, retain_graph=True, allow_unused=True)
    assert gradient is None
    norms = position_gradients(output.losses[name], reached)
    assert norms.any()
    if name == "itm":
        assert norms[:, 0].all()
        assert not norms[:, 1:].any()


def masked_otherwise(batch: PretrainingBatch) -> PretrainingBatch:
    """The batch with other words corrupted and other patches masked."""
    ordinary = batch.tokens > 4
    return replace(
        batch,
        input_ids=torch.where(ordinary, batch.tokens % 20 + 7, batch.tokens),
        masked_tokens=ordinary & ~batch.masked_tokens,
        masked_patches=~batch.masked_patches & ~batch.background,
    )


@pytest.mark.parametrize("drops", CASES)
@pytest.mark.parametrize("setting", [MASKED, WHOLE])
def test_masks_matter_to_itm_on_masked_input_only(setting: str, drops: tuple[str, ...], white: Catalog) -> None:
    module, batch = judging(white, setting, *drops)
    before, after = module(batch).losses["itm"], module(masked_otherwise(batch)).losses["itm"]
    assert torch.equal(before.total, after.total) == (setting == WHOLE)


@pytest.mark.parametrize("setting", [MASKED, WHOLE])
def test_what_a_mask_hides_matters_to_itm_on_whole_input_only(setting: str, white: Catalog) -> None:
    module, batch = judging(white, setting)
    hidden = batch.masked_patches.reshape(-1, 1, 4, 1, 2, 1).expand(-1, 3, -1, 8, -1, 8).reshape(batch.pixels.shape)
    repainted = replace(batch, pixels=torch.where(hidden, 255 - batch.pixels, batch.pixels))
    before, after = module(batch).losses["itm"], module(repainted).losses["itm"]
    assert torch.equal(before.total, after.total) == (setting == MASKED)


@pytest.mark.parametrize(
    ("overrides", "passes"), [((MASKED,), 1), ((WHOLE,), 2), ((WHOLE, "objectives.weights.itm=0"), 1)]
)
def test_a_second_pass_is_made_only_where_something_is_judged_whole(
    overrides: tuple[str, ...], passes: int, white: Catalog
) -> None:
    module, batch = judging(white, *overrides)
    calls: list[Any] = []
    hook = module.model.register_forward_hook(lambda *call: calls.append(call))
    output = module(batch)
    hook.remove()
    assert len(calls) == passes
    assert (output.whole is not None) == (passes == 2)


@pytest.mark.parametrize("drops", CASES)
def test_gradients_in_four_parts_are_those_in_one(drops: tuple[str, ...], white: Catalog) -> None:
    summed = []
    for accumulation in (1, 4):
        config = tiny_config(*SETTINGS, *UNEQUAL, WHOLE, *drops, f"training.accumulation={accumulation}")
        step, module = parts(white, config), pretraining(white, config)
        weights, counts = config.objectives.weights.active(), total_counts(step)
        terms = [weighted_sum(module(part).losses, weights, counts) for part in step]
        summed.append(gradients(module, torch.stack(terms).sum()))
    for name, whole in summed[0].items():
        np.testing.assert_allclose(summed[1][name].numpy(), whole.numpy(), rtol=1e-3, atol=5e-6, err_msg=name)


@pytest.mark.parametrize("drops", CASES)
def test_a_batch_without_any_pair_to_judge_trains(drops: tuple[str, ...], white: Catalog) -> None:
    module, batch = judging(white, WHOLE, *drops)
    every = torch.ones(len(batch), dtype=torch.bool)
    nothing = replace(batch, photo_missing=every, matched=every)
    output = module(nothing)
    assert output.whole is None  # some attention kernels refuse an empty batch
    assert (output.losses["itm"].count, output.losses["itm"].total.item()) == (0, 0.0)
    weighted_sum(output.losses, dict.fromkeys(MASKED_TASKS, 1.0), nothing.counts()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize("drops", CASES)
def test_where_passes_are_the_same_a_pair_is_encoded_that_changes_nothing(
    drops: tuple[str, ...], white: Catalog
) -> None:
    module, batch = judging(white, WHOLE, *drops)
    every = torch.ones(len(batch), dtype=torch.bool)
    nothing = replace(batch, photo_missing=every, matched=every)
    found = []
    for module.same_passes in (False, True):
        output = module(nothing)
        total = weighted_sum(output.losses, dict.fromkeys(MASKED_TASKS, 1.0), nothing.counts())
        found.append((total, gradients(module, total)))
    assert output.whole is not None
    assert len(output.whole) == 1
    assert output.losses["itm"].total.item() == 0
    (total, expected), (same, others) = found
    assert torch.equal(same, total)
    for name, gradient in expected.items():
        torch.testing.assert_close(others[name], gradient, msg=name)
    reached = torch.autograd.grad(module(nothing).losses["itm"].total, list(module.model.item.blocks.parameters()))
    assert not any(gradient.any() for gradient in reached)  # but there they are, in every process
