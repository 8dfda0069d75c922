from pathlib import Path

import numpy as np
import pytest

from item_embed.catalog.store import Catalog
from item_embed.embedding.embedder import Embedder
from item_embed.embedding.torch_backend import TorchBackend
from item_embed.evaluation.learners.matching import parameters
from item_embed.evaluation.learners.supervised import Supervised
from tests.evaluation.learners.made import fit, material, records
from tests.tiny import white_catalog


def test_it_is_the_encoder_of_item_and_loads_as_one(catalog: Catalog, tmp_path: Path) -> None:
    given = material(catalog)
    fitted = fit(Supervised(), given, tmp_path / "run")
    assert fitted.parameters == given.parameters
    trained = TorchBackend.from_pretrained(tmp_path / "run" / "model", "cpu")
    assert parameters(trained.model) == given.parameters
    assert trained.model.config.objectives == []
    np.testing.assert_array_equal(Embedder(trained).embed(titles=["Red mug"]), fitted.embeds.embed(titles=["Red mug"]))


@pytest.mark.slow
def test_it_learns_what_titles_say(catalog: Catalog, tmp_path: Path) -> None:
    given = material(catalog, "training.steps=50", "training.learning_rate=2e-2", "training.log_every=10")
    fit(Supervised(), given, tmp_path / "run")
    lines = records(tmp_path / "run")
    assert lines[-1]["loss"] < 0.6 * lines[0]["loss"]


def test_photos_are_augmented_as_those_of_item_are(catalog: Catalog) -> None:
    plain, mirrored = (Supervised().prepare(material(catalog, f"augmentation.mirror={p}")) for p in (0, 1))
    rows, epochs = plain.samples.rows, np.zeros(len(plain.samples.rows), np.int64)
    first, second = (task.batch(rows, epochs) for task in (plain, mirrored))
    np.testing.assert_array_equal(first["photos"], second["photos"].flip(-1))
    np.testing.assert_array_equal(first["photo_missing"], ~catalog.has_photo[rows])
    assert first["photo_missing"].any()


def test_background_is_left_out_where_item_leaves_it_out(tmp_path: Path) -> None:
    white = white_catalog(tmp_path / "catalog")
    keeps, drops = (Supervised().prepare(material(white, f"model.background={b}")) for b in ("keep", "drop"))
    rows, epochs = keeps.samples.drawn(0)
    assert "background" not in keeps.batch(rows, epochs)
    assert drops.batch(rows, epochs)["background"].any()
    loss = drops.module(**drops.batch(rows, epochs))
    assert loss.total.item() / loss.count == pytest.approx(np.log(5), rel=0.2)  # of five leaves, before any step
