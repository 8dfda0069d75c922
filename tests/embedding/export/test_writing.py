"""The folder of an exported model: what is in it, what it costs, and when it is refused."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from item_embed.catalog.store import Catalog
from item_embed.config import Background
from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.embedder import Embedder
from item_embed.embedding.export import encoder, export_model, writing
from item_embed.embedding.exported import ONNX_FILE, Exported
from item_embed.embedding.loss import loss_of
from item_embed.embedding.torch_backend import TorchBackend
from item_embed.errors import ConfigError, ItemError, ModelError
from item_embed.files import OutputError
from item_embed.model.words import Words
from tests.embedding.export.made import TITLES, photo, trained
from tests.tiny import tiny_catalog, white_catalog
from tests.training.runs import train


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny_catalog(tmp_path_factory.mktemp("export") / "catalog")


@pytest.fixture(scope="module")
def model(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> TorchBackend:
    run = tmp_path_factory.mktemp("runs") / "run"
    settings = ("whitening.power=0.75", "whitening.late_fusion=true", "whitening.dimensions=20")
    return TorchBackend.from_pretrained(train(catalog, run, *settings).model, "cpu")


def test_float32_is_the_model_and_says_so(catalog: Catalog, model: TorchBackend, tmp_path: Path) -> None:
    made = export_model(model, tmp_path / "out")
    assert made == Exported(model.fingerprint, model.fingerprint, "fp32", "both", 20, 8)
    assert Exported.load(tmp_path / "out") == made
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "README.md",
        "export.json",
        "model.onnx",
        "processor_config.json",
        "provenance.json",
        "tokenizer.json",
        "words.json",
    }
    own, card = ((folder / "README.md").read_text(encoding="utf8") for folder in (model.path, tmp_path / "out"))
    assert "`item pretrain --from`" in own
    assert "--from" not in card
    assert "training the model that this one was exported from" in card
    assert card.partition("## Limits")[0] == own.partition("## Limits")[0]
    embedder = Embedder.from_pretrained(tmp_path / "out")
    assert (embedder.fingerprint, embedder.dimension, embedder.path) == (model.fingerprint, 20, tmp_path / "out")
    assert (embedder.image_size, embedder.patch_size) == (model.image_size, model.patch_size)
    found, expected = embed_catalog(embedder, catalog), embed_catalog(Embedder(model), catalog)
    assert found.fingerprint == expected.fingerprint
    np.testing.assert_allclose(found.vectors, expected.vectors, rtol=0, atol=1e-4)  # whole photos, as they are scaled


def test_int8_is_another_model_a_little(catalog: Catalog, model: TorchBackend, tmp_path: Path) -> None:
    made = export_model(model, tmp_path / "out", precision="int8", catalog=catalog)
    assert made.precision == "int8"
    assert made.source == model.fingerprint != made.fingerprint
    again = export_model(model, tmp_path / "again", precision="int8")
    assert (again.fingerprint, again.loss) == (made.fingerprint, None)
    assert Exported.load(tmp_path / "out") == made
    exact, found = (
        embed_catalog(embedder, catalog).vectors
        for embedder in (Embedder(model), Embedder.from_pretrained(tmp_path / "out"))
    )
    loss = loss_of(exact, found)
    assert loss is not None
    assert loss == made.loss
    assert 0.9 < loss.lowest_cosine <= loss.cosine < 0.99999
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf8")
    assert f"### Exported as ONNX, int8, background=keep: loss on catalog ({catalog.fingerprint[:12]})" in card
    assert f"| {loss.rows} | {loss.cosine:.5f} |" in card

    graph = onnx.load(tmp_path / "out" / ONNX_FILE).graph
    kinds = {weight.name: weight.data_type for weight in graph.initializer}
    eight = {name.removesuffix("_quantized") for name, kind in kinds.items() if kind == onnx.TensorProto.INT8}
    eight = {name for name in eight if name.endswith(".weight")}
    linear = ("attention.q", "attention.k", "attention.v", "attention.out", "mlp.0", "mlp.2")
    assert eight == {"embeddings.patch.weight", *(f"blocks.0.{name}.weight" for name in linear)}
    assert kinds["whitening.both.matrix"] == onnx.TensorProto.FLOAT


@pytest.mark.parametrize(("own", "other"), [("keep", "drop"), ("drop", "keep")])
def test_background_is_as_the_model_was_trained_or_the_other_way(
    own: Background, other: Background, tmp_path: Path
) -> None:
    """The other way it is the same model reading other patches: with another fingerprint, and a loss that is told."""
    model = trained(tmp_path, "fused", background=own)
    same = export_model(model, tmp_path / "same", background=own)
    made = export_model(model, tmp_path / "other", background=other, catalog=white_catalog(tmp_path / "catalog"))
    assert same.fingerprint == model.fingerprint == made.source != made.fingerprint
    images, titles = [photo(number) for number in range(5)], list(TITLES)
    as_it_is, changed = (Embedder(backend).embed(images, titles) for backend in (model, model.with_background(other)))
    found = [Embedder.from_pretrained(tmp_path / name).embed(images, titles) for name in ("same", "other")]
    np.testing.assert_allclose(found[0], as_it_is, atol=1e-5)
    np.testing.assert_allclose(found[1], changed, atol=1e-5)
    difference = np.abs(as_it_is - changed).max(axis=1)
    assert difference[0] < 1e-6  # all of it is pattern
    assert difference[1] > 1e-3
    assert made.loss is not None
    assert made.loss.lowest_cosine < 0.999  # beside the model as it is


def test_background_is_of_photos(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="background is of photos, which a model of titles alone does not read"):
        export_model(trained(tmp_path), tmp_path / "out", modalities="title", background="drop")


def test_how_frequent_words_are_decides_vectors_too(tmp_path: Path) -> None:
    """The graph is the same: what differs is in `words.json` alone."""
    model = trained(tmp_path, "fused")
    assert model.whitening is not None
    assert model.whitening.fusion is not None
    made = [export_model(model, tmp_path / "one", precision="int8")]
    model.whitening.fusion.words = Words.of(["red"] * 9, 8)
    made.append(export_model(model, tmp_path / "two", precision="int8"))
    files = [(tmp_path / name / ONNX_FILE).read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]
    assert made[0].fingerprint != made[1].fingerprint


def test_what_is_exported_is_compared_with_the_model_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(encoder._ACTIVATIONS, "gelu", ("Relu", {}))
    with pytest.raises(ModelError, match=r"would give other vectors than .*, by up to 0\.\d+: this is a fault of item"):
        export_model(trained(tmp_path), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("modalities", ["both", "image", "title"])
def test_what_is_drawn_to_compare_is_of_all_kinds(modalities: str, tmp_path: Path) -> None:
    processor = trained(tmp_path, background="drop").processor
    images, titles = writing._drawn(processor, modalities)  # type: ignore[arg-type]
    kinds = {(image is not None, title is not None) for image, title in zip(images, titles, strict=True)}
    one = {"image": {(True, False)}, "title": {(False, True)}}
    expected = {**one, "both": {(True, True), (True, False), (False, True)}}
    assert kinds == expected[modalities]
    if modalities != "title":
        kept = [(~processor.background(processor.pixels(image)[None])).sum() for image in images if image]  # type: ignore[operator]
        assert len(set(kept)) > 2


def test_an_exported_model_can_embed_and_nothing_else(tmp_path: Path) -> None:
    export_model(trained(tmp_path), tmp_path / "out")
    with pytest.raises(ModelError, match=r"holds an exported model, which can embed and nothing else; give the model"):
        TorchBackend.from_pretrained(tmp_path / "out")


def test_a_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")
    with pytest.raises(OutputError, match="exists already"):
        export_model(trained(tmp_path), tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["mine"]


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_without_the_extra_it_is_one_sentence(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ItemError, match=r"needs onnx and ONNX Runtime; in a checkout .*, pip install '\.\[onnx\]'\.$"):
        export_model(trained(tmp_path), tmp_path / "out")


def test_a_model_without_card_or_history_is_exported_too(catalog: Catalog, tmp_path: Path) -> None:
    made = export_model(trained(tmp_path), tmp_path / "out", catalog=catalog, modalities="title")
    assert made.loss is not None
    assert made.loss.lowest_cosine == pytest.approx(1, abs=1e-5)
    told = json.loads((tmp_path / "out" / "export.json").read_text())
    assert (told["version"], told["modalities"], told["loss"]["rows"]) == (1, "title", made.loss.rows)
    vectors = Embedder.from_pretrained(tmp_path / "out").embed(titles=TITLES)
    np.testing.assert_allclose(vectors, Embedder(trained(tmp_path)).embed(titles=TITLES), atol=1e-5)
