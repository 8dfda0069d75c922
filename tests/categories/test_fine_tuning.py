import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from item_embed.catalog.store import Catalog
from item_embed.categories.fine_tuning import FineTuning, fine_tune, fine_tuned_model
from item_embed.categories.leaves import LeafTask
from item_embed.categories.linear import linear_probe
from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.embedder import Embedder
from item_embed.embedding.seen import Modalities
from item_embed.evaluation.classification import judge
from item_embed.model.folder import fingerprint
from item_embed.model.whitening import Whitening
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


def test_a_whitened_model_is_trained_as_the_same_without(made: tuple[Catalog, Path], tmp_path: Path) -> None:
    """The vectors of `Embedder` may have more or fewer numbers than [CLS]."""
    (catalog, model), task = made, things()
    whitened = shutil.copytree(model, tmp_path / "whitened")
    Whitening(torch.zeros(3, 16), torch.ones(3, 16, 5)).save(whitened)
    quick = FineTuning(epochs=1, least_steps=2, batch_size=8)
    plain, found = (
        fine_tune(folder, catalog, "title", quick, device="cpu")(task, task.train) for folder in (model, whitened)
    )
    np.testing.assert_array_equal(found.test, plain.test)


def test_the_encoder_that_is_kept_is_the_one_that_was_best(
    made: tuple[Catalog, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (catalog, model), task = made, things()
    settings = fine_tuned_model(model, catalog, task, tmp_path / "kept", modalities="title", settings=SETTINGS)
    assert capsys.readouterr() == ("", "")
    scores = fine_tune(model, catalog, "title", SETTINGS, device="cpu")(task, task.train)
    assert settings == scores.settings
    kept = Embedder.from_pretrained(tmp_path / "kept", "cpu")
    assert kept.fingerprint != fingerprint(model)
    vectors = embed_catalog(kept, catalog, "title").vectors
    probe = linear_probe(vectors)(task, task.train)
    assert judge(probe, task, len(task.train)).right.mean() > 0.8  # what it has learnt, its vectors hold
    before = linear_probe(embed_catalog(Embedder.from_pretrained(model, "cpu"), catalog, "title").vectors)
    assert not np.allclose(before(task, task.train).test, probe.test, atol=0.1)
