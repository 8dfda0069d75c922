import json
from pathlib import Path

import numpy as np
import pytest

from item_embed.catalog.store import Catalog
from item_embed.categories import fine_tuning
from item_embed.categories.classifier import CategoryClassifier
from item_embed.categories.fine_tuning import FineTuning
from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.embedder import Embedder
from item_embed.errors import CatalogError, ConfigError
from item_embed.evaluation.categories.run import FitSettings, make_classifier
from item_embed.evaluation.run import default_split
from item_embed.files import OutputError
from item_embed.model.folder import fingerprint
from tests.catalogs import Row, write_catalog
from tests.tiny import COLOURS, THINGS, pattern, tiny_config, tiny_model, tiny_processor


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalog, Path]:
    path = tmp_path_factory.mktemp("made")
    rows = [
        Row(
            f"item {n}",
            f"{COLOURS[n % 7]} {THINGS[n % 5]}",
            pattern(n % 29) if n % 3 else None,
            category=f"Things > {THINGS[n % 5]}",
            split=("train", "train", "validation", "test")[n // 5 % 4],
        )
        for n in range(120)
    ]
    catalog, config = write_catalog(path / "catalog", rows), tiny_config()
    processor = tiny_processor(catalog, config)
    tiny_model(processor, config).save_pretrained(path / "model")
    processor.save_pretrained(path / "model")
    return catalog, path / "model"


def test_a_folder_that_is_whole(made: tuple[Catalog, Path], tmp_path: Path) -> None:
    catalog, model = made
    found = make_classifier(model, catalog, tmp_path / "out", FitSettings(device="cpu", modalities="title"))
    read = CategoryClassifier.load(tmp_path / "out")
    assert (read.encoder.path, read.encoder.fingerprint) == (model.resolve(), fingerprint(model))
    assert read.encoder.modalities == "title"
    assert read.told["test"]["accuracy"]["value"] == found.quality.figures["accuracy"].value
    assert read.told["suspects"] == len(found.labels.suspects)
    with pytest.raises(OutputError, match="exists already"):
        make_classifier(model, catalog, tmp_path / "out", FitSettings(device="cpu"))


def test_a_fine_tuned_encoder_lies_in_the_folder_and_makes_the_vectors(
    made: tuple[Catalog, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, model = made
    source = {"config": {"training": {"steps": 9}, "whitening": {"power": 0.5}}, "catalog_fingerprint": "another"}
    whitened = {"whitened": {"catalog_fingerprint": "a third", "rows": 4}}
    monkeypatch.setattr(fine_tuning, "provenance", lambda _: source | whitened)
    tuning = FineTuning(epochs=1, least_steps=4, batch_size=8)
    settings = FitSettings(device="cpu", modalities="title", fine_tuning=tuning)
    made_classifier = make_classifier(model, catalog, tmp_path / "out", settings).fitted.classifier
    read = CategoryClassifier.load(tmp_path / "out")
    assert read.encoder.path == tmp_path / "out" / "model"
    assert read.encoder.fingerprint == fingerprint(tmp_path / "out" / "model") != fingerprint(model)
    assert made_classifier.encoder.path == read.encoder.path
    known = json.loads((read.encoder.path / "provenance.json").read_text())
    assert (known["epochs"], known["rows"]) == (1, 60)
    assert known["config"] == {"training": {"steps": 9}}
    assert "whitened" not in known | known["from"]
    assert known["from"]["catalog_fingerprint"] == "another"
    assert default_split(read.encoder.path, catalog) == "test"  # the labels of its train split were learnt
    vectors = embed_catalog(Embedder.from_pretrained(read.encoder.path, "cpu"), catalog, "title").vectors
    expected = made_classifier.probabilities(vectors)
    assert np.allclose(read.probabilities(vectors), expected)
    assert read.told["fine_tuned"]


@pytest.mark.parametrize(
    ("lacking", "said"), [("validation", "its validation split has none"), ("train", "fewer than")]
)
def test_what_cannot_be_fitted_is_refused_before_the_encoder_is_trained(
    lacking: str, said: str, made: tuple[Catalog, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Row("seen", "no photo")
    rows = [
        Row(
            f"item {n}",
            THINGS[n % 5] if split != lacking else None,
            pattern(n % 29),
            category=f"Things > {THINGS[n % 5]}",
            split=split,
        )
        for n in range(120)
        for split in [("train", "train", "validation", "test")[n // 5 % 4]]
    ]
    catalog = write_catalog(tmp_path / "catalog", [*rows, seen])
    monkeypatch.setattr(fine_tuning, "fine_tuned_model", None)
    settings = FitSettings(device="cpu", modalities="title", fine_tuning=FineTuning())
    with pytest.raises(CatalogError, match=said):
        make_classifier(made[1], catalog, tmp_path / "out", settings)
    assert not (tmp_path / "out").exists()


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(ConfigError, match="leave one of them out"):
        FitSettings(vectors=Path("v.parquet"), fine_tuning=FineTuning())
