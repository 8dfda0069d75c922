from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from item_embed.catalog.store import Catalog
from item_embed.evaluation.ablation.cost import Lengths, encoder_flops, forward_flops, training_flops
from item_embed.model import encoder, heads
from item_embed.objectives.batch import PretrainingBatch
from item_embed.objectives.pretraining import weighted_sum
from item_embed.training.batches import PretrainingData
from tests.objectives.modules import parts, pretraining
from tests.tiny import tiny_config, tiny_processor, white_catalog


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return white_catalog(tmp_path_factory.mktemp("cost") / "catalog")


SETTINGS = [
    (),
    ("objectives.weights={itm: 0, gmlm: 0, gmim: 0}",),
    ("objectives.weights={itm: 1, mlm: 0, mim: 0}", "objectives.global_head=linear"),
    ("objectives.global_head=conditioned", "model.num_hidden_layers=2", "model.intermediate_size=48"),
    ("objectives.patch_masking=drop",),
    ("objectives.patch_masking=drop", "model.background=drop", "objectives.patch_mask_rate=0.75"),
    ("objectives.itm_input=whole", "model.background=drop"),
    ("model.patch_embedding=convolutional",),
    ("model.patch_embedding=convolutional", "objectives.patch_masking=drop", "model.background=drop"),
    ("objectives.weights={itm: 0, mlm: 0, mim: 0, gmlm: 0, gmim: 0, agreement: 1}", "model.background=drop"),
    ("objectives.weights.agreement=1", "model.patch_embedding=convolutional"),
]


def is_level(batch: PretrainingBatch) -> bool:
    """Whether the two views, where there are any, have equally long titles, so that nothing is padded."""
    return batch.views is None or not bool(batch.views.token_padding.any())


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_formula_counts_the_products_that_torch_counts(
    settings: tuple[str, ...], catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (encoder, heads):  # torch does not count those of its kernel for a CPU
        monkeypatch.setattr(place, "attention", encoder.plain_attention)
    config = tiny_config(*settings)
    module, weights = pretraining(catalog, config), config.objectives.weights.active()
    vocab_size, products = module.model.config.vocab_size, 2 * 2 * 2 * config.model.hidden_size
    data = PretrainingData(catalog, catalog.rows("train"), tiny_processor(catalog, config), config)
    pairs = ((np.array([row]), np.array([epoch])) for epoch in range(3) for row in data.rows)
    batches = [data.batch(*pair) for pair in pairs]  # one by one, so that nothing is padded
    whole = next(batch for batch in batches if all(batch.counts()[name] for name in weights) and is_level(batch))
    for batch in (whole, next(batch for batch in batches if batch.photo_missing.all() and is_level(batch))):
        with FlopCounterMode(display=False) as forward:
            losses = module(batch).losses
        counted = forward.get_total_flops()
        # What the formula leaves out: the queries of MIM's decoder, projected once for a batch, and a missing photo's
        # blank patches, which are projected where none are left out.
        decoder = config.objectives.patch_masking == "drop" and "mim" in weights
        blank = batch is not whole and data.settings.patch_masking == config.model.background == "keep"
        blank = blank and config.model.patch_embedding == "linear"
        width, patches = config.model.hidden_size, config.model.patches
        counted -= products * ("agreement" in weights)  # of the two views with each other
        counted -= 2 * patches * width * (width * decoder + 3 * config.model.patch_size**2 * blank)
        wanted = forward_flops(config, vocab_size, Lengths.of(batch, config))
        assert counted == pytest.approx(float(wanted[0]), abs=1)
        if batch is whole and not decoder:  # else some parameters get no gradient, and their products are not computed
            with FlopCounterMode(display=False) as backward:
                weighted_sum(losses, weights, batch.counts()).backward()
            total = counted + backward.get_total_flops() - 2 * products * ("agreement" in weights)
            assert training_flops(config, vocab_size, Lengths.of(batch, config)) == pytest.approx(total, abs=1)


def test_the_mean_of_a_batch_is_that_of_its_pairs(catalog: Catalog) -> None:
    config = tiny_config("training.batch_size=16", "objectives.itm_input=whole")
    (batch,) = parts(catalog, config)
    lengths = Lengths.of(batch, config)
    alone = [
        training_flops(config, 80, Lengths(**{name: column[[row]] for name, column in vars(lengths).items()}))
        for row in range(16)
    ]
    assert len(set(alone)) > 1
    assert training_flops(config, 80, lengths) == pytest.approx(np.mean(alone))


def test_what_is_not_there_costs_nothing(catalog: Catalog) -> None:
    config = tiny_config("training.batch_size=16", "model.background=drop")
    (batch,) = parts(catalog, config)
    lengths = Lengths.of(batch, config)
    missing = batch.photo_missing.numpy()
    assert missing.any()
    assert not lengths.photo[missing].any()
    assert (lengths.photo < config.model.patches).any()
    assert not lengths.words[~batch.matched.numpy()].any()
    bare = replace(batch, photo_missing=torch.ones_like(batch.photo_missing))
    assert (forward_flops(config, 80, Lengths.of(bare, config)) <= forward_flops(config, 80, lengths)).all()


def test_the_encoder_in_plain_numbers() -> None:
    model = tiny_config("model.num_hidden_layers=3").model  # D 16, I 32, patches of 8 pixels
    length = 5 + 8
    attention = 4 * 2 * length * 16 * 16 + 2 * 2 * length * length * 16  # q, k, v, out; scores and their sums
    mlp = 2 * 2 * length * 16 * 32
    wanted = 2 * 8 * 192 * 16 + 3 * (attention + mlp)
    assert encoder_flops(model, np.array([5.0]), np.array([8.0])).tolist() == [wanted]


def test_the_documented_example(tmp_path: Path) -> None:
    from item_embed.config import RunConfig

    found = encoder_flops(RunConfig.load("tiny").model, np.array([14.0]), np.array([20.0]))
    assert float(found[0]) / 1e6 == pytest.approx(45.8, abs=0.05)
