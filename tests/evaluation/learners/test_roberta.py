from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from item_embed.catalog.store import Catalog
from item_embed.evaluation.learners.matching import parameters
from item_embed.evaluation.learners.roberta import Roberta, RobertaOnCategories, mean_output, new_roberta
from item_embed.model.tokenizer import CLS, MASK, PAD, SEP
from tests.evaluation.learners.made import fit, material, records


def test_parameters_come_within_one_in_a_hundred(catalog: Catalog) -> None:
    given = material(catalog, "model.intermediate_size=256")
    assert parameters(new_roberta(given)) == pytest.approx(given.parameters, rel=0.01)


def test_titles_are_masked_anew_in_each_epoch_and_nothing_else_is(catalog: Catalog) -> None:
    task = Roberta().prepare(material(catalog))
    rows = task.samples.rows
    batches = [task.batch(rows, np.full(len(rows), epoch)) for epoch in range(40)]
    again = task.batch(rows[3:5], np.full(2, 7))
    shared = again["ids"].shape[1]
    torch.testing.assert_close(again["ids"], batches[7]["ids"][3:5, :shared])
    masked = torch.stack([batch["masked"] for batch in batches])
    tokens = batches[0]["tokens"]
    special = (tokens == CLS) | (tokens == SEP) | (tokens == PAD)
    assert not masked[:, special].any()
    assert masked.any(dim=0)[~special].all()  # each word is asked for sooner or later
    assert masked.any(dim=2).all()  # and one at least of each title
    shown = torch.stack([batch["ids"] for batch in batches])
    assert torch.equal(shown[~masked], tokens.expand_as(shown)[~masked])
    share = (shown[masked] == MASK).float().mean().item()
    assert share == pytest.approx(0.8, abs=0.05)


def test_the_loss_is_that_of_the_masked_tokens(catalog: Catalog) -> None:
    task = Roberta().prepare(material(catalog))
    batch = task.batch(*task.samples.drawn(0))
    with torch.no_grad():
        loss = task.module(**batch)
        hidden = task.encoder(input_ids=batch["ids"], attention_mask=(~batch["padding"]).long()).last_hidden_state
        features = task.module.get_submodule("transform")(hidden)
        scores = features @ task.encoder.get_input_embeddings().weight.T + task.module.get_parameter("bias")
        total = sum(
            F.cross_entropy(scores[b, t], batch["tokens"][b, t]).item() for b, t in batch["masked"].nonzero().tolist()
        )
    assert loss.count == int(batch["masked"].sum())
    assert loss.total.item() == pytest.approx(total, rel=1e-4)


def test_the_vector_is_the_mean_of_a_titles_own_tokens(catalog: Catalog) -> None:
    encoder = new_roberta(material(catalog)).eval()
    ids = torch.tensor([[CLS, 9, 11, 12, SEP], [CLS, 12, 9, SEP, PAD], [CLS, SEP, PAD, PAD, PAD]])
    with torch.no_grad():
        together = mean_output(encoder, ids, ids == PAD)
        alone = encoder(input_ids=ids[1:2, :4]).last_hidden_state[0]
    torch.testing.assert_close(together[1], (alone[1] + alone[2]) / 2)
    assert not together[2].any()


def test_categories_are_those_of_the_rows(catalog: Catalog) -> None:
    task = RobertaOnCategories().prepare(material(catalog))
    rows, epochs = task.samples.drawn(1)
    labels = task.batch(rows, epochs)["labels"]
    paths = [catalog.categories[row] for row in rows]
    assert [sorted(set(filter(None, catalog.categories)))[label] for label in labels] == paths


@pytest.mark.slow
def test_it_learns_titles_that_are_easy(catalog: Catalog, tmp_path: Path) -> None:
    given = material(catalog, "training.steps=60", "training.learning_rate=2e-2", "training.log_every=10")
    fit(RobertaOnCategories(), given, tmp_path / "run")
    lines = records(tmp_path / "run")
    assert lines[-1]["loss"] < 0.2 * lines[0]["loss"]
    assert lines[-1]["metrics"]["accuracy"] > 0.9
