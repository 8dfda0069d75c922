"""The objectives where masked patches, background or both are not encoded."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from item_embed.catalog.store import Catalog
from item_embed.config import MASKED_TASKS
from item_embed.model.encoder import ItemOutput
from item_embed.objectives.batch import PretrainingBatch, total_counts
from item_embed.objectives.pretraining import Pretraining, weighted_sum
from tests.objectives.modules import SETTINGS, parts, position_gradients, pretraining
from tests.tiny import tiny_config, white_catalog

DROPS = ("objectives.patch_masking=drop", "model.background=drop")
CASES = [DROPS[:1], DROPS[1:], DROPS]


@pytest.fixture(scope="module")
def white(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return white_catalog(tmp_path_factory.mktemp("white") / "catalog")


def dropping(white: Catalog, drops: tuple[str, ...]) -> tuple[Pretraining, PretrainingBatch]:
    config = tiny_config(*SETTINGS, "training.batch_size=32", *drops)
    (batch,) = parts(white, config)
    return pretraining(white, config), batch


def repainted(batch: PretrainingBatch, where: Tensor) -> PretrainingBatch:
    """The batch with other pixels in some patches, (B, P)."""
    mask = where.reshape(-1, 1, 4, 1, 2, 1).expand(-1, 3, -1, 8, -1, 8).reshape(batch.pixels.shape)
    return replace(batch, pixels=torch.where(mask, 255 - batch.pixels, batch.pixels))


def outputs(module: Pretraining, batch: PretrainingBatch) -> Tensor:
    """All that the heads read of the encoder, absent positions left aside."""
    encoded: list[ItemOutput] = []
    hook = module.model.register_forward_hook(lambda *call: encoded.append(call[2]))
    module(batch)
    hook.remove()
    return encoded[0].hidden[~encoded[0].absent]


@pytest.mark.parametrize("drops", CASES)
def test_what_is_dropped_has_no_output_and_changes_none(drops: tuple[str, ...], white: Catalog) -> None:
    module, batch = dropping(white, drops)
    assert batch.masked_patches.any()
    assert batch.background.any() == ("model.background=drop" in drops)
    before = outputs(module, batch)
    hidden = batch.masked_patches | batch.background
    assert torch.equal(outputs(module, repainted(batch, hidden)), before)
    assert not torch.equal(outputs(module, repainted(batch, ~hidden)), before)
    gone = hidden if DROPS[0] in drops else batch.background
    titles, photos = (~batch.token_padding).sum(), (~gone & ~batch.photo_missing[:, None]).sum()
    assert len(before) == titles + photos


@pytest.mark.parametrize("drops", CASES)
def test_background_is_never_predicted(drops: tuple[str, ...], white: Catalog) -> None:
    module, batch = dropping(white, drops)
    assert batch.counts()["mim"] == module(batch).losses["mim"].count == int(batch.predicted_patches.sum()) > 0
    before, after = module(batch).losses, module(repainted(batch, batch.background)).losses
    assert all(torch.equal(before[name].total, after[name].total) for name in MASKED_TASKS)


@pytest.mark.parametrize("drops", CASES)
def test_losses_are_those_of_each_pair_alone(drops: tuple[str, ...], white: Catalog) -> None:
    """Packing, groups of lengths and padded queries leave no trace."""
    module, batch = dropping(white, drops)
    together = module(batch).losses
    alone = dict.fromkeys(MASKED_TASKS, 0.0)
    for row in range(len(batch)):
        parts = {name: value[row : row + 1] for name, value in vars(batch).items() if name != "views"}
        one = PretrainingBatch(**parts)
        for name, loss in module(one).losses.items():
            alone[name] += loss.total.item()
    assert {name: loss.total.item() for name, loss in together.items()} == pytest.approx(alone, rel=1e-4)


@pytest.mark.parametrize("drops", CASES)
@pytest.mark.parametrize("name", ["itm", "gmlm", "gmim"])
def test_global_objectives_see_cls_and_positions_alone_where_patches_are_dropped(
    name: str, drops: tuple[str, ...], white: Catalog
) -> None:
    module, batch = dropping(white, drops)
    output = module(batch)
    norms = position_gradients(output.losses[name], output.hidden)
    assert norms[:, 0].any()
    assert not norms[:, 1:].any()


def test_the_decoder_reads_all_that_is_encoded_of_pairs_with_masked_patches_and_what_asks(white: Catalog) -> None:
    module, batch = dropping(white, DROPS)
    encoded: list[ItemOutput] = []
    hook = module.model.register_forward_hook(lambda *call: encoded.append(call[2]))
    output = module(batch)
    hook.remove()
    asked = batch.predicted_patches.any(dim=1)[:, None]
    norms = position_gradients(output.losses["mim"], output.hidden)
    assert torch.equal(norms > 0, ~encoded[0].absent & asked)

    leaf = encoded[0]._replace(hidden=encoded[0].hidden.detach().requires_grad_())
    module.zero_grad()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.model, "forward", lambda *_, **__: leaf)
        module(batch).losses["mim"].total.backward()
    touched = {n for n, p in module.model.named_parameters() if p.grad is not None and p.grad.any()}
    head = {n for n, _ in module.model.named_parameters() if n.startswith("heads.mim.")}
    read = ("patch_mask", "patch_position.weight", "modality.weight")
    assert touched == head | {f"item.embeddings.{part}" for part in read}


@pytest.mark.parametrize("drops", CASES)
def test_gradients_in_parts_are_those_in_one_where_patches_are_dropped(drops: tuple[str, ...], white: Catalog) -> None:
    gradients = []
    for accumulation in (1, 4):
        config = tiny_config(*SETTINGS, "training.batch_size=32", *drops, f"training.accumulation={accumulation}")
        step = parts(white, config)
        module = pretraining(white, config)
        for part in step:
            losses = module(part).losses
            weighted_sum(losses, config.objectives.weights.active(), total_counts(step)).backward()
        gradients.append({name: p.grad for name, p in module.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, whole in gradients[0].items():
        np.testing.assert_allclose(gradients[1][name].numpy(), whole.numpy(), rtol=1e-3, atol=5e-6, err_msg=name)


@pytest.mark.parametrize("drops", CASES)
def test_a_batch_without_any_photo_trains_where_patches_are_dropped(drops: tuple[str, ...], white: Catalog) -> None:
    module, batch = dropping(white, drops)
    nothing = replace(
        batch, photo_missing=torch.ones(len(batch), dtype=torch.bool), matched=torch.ones_like(batch.matched)
    )
    losses = module(nothing).losses
    assert {name for name, loss in losses.items() if loss.count} == {"mlm", "gmlm"}
    weighted_sum(losses, dict.fromkeys(MASKED_TASKS, 1.0), nothing.counts()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize("drops", [("objectives.patch_masking=drop",), (*DROPS,), ()])
def test_convolutions_see_nothing_of_masked_patches(drops: tuple[str, ...], white: Catalog) -> None:
    """They look beyond a patch, also at one that is not encoded."""
    module, batch = dropping(white, (*drops, "model.patch_embedding=convolutional"))
    before = outputs(module, batch)
    assert torch.equal(outputs(module, repainted(batch, batch.masked_patches)), before)
    assert not torch.equal(outputs(module, repainted(batch, ~batch.masked_patches)), before)
