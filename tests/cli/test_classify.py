"""`item classify fit` and `item classify predict`."""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from item_embed.catalog.store import Catalog
from item_embed.cli.main import app
from item_embed.embedding.vectors import Vectors, write_vectors
from item_embed.evaluation.categories import run as run_module
from tests.catalogs import Row, photo, write_catalog
from tests.embedders import DummyEmbedder, replace_embedder

COLOURS = {"red": (200, 20, 20), "green": (20, 160, 40), "blue": (30, 40, 200)}


@pytest.fixture(autouse=True)
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    replace_embedder(monkeypatch)
    monkeypatch.setattr(run_module, "Embedder", sys.modules["item_embed.embedding.embedder"].Embedder)
    (tmp_path / "model").mkdir()
    return tmp_path / "model"


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Three leaves of sixty listings; all of one have one title, and now and then a label is another's."""
    rows = [
        Row(
            f"{colour}{number}",
            f"{colour} mug",
            photo(COLOURS[colour], size=(24, 24 + number)) if number % 3 else None,
            category="Mugs > red" if number == 33 else f"Mugs > {colour}",
            group=60 * place + number,
            split=("train", "train", "validation", "test")[number % 4],
        )
        for place, colour in enumerate(COLOURS)
        for number in range(60)
    ]
    return write_catalog(tmp_path / "catalog", rows)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["classify", *map(str, arguments)])


def shown(*arguments: object) -> dict[str, object]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def refused(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert "unexpected" not in last
    return last


def test_fit_then_predict(tmp_path: Path, model: Path, catalog: Catalog) -> None:
    out, said = tmp_path / "categories", tmp_path / "said.parquet"
    told = shown("fit", model, catalog.path, "--out", out, "--precision", 0.8, "--modalities", "title")
    assert (told["leaves"], told["suspects"]) == (3, 2)
    assert told["rows"] == {"taught": 135, "held_out": 135, "test": 45}
    files = {"classifier.json", "classifier.safetensors", "labels.parquet", "suspects.csv", "report.html"}
    assert {file.name for file in out.iterdir()} == files
    counts = shown("predict", out, catalog.path, "--out", said)
    assert (counts["rows"], counts["precision"], counts["reason"]) == (180, 0.8, None)
    found = pq.read_table(said).to_pylist()
    right = [row["category"] == f"Mugs > {row['id'].rstrip('0123456789')}" for row in found]
    assert np.mean(right) == 1
    assert len(found[0]["top_5"]) == 3


def test_what_a_person_sees(tmp_path: Path, model: Path, catalog: Catalog) -> None:
    out = tmp_path / "categories"
    result = run("fit", model, catalog.path, "--out", out, "--modalities", "title", "--precision", 0.8)
    assert result.exit_code == 0, result.output
    assert "Answers by wanted precision" in result.stdout
    last = result.stdout.splitlines()[-1]
    assert last.startswith("3 leaves, accuracy ")
    assert "2 labels of 180 suspected to be wrong; page in " in last
    result = run("predict", out, catalog.path, "--out", tmp_path / "said.parquet", "--precision", 0.999)
    assert "No threshold could be promised for a precision of 0.999" in result.stderr
    assert "180 without an answer, since no threshold could be promised; in " in result.stdout
    told = shown("predict", out, catalog.path, "--out", tmp_path / "again.parquet", "--precision", 0.999)
    assert "it takes 3,838, even if none is wrong; fit on more labelled rows." in str(told["reason"])


def test_vectors_that_are_there_are_used(tmp_path: Path, model: Path, catalog: Catalog) -> None:
    kept = tmp_path / "vectors.parquet"
    vectors = DummyEmbedder().embed(titles=list(catalog.titles))
    write_vectors(kept, Vectors(catalog.ids, vectors, "model", str(model), "title"))
    options = ("--vectors", kept, "--modalities", "title")
    shown("fit", model, catalog.path, "--out", tmp_path / "kept", *options)
    shown("fit", model, catalog.path, "--out", tmp_path / "made", "--modalities", "title")
    for name in ("kept", "made"):
        shown("predict", tmp_path / name, catalog.path, "--out", tmp_path / f"{name}.parquet")
    shown("predict", tmp_path / "kept", catalog.path, "--out", tmp_path / "again.parquet", "--vectors", kept)
    tables = [pq.read_table(tmp_path / f"{name}.parquet") for name in ("kept", "made", "again")]
    assert tables[0]["category"] == tables[1]["category"] == tables[2]["category"]
    write_vectors(tmp_path / "other.parquet", Vectors(catalog.ids, vectors, "other", "run/other", "title"))
    for verb, *given in (
        ("fit", model, catalog.path, "--modalities", "title"),
        ("predict", tmp_path / "kept", catalog.path),
    ):
        reason = refused(verb, *given, "--out", tmp_path / "out", "--vectors", tmp_path / "other.parquet")
        assert "come from another model (other, run/other) than" in reason
    assert not (tmp_path / "out").exists()


def test_a_model_that_moved_or_changed(
    tmp_path: Path, model: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "categories"
    shown("fit", model, catalog.path, "--out", out)
    model.rename(tmp_path / "elsewhere")
    predict = ("predict", out, catalog.path, "--out", tmp_path / "said.parquet")
    assert "the model that the classifier learnt from is not at" in refused(*predict)
    assert "check --model" in refused(*predict, "--model", tmp_path / "nowhere")
    monkeypatch.setattr(DummyEmbedder, "embed", None)  # refused before anything is embedded
    reason = refused(*predict, "--model", tmp_path / "elsewhere")  # a dummy's fingerprint is its name
    assert "the vectors come from another model (elsewhere) than the classifier learnt from (model" in reason
    assert not (tmp_path / "said.parquet").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--precision", 1), "--precision 1 is out of range"),
        (("--fine-tune", "--vectors", "vectors.parquet"), "--fine-tune makes another; leave one of them out"),
        (("--vectors", "none.parquet"), "does not exist"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    tmp_path: Path, model: Path, catalog: Catalog, options: tuple[object, ...], reason: str
) -> None:
    assert reason in refused("fit", model, catalog.path, "--out", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_folders_that_are_none_and_outputs_that_are_there(tmp_path: Path, model: Path, catalog: Catalog) -> None:
    assert "holds no classifier" in refused("predict", model, catalog.path, "--out", tmp_path / "out")
    assert "exists already" in refused("fit", model, catalog.path, "--out", catalog.path)
    bare = write_catalog(tmp_path / "bare", [Row("a", "mug")])
    assert "has no categories" in refused("fit", model, bare.path, "--out", tmp_path / "out")
