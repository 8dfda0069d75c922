from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from item_embed.catalog.store import Catalog
from item_embed.config import MASKED_TASKS
from item_embed.objectives.agreement import nt_xent
from item_embed.objectives.batch import PretrainingBatch, total_counts
from item_embed.objectives.loss import Loss
from item_embed.objectives.mim import patch_targets
from item_embed.objectives.pretraining import Pretraining, _rows, weighted_sum
from tests.objectives.modules import SETTINGS, parts, position_gradients, pretraining
from tests.tiny import tiny_catalog, tiny_config


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny_catalog(tmp_path_factory.mktemp("tiny") / "catalog")


@pytest.fixture(scope="module")
def batch(catalog: Catalog) -> PretrainingBatch:
    (batch,) = parts(catalog, tiny_config(*SETTINGS))
    assert {bool(m) for m in batch.matched} == {True, False}
    assert batch.photo_missing.any()
    assert batch.title_missing.any()
    return batch


@pytest.fixture(scope="module")
def module(catalog: Catalog) -> Pretraining:
    return pretraining(catalog, tiny_config(*SETTINGS))


def test_each_objective_reads_what_its_formula_says(module: Pretraining, batch: PretrainingBatch) -> None:
    model, embeddings = module.model, module.model.item.embeddings
    encoded = model(
        batch.input_ids,
        batch.pixels / 127.5 - 1,
        batch.token_padding,
        batch.photo_missing,
        batch.masked_patches,
    )
    vocabulary, title = embeddings.word.weight, batch.tokens.shape[1]
    totals, counts = dict.fromkeys(MASKED_TASKS, 0.0), dict.fromkeys(MASKED_TASKS, 0)

    def add(name: str, value: Tensor) -> None:
        totals[name] += value.item()
        counts[name] += 1

    def surprise(scores: Tensor, target: int) -> Tensor:
        return -torch.log_softmax(scores, dim=-1)[target]

    with torch.no_grad():
        for b in range(len(batch)):
            h = encoded.hidden[b]
            if not batch.photo_missing[b] and not batch.title_missing[b]:
                add("itm", surprise(model.heads["itm"](h[0]), int(batch.matched[b])))
            if not batch.matched[b]:
                continue
            for i in range(title):
                if batch.masked_tokens[b, i]:
                    token, p = int(batch.tokens[b, i]), embeddings.title_position.weight[i]
                    add("mlm", surprise(model.heads["mlm"](h[i], vocabulary), token))
                    add("gmlm", surprise(model.heads["gmlm"](h[0], p, vocabulary), token))
            for j in range(8):
                if batch.masked_patches[b, j] and not batch.photo_missing[b]:
                    top, left = 8 * (j // 2), 8 * (j % 2)
                    patch = batch.pixels[b, :, top : top + 8, left : left + 8].reshape(-1) / 127.5 - 1
                    p = embeddings.patch_position.weight[j]
                    add("mim", (model.heads["mim"](h[title + j]) - patch).square().mean())
                    add("gmim", (model.heads["gmim"](h[0], p) - patch).square().mean())

    losses = module(batch).losses
    assert set(losses) == set(MASKED_TASKS)
    for name, loss in losses.items():
        assert loss.count == counts[name] == batch.counts()[name] > 0, name
        assert loss.total.item() == pytest.approx(totals[name], rel=1e-4), name


def test_patch_settings_reach_both_patch_objectives(catalog: Catalog, batch: PretrainingBatch) -> None:
    config = tiny_config("objectives.patch_target=normalized", "objectives.patch_loss=l1")
    module = pretraining(catalog, config)
    output = module(batch)
    pair, j = batch.predicted_patches.nonzero(as_tuple=True)
    cut = (batch.pixels / 127.5 - 1).reshape(-1, 3, 4, 8, 2, 8).permute(0, 2, 4, 1, 3, 5).reshape(-1, 8, 192)
    target = patch_targets(cut[pair, j], "normalized")
    title = batch.tokens.shape[1]
    mim = module.model.heads["mim"](output.hidden[pair, title + j])
    gmim = module.model.heads["gmim"](output.hidden[pair, 0], module.model.item.embeddings.patch_position.weight[j])
    for name, constructed in (("mim", mim), ("gmim", gmim)):
        expected = (constructed - target).abs().mean(dim=-1).sum().item()
        assert output.losses[name].total.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["itm", "gmlm", "gmim"])
