import json
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from item_embed.catalog.store import Catalog
from item_embed.cli import export
from item_embed.cli.main import guarded
from item_embed.embedding.embedder import Embedder
from item_embed.embedding.vectors import Vectors, read_vectors, write_vectors
from tests.tiny import tiny_catalog
from tests.training.runs import train


def _export(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(guarded(export.command))
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue, a model, and vectors."""
    path = tmp_path_factory.mktemp("shop")
    train(tiny_catalog(path / "catalog"), path / "run")
    vectors = np.random.default_rng(0).normal(size=(500, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    write_vectors(path / "v.parquet", Vectors([f"item {i}" for i in range(500)], vectors, "f", "run/model"))
    return path


def test_a_model_that_embeds_without_torch(shop: Path, tmp_path: Path) -> None:
    result = _export(shop / "run/model", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    told = f"fp32 model of photos and titles in {tmp_path / 'out'}: vectors of 16 numbers, without torch.\n"
    assert result.stdout == told
    model, exported = (Embedder.from_pretrained(path, "cpu") for path in (shop / "run/model", tmp_path / "out"))
    np.testing.assert_allclose(exported.embed(titles=["Red mug"]), model.embed(titles=["Red mug"]), atol=1e-5)


def test_json_prints_one_object(shop: Path, tmp_path: Path) -> None:
    options = ["--precision", "int8", "--modalities", "title", "--catalog", shop / "catalog", "--json"]
    told = json.loads(_export(shop / "run/model", "--out", tmp_path / "out", *options).stdout)
    fingerprints = [Embedder.from_pretrained(path).fingerprint for path in (tmp_path / "out", shop / "run/model")]
    loss = told.pop("loss")
    assert told == {
        "out": str(tmp_path / "out"),
        "modalities": "title",
        "precision": "int8",
        "background": "keep",
        "dimension": 16,
        "fingerprint": fingerprints[0],
        "source": fingerprints[1],
    }
    assert loss["rows"] == sum(1 for title in Catalog(shop / "catalog").titles if title)
    assert 0.9 < loss["lowest_cosine"] < loss["cosine"] < 1


def test_empty_background_is_left_out_of_a_model_that_was_trained_with_it(shop: Path, tmp_path: Path) -> None:
    result = _export(shop / "run/model", "--out", tmp_path / "out", "--background", "drop")
    assert result.stdout.startswith(f"fp32 model of photos and titles (empty background left out) in {tmp_path}")
    settings = json.loads((tmp_path / "out" / "processor_config.json").read_text())
    assert settings["background_patch_size"] == 8
    options = ["--background", "drop", "--json"]
    told = json.loads(_export(shop / "run/model", "--out", tmp_path / "again", *options).stdout)
    assert told["background"] == "drop"
    assert told["fingerprint"] != told["source"]


def test_the_loss_is_told(shop: Path, tmp_path: Path) -> None:
    options = ["--precision", "int8", "--catalog", shop / "catalog"]
    result = _export(shop / "run/model", "--out", tmp_path / "out", *options)
    first, second = result.stdout.splitlines()
    assert first.startswith("cosine to the exact vectors ")
    assert "of 39 rows" in first
    assert second.startswith("int8 model of photos and titles")


@pytest.mark.parametrize(("numbers", "share"), [("half", 0.6), ("int8", 0.4)])
def test_vectors_of_fewer_bits(numbers: str, share: float, shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "small.parquet"
    result = _export(shop / "v.parquet", "--out", out, "--precision", numbers)
    assert result.exit_code == 0, result.stderr
    assert f"500 vectors of {numbers} in {out}: " in result.stdout
    assert "cosine to the exact vectors 0.999" in result.stdout or "1.00000 in the mean" in result.stdout
    assert out.stat().st_size < share * (shop / "v.parquet").stat().st_size
    exact, small = read_vectors(shop / "v.parquet"), read_vectors(out)
    assert (exact.vectors * small.vectors).sum(axis=1).min() > 0.999
    result = _export(shop / "v.parquet", "--out", tmp_path / "again.parquet", "--precision", numbers, "--json")
    told = json.loads(result.stdout)
    assert (told["rows"], told["precision"], told["loss"]["rows"]) == (500, numbers, 500)
    assert told["bytes"] == out.stat().st_size


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        ("nowhere", [], "nowhere is no model folder: config.json is missing; give RUN/model of `item pretrain`"),
        ("catalog", [], "is no model folder"),
        ("run/model", ["--precision", "half"], "--precision half is for vectors; a model is exported in fp32 or int8"),
        ("run/model", ["--catalog", "nowhere"], "nowhere"),
        ("v.parquet", [], "is a file, of vectors; choose --precision half or int8, or give a model's folder"),
        ("v.parquet", ["--precision", "fp32"], "choose --precision half or int8"),
        ("v.parquet", ["--precision", "half", "--modalities", "title"], "--modalities has no meaning for a file"),
        ("run/model", ["--modalities", "title", "--background", "drop"], "background is of photos, which a model of"),
        ("v.parquet", ["--precision", "half", "--background", "drop"], "--background has no meaning for a file"),
        ("v.parquet", ["--precision", "half", "--catalog", "c"], "--catalog has no meaning for a file of vectors"),
        ("run/model/config.json", ["--precision", "half"], "is damaged or is no Parquet file"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_writes_nothing(
    source: str, options: list[str], said: str, shop: Path, tmp_path: Path
) -> None:
    result = _export(shop / source, "--out", tmp_path / "out", *options)
    assert result.exit_code == 1
    assert said in result.stderr
    assert "unexpected" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_an_output_that_exists_is_left_alone(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    for source, options in ((shop / "run/model", []), (shop / "v.parquet", ["--precision", "half"])):
        result = _export(source, "--out", tmp_path / "out", *options)
        assert result.exit_code == 1
        assert "exists already; choose another name, or remove it first" in result.stderr
    assert (tmp_path / "out").read_text() == "mine"


def test_another_kind_of_model_is_named(shop: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for file in (shop / "run/model").iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "model_type": "clip"}))
    result = _export(other, "--out", tmp_path / "out")
    assert "holds a model of type 'clip', not one of item-embed" in result.stderr
    _export(shop / "run/model", "--out", tmp_path / "exported")
    assert "holds an exported model" in _export(tmp_path / "exported", "--out", tmp_path / "out").stderr


def test_without_the_extra_it_is_one_sentence(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    result = _export(shop / "run/model", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "in a checkout of item-embed, pip install '.[onnx]'" in result.stderr
