from pathlib import Path

import numpy as np
import pytest

from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.embedder import Embedder
from item_embed.embedding.export import export_model
from item_embed.embedding.onnx_backend import OnnxBackend
from item_embed.embedding.torch_backend import TorchBackend
from item_embed.errors import VectorError
from item_embed.search.index import ProductIndex
from item_embed.serving import encoder
from item_embed.serving.encoder import cache_folder, open_encoder
from tests.embedding.export.made import trained
from tests.tiny import tiny_catalog


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TorchBackend:
    folder = tmp_path_factory.mktemp("encoder") / "model"
    trained(folder).model.save_pretrained(folder)
    return TorchBackend.from_pretrained(folder, "cpu")


@pytest.fixture(scope="module")
def index(model: TorchBackend, tmp_path_factory: pytest.TempPathFactory) -> ProductIndex:
    folder = tmp_path_factory.mktemp("index")
    catalog = tiny_catalog(folder / "catalog")
    return ProductIndex.build(embed_catalog(Embedder(model), catalog), catalog, folder / "index")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "item-embed"


def test_a_model_of_torch_is_exported_once(
    index: ProductIndex, model: TorchBackend, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_encoder(index)
    assert isinstance(first.backend, OnnxBackend)
    assert first.fingerprint == index.fingerprint
    asked = ["red mug", "blue lamp"]
    np.testing.assert_allclose(first.embed(titles=asked), Embedder(model).embed(titles=asked), atol=1e-4)
    (kept,) = (place for place in cache.iterdir() if not place.name.startswith("."))
    assert kept.name.startswith(index.fingerprint)

    def fails(*_: object, **__: object) -> None:
        raise AssertionError("it is exported again")

    monkeypatch.setattr("item_embed.embedding.export.export_model", fails)
    assert open_encoder(index).path == kept


def test_an_exported_model_is_taken_as_it_is(
    index: ProductIndex, model: TorchBackend, tmp_path: Path, cache: Path
) -> None:
    export_model(model, tmp_path / "served", modalities="title")
    opened = open_encoder(index, tmp_path / "served")
    assert (opened.path, opened.sees) == (tmp_path / "served", frozenset({"title"}))
    assert not cache.exists()


def test_torch_runs_it_where_a_device_is_named_or_onnx_is_missing(
    index: ProductIndex, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(open_encoder(index, device="cpu").backend, TorchBackend)
    monkeypatch.setattr(encoder, "find_spec", lambda name: None)
    assert isinstance(open_encoder(index).backend, TorchBackend)
    assert not cache.exists()


def test_torch_runs_it_where_the_cache_cannot_be_written(index: ProductIndex, cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text("a file")
    assert isinstance(open_encoder(index).backend, TorchBackend)


def test_a_model_that_is_not_there(index: ProductIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VectorError, match=f"made the vectors of {index.path} .* check --model"):
        open_encoder(index, tmp_path / "none")
    monkeypatch.setattr(index, "manifest", index.manifest.model_copy(update={"model": str(tmp_path / "gone")}))
    with pytest.raises(VectorError, match="name its folder with --model"):
        open_encoder(index)


def test_where_caches_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored, says the specification
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "item-embed"
