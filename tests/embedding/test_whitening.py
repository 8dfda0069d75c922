import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from item_embed.catalog.store import Catalog
from item_embed.config import WhiteningSettings
from item_embed.embedding.embedder import Embedder
from item_embed.embedding.torch_backend import TorchBackend
from item_embed.embedding.whitening import settings_of, whiten_model
from item_embed.errors import CatalogError, ModelError
from item_embed.files import OutputError
from item_embed.model.encoder import ItemModel
from item_embed.model.folder import WHITENING_FILE, fingerprint
from item_embed.model.storage import load_model
from item_embed.model.whitening import Whitening
from tests.catalogs import write_catalog
from tests.tiny import tiny_catalog, tiny_rows
from tests.training.runs import train

SETTINGS = WhiteningSettings(power=0.75)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny_catalog(tmp_path_factory.mktemp("whitened") / "catalog")


@pytest.fixture(scope="module")
def trained(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> TorchBackend:
    summary = train(catalog, tmp_path_factory.mktemp("runs") / "run")
    return TorchBackend.from_pretrained(summary.model, "cpu")


def test_a_model_beside_it_whose_vectors_alone_differ(catalog: Catalog, trained: TorchBackend, tmp_path: Path) -> None:
    before = fingerprint(trained.path)
    looked_at, dimension = whiten_model(trained, catalog, tmp_path / "out", SETTINGS)
    assert fingerprint(trained.path) == before
    assert not (trained.path / WHITENING_FILE).exists()
    whitened = Embedder.from_pretrained(tmp_path / "out", "cpu")
    assert whitened.fingerprint != before
    assert whitened.dimension == trained.dimension == dimension
    titles = ["Red mug", "Blue shoe", "Golden lamp"]
    plain, found = (one.embed(titles=titles) for one in (Embedder(trained), whitened))
    assert np.abs(plain @ plain.T - found @ found.T).max() > 0.1
    states = [load_model(folder, ItemModel).state_dict() for folder in (trained.path, tmp_path / "out")]
    assert all((states[0][name] == states[1][name]).all() for name in states[0])
    known = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert known["whitened"]["rows"] == looked_at
    assert known["config"]["whitening"]["power"] == 0.75  # for a run that goes on from it
    assert known["samples"] == 48
    assert "Vectors are whitened by" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("background", ["keep", "drop"])
def test_late_fusion_joins_what_the_model_gives_of_each_side(
    catalog: Catalog, trained: TorchBackend, tmp_path: Path, background: str
) -> None:
    if background == "drop":
        run = train(catalog, tmp_path / "run", "model.background=drop")
        trained = TorchBackend.from_pretrained(run.model, "cpu")
    settings = WhiteningSettings(power=0.75, late_fusion=True, dimensions=20)
    whiten_model(trained, catalog, tmp_path / "out", settings)
    assert "and the title's words" in (tmp_path / "out" / "README.md").read_text()
    fusing = Embedder.from_pretrained(tmp_path / "out", "cpu")
    assert fusing.dimension == 20
    photos, titles = (
        [catalog.photo(0), catalog.photo(1), None, catalog.photo(3)],
        ["Red mug", None, "Lamp", "Blue shoe"],
    )
    found = fusing.embed(photos, titles)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    alone = [fusing.embed([photo], [title])[0] for photo, title in zip(photos, titles, strict=True)]
    np.testing.assert_allclose(found, np.stack(alone), atol=1e-5)
    vectors = torch.zeros(4, 3, 16)
    for row, (photo, title) in enumerate(zip(photos, titles, strict=True)):
        for sight, shown in enumerate(((photo, title), (photo, None), (None, title))):
            if any(shown):
                vectors[row, sight] = torch.from_numpy(Embedder(trained).embed([shown[0]], [shown[1]])[0])
    whitening = Whitening.load(tmp_path / "out")
    assert whitening is not None
    seen = torch.tensor([bool(photo) for photo in photos])
    np.testing.assert_allclose(found, whitening(vectors, seen, titles).numpy(), atol=1e-5)


def test_whitening_again_takes_the_place_of_the_one_before(
    catalog: Catalog, trained: TorchBackend, tmp_path: Path
) -> None:
    whiten_model(trained, catalog, tmp_path / "one", SETTINGS)
    whiten_model(TorchBackend.from_pretrained(tmp_path / "one", "cpu"), catalog, tmp_path / "two", SETTINGS)
    files = [tmp_path / name / WHITENING_FILE for name in ("one", "two")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_what_is_not_named_is_as_the_model_has_it(catalog: Catalog, trained: TorchBackend, tmp_path: Path) -> None:
    assert settings_of(trained.path) == SETTINGS
    whiten_model(trained, catalog, tmp_path / "one", WhiteningSettings(power=0.5, late_fusion=True, dimensions=20))
    assert settings_of(tmp_path / "one") == WhiteningSettings(power=0.5, late_fusion=True, dimensions=20)
    other = settings_of(tmp_path / "one", power=0.0, dimensions=30, rows=99)
    assert other == WhiteningSettings(power=0, late_fusion=True, dimensions=30, rows=99)
    assert settings_of(tmp_path / "one", late_fusion=False) == WhiteningSettings(power=0.5)  # 20 were of fused ones
    fused = TorchBackend.from_pretrained(tmp_path / "one", "cpu")
    whiten_model(fused, catalog, tmp_path / "two", settings_of(tmp_path / "one"))
    files = [tmp_path / name / WHITENING_FILE for name in ("one", "two")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_groups_can_be_left_out(catalog: Catalog, trained: TorchBackend, tmp_path: Path) -> None:
    pq.write_table(pa.table({"item_id": [catalog.ids[0], catalog.ids[2]]}), tmp_path / "left.parquet")
    every, _ = whiten_model(trained, catalog, tmp_path / "one", SETTINGS)
    some, _ = whiten_model(trained, catalog, tmp_path / "two", SETTINGS, exclude_groups=tmp_path / "left.parquet")
    groups = {catalog.groups[0], catalog.groups[2]}
    left_out = [row for row in range(32) if catalog.groups[row] in groups]
    told = [json.loads((tmp_path / name / "provenance.json").read_text())["whitened"] for name in ("one", "two")]
    assert [known["excluded_rows"] for known in told] == [0, len(left_out)]
    assert every - some == len([row for row in left_out if catalog.has_photo[row] and catalog.titles[row]]) > 0


def test_what_cannot_be_done_is_one_sentence(catalog: Catalog, trained: TorchBackend, tmp_path: Path) -> None:
    few = write_catalog(tmp_path / "few", tiny_rows()[:12])
    with pytest.raises(CatalogError, match=r"rows of the training split .* whitening takes 16; prepare more rows"):
        whiten_model(trained, few, tmp_path / "out", SETTINGS)
    with pytest.raises(ModelError, match="vectors of 16 numbers cannot be kept to 17"):
        whiten_model(trained, catalog, tmp_path / "out", WhiteningSettings(power=1, dimensions=17))
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").write_text("something else")
    with pytest.raises(OutputError):
        whiten_model(trained, catalog, tmp_path / "out", SETTINGS)
