"""Commands whose catalogue and vectors lie in an object store."""

import json
from pathlib import Path

import fsspec
import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from item_embed.cli import embed, evaluate, export, index, pretrain, search
from item_embed.cli.main import guarded
from item_embed.embedding.vectors import read_vectors
from tests.stores import Store
from tests.tiny import _SETTINGS, tiny_catalog
from tests.training.runs import train

_COMMANDS = {"embed": embed, "evaluate": evaluate, "export": export, "index": index, "pretrain": pretrain}


def _item(name: str, *arguments: object) -> Result:
    app = typer.Typer()
    app.command()(guarded({**_COMMANDS, "search": search}[name].command))
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def _told(name: str, *arguments: object) -> dict[str, object]:
    result = _item(name, *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return dict(json.loads(result.stdout))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and, beside its run, the catalogue it was trained on."""
    path = tmp_path_factory.mktemp("shop")
    train(tiny_catalog(path / "catalog"), path / "run")
    return path / "run/model"


@pytest.fixture
def catalog(bucket: str, model: Path) -> str:
    """The same catalogue in a store."""
    fsspec.filesystem("s3").put(str(model.parents[1] / "catalog"), f"{bucket}/catalog", recursive=True)
    return f"{bucket}/catalog"


def test_from_catalogue_to_index(catalog: str, bucket: str, model: Path, tmp_path: Path) -> None:
    local = model.parents[1] / "catalog"
    assert _told("embed", model, local, "--out", tmp_path / "v.parquet")["rows"] == 40
    vectors = f"{bucket}/v.parquet"
    assert _told("embed", model, catalog, "--out", vectors)["out"] == vectors
    np.testing.assert_array_equal(read_vectors(vectors).vectors, read_vectors(tmp_path / "v.parquet").vectors)
    small = f"{bucket}/small.parquet"
    assert _told("export", vectors, "--precision", "half", "--out", small)["rows"] == 40
    assert _told("index", vectors, catalog, "--out", tmp_path / "index")["products"] == 40
    assert _told("index", vectors, catalog, "--out", tmp_path / "index", "--update")["products"] == 40
    figures = [
        _told("evaluate", model, where, "--split", "all", "--vectors", at)["hit_at_1"]
        for where, at in ((local, tmp_path / "v.parquet"), (catalog, vectors))
    ]
    assert figures[0] == figures[1]


def test_training_from_a_store_gives_the_same_model(catalog: str, model: Path, tmp_path: Path) -> None:
    settings = [*_SETTINGS, "training.workers=1"]
    told = [
        _told("pretrain", where, *settings, "--config", "tiny", "--out", tmp_path / name)
        for where, name in ((catalog, "a"), (model.parents[1] / "catalog", "b"))
    ]
    assert told[0]["rows"] == told[1]["rows"] == 32
    weights = [(tmp_path / name / "model/model.safetensors").read_bytes() for name in "ab"]
    assert weights[0] == weights[1]


def test_a_large_catalogue_is_better_copied(catalog: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("item_embed.catalog.store.Catalog.keeps_photos", False)
    result = _item("pretrain", catalog, *_SETTINGS, "training.steps=3", "--config", "tiny", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.stderr
    assert "it goes faster from a copy on a local disk" in result.stderr


def test_sentences(catalog: str, bucket: str, model: Path, tmp_path: Path, s3: Store) -> None:
    for arguments, sentence in (
        (("embed", model, f"{bucket}/no", "--out", f"{bucket}/v"), f"{bucket}/no is not a catalogue: it has no"),
        (("embed", model, catalog, "--out", catalog), f"{catalog} exists already; choose another name"),
        (("embed", f"{bucket}/model", catalog, "--out", f"{bucket}/v"), "a model is read from a local disk only"),
        (("index", f"{bucket}/v", catalog, "--out", tmp_path / "index"), f"{bucket}/v does not exist or is no file"),
        (("index", f"{bucket}/v", catalog, "--out", f"{bucket}/i"), f"{bucket}/i is a URL, and this is written to a"),
        (("search", f"{bucket}/index", "--title", "mug"), "an index is read from a local disk only; copy it"),
        (("export", model, "--out", f"{bucket}/model"), f"{bucket}/model is a URL, and this is written to a local"),
        (("export", f"{bucket}/v", "--precision", "half", "--out", tmp_path / "v"), f"{bucket}/v does not exist"),
        (("pretrain", catalog, "--out", f"{bucket}/run"), f"{bucket}/run is a URL, and this is written to a local"),
        (("pretrain", "s3://no-shop/c", "--out", tmp_path / "run"), "The specified bucket does not exist"),
    ):
        result = _item(*map(str, arguments))
        assert (result.exit_code, result.stdout) == (1, "")
        assert sentence in result.stderr
    assert not [*tmp_path.iterdir()]
