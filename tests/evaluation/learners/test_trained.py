"""What holds for every baseline, whatever it learns from."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from item_embed.catalog.store import Catalog
from item_embed.embedding.bulk import embed_seen
from item_embed.errors import CatalogError, ConfigError, ModelError
from item_embed.evaluation.learners.choosing import learner
from item_embed.evaluation.learners.learner import Fitted
from item_embed.evaluation.learners.trained import find_device, is_fitted
from tests.catalogs import write_catalog
from tests.evaluation.learners.made import StoppedError, fit, material, never, records, stop_at
from tests.tiny import tiny_rows

TRAINED = ("resnet50", "resnet50-categories", "roberta", "roberta-categories", "clip", "supervised")
# Nothing divides anything: lines, checkpoints and epochs all come at different steps.
SETTINGS = ("model.dropout=0.2", "training.steps=7", "training.batch_size=12", "training.log_every=3")


@pytest.fixture(scope="module")
def fitted(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Fitted]]:
    given, folder = material(catalog, *SETTINGS), tmp_path_factory.mktemp("fitted")
    return {name: (folder / name, fit(learner(name), given, folder / name)) for name in TRAINED}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * name.endswith("categories")) for name in TRAINED]
)
def test_a_stopped_learner_goes_on_bit_for_bit(
    name: str, catalog: Catalog, fitted: dict[str, tuple[Path, Fitted]], tmp_path: Path
) -> None:
    whole, _ = fitted[name]
    given = material(catalog, *SETTINGS)
    with pytest.raises(StoppedError):
        learner(name).fit(given, tmp_path / name, "cpu", stop_at(5))
    assert not is_fitted(tmp_path / name, name, given)
    fit(learner(name), given, tmp_path / name)
    assert is_fitted(tmp_path / name, name, given)
    assert records(tmp_path / name) == records(whole)
    assert [record["step"] for record in records(whole)] == [3, 6]
    weights = [(folder / "model" / "model.safetensors").read_bytes() for folder in (whole, tmp_path / name)]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("name", TRAINED)
def test_what_is_fitted_is_only_loaded(
    name: str, catalog: Catalog, fitted: dict[str, tuple[Path, Fitted]], tmp_path: Path
) -> None:
    folder, first = fitted[name]
    shutil.copytree(folder, tmp_path / name)
    given = material(catalog, *SETTINGS)
    again = learner(name).fit(given, tmp_path / name, "cpu", never)
    photos, titles = catalog.photos(catalog.rows()), list(catalog.titles)
    np.testing.assert_array_equal(embed_seen(first.embeds, photos, titles), embed_seen(again.embeds, photos, titles))
    assert (first.parameters, first.samples, first.minutes) == (again.parameters, again.samples, again.minutes)
    assert again.samples == 7 * 12
    assert 0 < again.minutes < 5
    assert 0 < again.cpu_minutes < 5
    assert not (folder / "checkpoints").exists()


@pytest.mark.parametrize("name", TRAINED)
def test_vectors_have_length_one_or_show_nothing(
    name: str, catalog: Catalog, fitted: dict[str, tuple[Path, Fitted]]
) -> None:
    embeds = fitted[name][1].embeds
    sees = learner(name).sees
    photo = next(photo for photo in catalog.iter_photos() if photo)
    vectors = embeds.embed([photo, photo, None], ["Red mug", None, "Blue lamp"], batch_size=2)
    assert vectors.shape == (3, embeds.dimension)
    assert vectors.dtype == np.float32
    seen = [1, int(sees != "title"), int(sees != "image")]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), seen, atol=1e-5)
    alone = embeds.embed(titles=["Blue lamp"]) if sees != "image" else embeds.embed(images=[photo])
    np.testing.assert_allclose(alone[0], vectors[2 if sees != "image" else 1], atol=1e-5)


@pytest.mark.parametrize("name", TRAINED)
def test_how_vectors_are_made_does_not_depend_on_the_batch(
    name: str, catalog: Catalog, fitted: dict[str, tuple[Path, Fitted]]
) -> None:
    embeds = fitted[name][1].embeds
    photos, titles = catalog.photos(catalog.rows()), list(catalog.titles)
    together = embed_seen(embeds, photos, titles)
    np.testing.assert_allclose(together, embed_seen(embeds, photos, titles, batch_size=7), atol=1e-5)
    assert len(np.unique(together.round(4), axis=0)) > 10  # it is no constant


@pytest.mark.parametrize("name", ["roberta", "clip", pytest.param("resnet50", marks=pytest.mark.slow)])
def test_labels_change_nothing_where_they_are_not_asked_for(
    name: str, catalog: Catalog, fitted: dict[str, tuple[Path, Fitted]], tmp_path: Path
) -> None:
    rows = [replace(row, category=f"other {i}", product_id=f"other {i}") for i, row in enumerate(tiny_rows())]
    other = write_catalog(tmp_path / "catalog", rows)
    fit(learner(name), material(other, *SETTINGS), tmp_path / name)
    assert records(tmp_path / name) == records(fitted[name][0])


@pytest.mark.parametrize("name", [name for name in TRAINED if learner(name).labels])
@pytest.mark.parametrize(("category", "said"), [(None, "no categories"), ("Things", "one category")])
def test_no_labels_are_one_sentence(name: str, category: str | None, said: str, tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "catalog", [replace(row, category=category) for row in tiny_rows()])
    with pytest.raises(CatalogError, match=f"have {said}.*leave out the methods that learn from categories"):
        fit(learner(name), material(catalog), tmp_path / name)


@pytest.mark.parametrize(
    ("name", "lacking", "said"),
    [("resnet50", "image", "a photo"), ("roberta", "title", "a title"), ("clip", "title", "a photo and a title")],
)
def test_nothing_to_look_at_is_one_sentence(name: str, lacking: str, said: str, tmp_path: Path) -> None:
    kept = {"image": "title", "title": "image"}[lacking]
    nothing: dict[str, Any] = {lacking: None}
    rows = [replace(row, **nothing) for row in tiny_rows() if getattr(row, kept)]
    catalog = write_catalog(tmp_path / "catalog", rows)
    with pytest.raises(CatalogError, match=f"has no row with {said} to learn from"):
        fit(learner(name), material(catalog), tmp_path / name)


def test_a_folder_begun_before_a_setting_existed_is_gone_on_with(
    catalog: Catalog, fitted: dict[str, tuple[Path, Fitted]], tmp_path: Path
) -> None:
    shutil.copytree(fitted["roberta"][0], tmp_path / "roberta")
    begun = tmp_path / "roberta" / "begun.json"
    facts = json.loads(begun.read_text())
    del facts["config"]["model"]["background"]  # at its default
    begun.write_text(json.dumps(facts))
    assert is_fitted(tmp_path / "roberta", "roberta", material(catalog, *SETTINGS))
    begun.write_text(json.dumps({name: value for name, value in facts.items() if name != "config"}))
    with pytest.raises(ModelError, match=r"begun.json cannot be read"):
        is_fitted(tmp_path / "roberta", "roberta", material(catalog, *SETTINGS))


def test_a_folder_of_other_rows_or_settings_is_refused(
    catalog: Catalog, fitted: dict[str, tuple[Path, Fitted]]
) -> None:
    folder, _ = fitted["roberta"]
    with pytest.raises(ConfigError, match="was begun with another config: remove it"):
        fit(learner("roberta"), material(catalog, *SETTINGS, "training.seed=1"), folder)
    with pytest.raises(ConfigError, match="was begun with another learner: remove it"):
        fit(learner("roberta-categories"), material(catalog, *SETTINGS), folder)
    # The tasks of ITEm are nothing to the others, and how often a line is logged is nothing to the weights.
    other = material(catalog, *SETTINGS, "objectives.weights.gmim=3", "training.log_every=5")
    learner("roberta").fit(other, folder, "cpu", never)


def test_another_seed_learns_something_else(
    catalog: Catalog, fitted: dict[str, tuple[Path, Fitted]], tmp_path: Path
) -> None:
    fit(learner("roberta"), material(catalog, *SETTINGS, "training.seed=1"), tmp_path / "roberta")
    assert records(tmp_path / "roberta") != records(fitted["roberta"][0])


def test_damage_is_one_sentence(catalog: Catalog, fitted: dict[str, tuple[Path, Fitted]], tmp_path: Path) -> None:
    folder = shutil.copytree(fitted["clip"][0], tmp_path / "clip")
    (folder / "model" / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match=r"clip/model cannot be loaded \(.*\); remove .*clip and train it again"):
        fit(learner("clip"), material(catalog, *SETTINGS), folder)
    (folder / "done.json").write_text("{")
    shutil.copy(fitted["clip"][0] / "model" / "model.safetensors", folder / "model")
    with pytest.raises(ModelError, match=r"done.json cannot be read"):
        fit(learner("clip"), material(catalog, *SETTINGS), folder)
    (folder / "begun.json").write_text("{")
    with pytest.raises(ModelError, match=r"begun.json cannot be read"):
        fit(learner("clip"), material(catalog, *SETTINGS), folder)


def test_models_say_how_they_came_to_be(fitted: dict[str, tuple[Path, Fitted]], catalog: Catalog) -> None:
    provenance = json.loads((fitted["supervised"][0] / "model" / "provenance.json").read_text())
    assert provenance["learner"] == "supervised"
    assert provenance["catalog_fingerprint"] == catalog.fingerprint
    assert provenance["excluded_rows"] == 0


def test_an_unknown_device_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match="the device 'sofa' cannot be used"):
        find_device("sofa")
    assert find_device("cpu") == torch.device("cpu")