def test_global_objectives_reach_the_encoder_through_cls_alone(
    name: str, module: Pretraining, batch: PretrainingBatch
) -> None:
    output = module(batch)
    norms = position_gradients(output.losses[name], output.hidden)
    predicts = {
        "itm": batch.judged_pairs,
        "gmlm": batch.predicted_tokens.any(dim=1),
        "gmim": batch.predicted_patches.any(dim=1),
    }[name]
    assert not norms[:, 1:].any()
    assert torch.equal(norms[:, 0] > 0, predicts)


@pytest.mark.parametrize("name", ["mlm", "mim"])
def test_local_objectives_reach_the_encoder_through_masked_positions_alone(
    name: str, module: Pretraining, batch: PretrainingBatch
) -> None:
    output = module(batch)
    norms = position_gradients(output.losses[name], output.hidden)
    nothing = torch.zeros_like
    tokens, patches = batch.predicted_tokens, batch.predicted_patches
    masks = [tokens, nothing(patches)] if name == "mlm" else [nothing(tokens), patches]
    assert torch.equal(norms > 0, torch.cat(masks, dim=1))


@pytest.mark.parametrize(
    ("name", "reached"),
    [
        ("itm", set()),
        ("mlm", {"word"}),
        ("mim", set()),
        ("gmlm", {"word", "title_position"}),
        ("gmim", {"patch_position"}),
    ],
)
def test_beside_the_encoders_output_only_the_head_and_what_its_formula_names(
    name: str, reached: set[str], catalog: Catalog, batch: PretrainingBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = pretraining(catalog, tiny_config(*SETTINGS))
    output = module.model(batch.input_ids, batch.pixels / 127.5 - 1)
    leaf = output.hidden.detach().requires_grad_()
    monkeypatch.setattr(module.model, "forward", lambda *_, **__: output._replace(hidden=leaf))
    module(batch).losses[name].total.backward()
    touched = {n for n, p in module.model.named_parameters() if p.grad is not None and p.grad.any()}
    head = {n for n, _ in module.model.named_parameters() if n.startswith(f"heads.{name}.")}
    assert touched == head | {f"item.embeddings.{part}.weight" for part in reached}
    if "title_position" in reached:
        gradient = module.model.item.embeddings.title_position.weight.grad
        assert gradient is not None
        masked = set(batch.predicted_tokens.nonzero()[:, 1].tolist())
        assert set(gradient.any(dim=1).nonzero().flatten().tolist()) == masked


def changed_rows(batch: PretrainingBatch, rows: Tensor) -> PretrainingBatch:
    """The batch with other words and other pixels in some rows."""
    ordinary = (batch.tokens > 4) & rows[:, None]
    words = torch.where(ordinary, batch.tokens % 20 + 6, batch.tokens)
    seen = torch.where(ordinary, batch.tokens % 20 + 7, batch.input_ids)
    pixels = torch.where(rows[:, None, None, None], 255 - batch.pixels, batch.pixels)
    return replace(batch, tokens=words, input_ids=seen, pixels=pixels)


def test_mismatched_pairs_count_in_no_masked_loss(module: Pretraining, batch: PretrainingBatch) -> None:
    other = changed_rows(batch, ~batch.matched)
    assert not torch.equal(other.tokens, batch.tokens)
    before, after = module(batch).losses, module(other).losses
    for name in ("mlm", "mim", "gmlm", "gmim"):
        assert torch.equal(before[name].total, after[name].total), name
    assert not torch.equal(before["itm"].total, after["itm"].total)


def test_a_matched_pair_does_count(module: Pretraining, batch: PretrainingBatch) -> None:
    other = changed_rows(batch, batch.matched & ~batch.photo_missing & ~batch.title_missing)
    before, after = module(batch).losses, module(other).losses
    assert all(not torch.equal(before[name].total, after[name].total) for name in MASKED_TASKS)


def test_a_missing_photo_counts_in_no_loss_whatever_stands_in_its_place(
    module: Pretraining, batch: PretrainingBatch
) -> None:
    gone = batch.photo_missing[:, None, None, None]
    noise = (torch.arange(batch.pixels.numel()) % 251).to(torch.uint8).reshape(batch.pixels.shape)
    other = replace(batch, pixels=torch.where(gone, noise, batch.pixels))
    before, after = module(batch).losses, module(other).losses
    assert all(torch.equal(before[name].total, after[name].total) for name in MASKED_TASKS)


def test_a_batch_without_any_photo_has_title_losses_only(module: Pretraining, batch: PretrainingBatch) -> None:
    nothing = replace(
        batch, photo_missing=torch.ones(len(batch), dtype=torch.bool), matched=torch.ones_like(batch.matched)
    )
    losses = module(nothing).losses
    assert {name for name, loss in losses.items() if loss.count} == {"mlm", "gmlm"}
    assert all(float(losses[name].total.detach()) == 0 for name in ("itm", "mim", "gmim"))
    weighted_sum(losses, dict.fromkeys(MASKED_TASKS, 1.0), nothing.counts()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())
    module.zero_grad()


@pytest.mark.parametrize("off", MASKED_TASKS)
def test_a_switched_off_objective_has_no_head_no_loss_and_no_weights(
    off: str, catalog: Catalog, batch: PretrainingBatch, tmp_path: Path
) -> None:
    module = pretraining(catalog, tiny_config(f"objectives.weights.{off}=0"))
    others = [name for name in MASKED_TASKS if name != off]
    assert list(module.model.heads) == others == module.model.config.objectives
    assert set(module(batch).losses) == set(others)
    module.model.save_pretrained(tmp_path)
    names = load_file(tmp_path / "model.safetensors").keys()
    assert {name.split(".")[1] for name in names if name.startswith("heads.")} == set(others)


def test_only_losses_are_summed(module: Pretraining, batch: PretrainingBatch) -> None:
    losses = module(batch).losses
    weights = {"itm": 2.0, "mlm": 0.5, "mim": 3.0, "gmlm": 1.0, "gmim": 0.25}
    counts = {name: 2 * n for name, n in batch.counts().items()}
    expected = sum(weights[name] * loss.total.item() / counts[name] for name, loss in losses.items())
    total = weighted_sum(losses, weights, counts)
    assert total.item() == pytest.approx(expected, rel=1e-5)

    shouting: dict[str, Any] = {"metrics": {"anything": torch.tensor(1e9)}}
    assert torch.equal(weighted_sum({k: replace(v, **shouting) for k, v in losses.items()}, weights, counts), total)
    assert not any(metric.requires_grad for loss in losses.values() for metric in loss.metrics.values())


def test_an_objective_without_any_prediction_adds_nothing() -> None:
    losses = {"itm": Loss(torch.tensor(0.0), 0), "mlm": Loss(torch.tensor(6.0), 3)}
    total = weighted_sum(losses, {"itm": 1.0, "mlm": 1.0}, {"itm": 0, "mlm": 3})
    assert total.item() == 2.0


def test_gradients_in_four_parts_are_those_in_one(catalog: Catalog) -> None:
    gradients = []
    for accumulation in (1, 4):
        config = tiny_config(*SETTINGS, f"training.accumulation={accumulation}")
        step = parts(catalog, config)
        assert len(step) == accumulation
        counts = total_counts(step)
        module = pretraining(catalog, config)
        for part in step:
            weighted_sum(module(part).losses, config.objectives.weights.active(), counts).backward()
        gradients.append({name: p.grad for name, p in module.named_parameters()})
    for name, whole in gradients[0].items():
        summed = gradients[1][name]
        assert whole is not None, name
        assert summed is not None, name
        np.testing.assert_allclose(summed.numpy(), whole.numpy(), rtol=1e-4, atol=2e-6, err_msg=name)


def test_the_gradient_of_repeated_rows_does_not_depend_on_the_order_of_threads() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        rows = torch.arange(6000) % 8  # large enough that torch shares the work among threads
        weights = torch.randn(6000, 128, generator=torch.Generator().manual_seed(0))
        gradients = []
        for _ in range(5):
            table = torch.ones(8, 128, requires_grad=True)
            (_rows(table, rows) * weights).sum().backward()
            gradients.append(table.grad)
    finally:
        torch.set_num_threads(threads)
    expected = torch.stack([weights[rows == row].double().sum(dim=0) for row in range(8)])
    assert gradients[0] is not None
    torch.testing.assert_close(gradients[0].double(), expected, atol=1e-3, rtol=1e-4)
    assert all(gradient is not None and torch.equal(gradient, gradients[0]) for gradient in gradients)


AGREEMENT = "objectives.weights={itm: 0, mlm: 0, mim: 0, gmlm: 0, gmim: 0, agreement: 1}"


def test_agreement_alone_encodes_views_as_products_are_embedded(catalog: Catalog) -> None:
    config = tiny_config(*SETTINGS, AGREEMENT)
    module, (batch,) = pretraining(catalog, config), parts(catalog, config)
    assert len(module.model.heads) == 0
    assert batch.views is not None
    output = module(batch)
    assert set(output.losses) == {"agreement"}
    assert set(output.encoded) == {"views"}
    views = batch.views
    for view in range(len(views)):
        words = int((~views.token_padding[view]).sum())
        photo = None if views.photo_missing[view] else views.pixels[view : view + 1] / 127.5 - 1
        alone = module.model(views.input_ids[view : view + 1, :words], photo)
        torch.testing.assert_close(output.encoded["views"][view, 0], alone.cls[0], rtol=1e-4, atol=1e-5)
    norms = position_gradients(output.losses["agreement"], output.encoded["views"])
    assert norms[:, 0].all()
    assert not norms[:, 1:].any()


def test_agreement_is_of_the_views_cls_by_its_settings(catalog: Catalog) -> None:
    config = tiny_config(*SETTINGS, AGREEMENT, "objectives.agreement.temperature=0.4", "model.background=drop")
    module, (batch,) = pretraining(catalog, config), parts(catalog, config)
    assert batch.views is not None
    codes = torch.arange(len(batch)) // 2  # pairs that nobody can tell apart
    views = replace(batch.views, title_codes=codes, photo_codes=codes)
    assert len(set(views.kinds.tolist())) == 3
    assert (views.alike.sum() > len(batch)).item()
    batch = replace(batch, views=views)
    loss = module(batch).losses["agreement"]
    first, second = module.model(
        views.input_ids, views.pixels / 127.5 - 1, views.token_padding, views.photo_missing, left_out=views.background
    ).cls.chunk(2)
    expected = nt_xent(first, second, 0.4, views.kinds, views.alike)
    torch.testing.assert_close(loss.total, expected.total)
    for other in (nt_xent(first, second, 0.05, views.kinds, views.alike), nt_xent(first, second, 0.4, views.kinds)):
        assert not torch.allclose(loss.total, other.total)


def test_views_beside_masked_pairs_leave_their_losses_as_they_were(module: Pretraining, catalog: Catalog) -> None:
    config = tiny_config(*SETTINGS, "objectives.weights.agreement=1")
    (with_views,), (without,) = parts(catalog, config), parts(catalog, tiny_config(*SETTINGS))
    found = pretraining(catalog, config)(with_views).losses
    for name, loss in module(without).losses.items():
        assert torch.equal(found[name].total, loss.total)
    assert found["agreement"].count == 2 * len(with_views)


def test_views_that_agree_and_differ_from_others_cost_less(catalog: Catalog) -> None:
    """A few steps on one batch bring its views together: the gradient points the right way."""
    config = tiny_config(*SETTINGS, AGREEMENT, "model.patch_embedding=convolutional")
    module, (batch,) = pretraining(catalog, config), parts(catalog, config)
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    totals = []
    for _ in range(30):
        loss = module(batch).losses["agreement"]
        totals.append(loss.total.item())
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
    assert totals[-1] < 0.5 * totals[0]
