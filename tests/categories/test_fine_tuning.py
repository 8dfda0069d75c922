from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from item_embed.catalog.store import Catalog
from item_embed.categories.fine_tuning import FineTuning, fine_tune
from item_embed.categories.leaves import LeafTask
from item_embed.embedding.seen import Modalities
from item_embed.evaluation.classification import judge
from item_embed.model.storage import fingerprint
from tests.tiny import THINGS, tiny_catalog, tiny_config, tiny_model, tiny_processor

SETTINGS = FineTuning(epochs=2, least_steps=20, batch_size=8, learning_rate=1e-2)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalog, Path]:
    path = tmp_path_factory.mktemp("fine")
    catalog, config = tiny_catalog(path / "catalog"), tiny_config()
    processor = tiny_processor(catalog, config)
    tiny_model(processor, config).save_pretrained(path / "model")
    processor.save_pretrained(path / "model")
    return catalog, path / "model"


def things() -> LeafTask:
    """The thing that the title names, of the rows that have a title."""
    rows = np.array([row for row in range(40) if row % 11 != 5])
    return LeafTask(THINGS, np.arange(40) % 5, np.arange(40), rows[:20], rows[20:28], rows[28:])


def test_the_encoder_learns_what_titles_say_and_the_model_stays_as_it_is(made: tuple[Catalog, Path]) -> None:
    (catalog, model), task = made, things()
    before, state = fingerprint(model), torch.random.get_rng_state()
    classify = fine_tune(model, catalog, "title", SETTINGS, device="cpu")
    scores = classify(task, task.train)
    assert judge(scores, task, len(task.train)).right.mean() > 0.8
    assert scores.settings["epochs"] in (1, 2)
    assert fingerprint(model) == before
    assert (torch.random.get_rng_state() == state).all()
    labels = task.labels.copy()
    labels[task.test] = 0  # what it is judged by, it does not see
    assert np.allclose(classify(replace(task, labels=labels), task.train).test, scores.test, atol=1e-4)


@pytest.mark.parametrize("modalities", ["both", "image"])
def test_rows_without_a_photo_and_unknown_leaves_are_no_error(
    made: tuple[Catalog, Path], modalities: Modalities
) -> None:
    (catalog, model), task = made, things()
    quick = FineTuning(epochs=1, least_steps=2, batch_size=8)
    few = task.train[task.labels[task.train] < 2]
    nothing = LeafTask(task.leaves, task.labels, task.groups, task.train, np.zeros(0, np.int64), task.test)
    scores = fine_tune(model, catalog, modalities, quick, device="cpu")(nothing, few)
    assert scores.validation.shape == (0, 5)
    assert np.isfinite(scores.test[:, :2]).all()
    assert (scores.test[:, 2:] == -np.inf).all()
