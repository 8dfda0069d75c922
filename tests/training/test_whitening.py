import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from item_embed.catalog.store import Catalog
from item_embed.config import RunConfig, WhiteningSettings
from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.embedder import Embedder
from item_embed.embedding.torch_backend import TorchBackend
from item_embed.errors import ConfigError
from item_embed.model.folder import WHITENING_FILE
from item_embed.model.whitening import Whitening, fit_whitening
from item_embed.training.run import pretrain
from item_embed.training.whitening import whitening_of, whitening_rows
from tests.catalogs import write_catalog
from tests.tiny import tiny_catalog, tiny_config, tiny_rows
from tests.training.runs import StoppedError, train, weights

WHITENED = ("whitening.power=0.75", "whitening.dimensions=10")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny_catalog(tmp_path_factory.mktemp("whitened") / "catalog")


@pytest.fixture(scope="module")
def run(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    train(catalog, path, *WHITENED)
    return path


def whole(catalog: Catalog, rows: range) -> list[int]:
    return [row for row in rows if catalog.has_photo[row] and catalog.titles[row]]


def test_rows_with_a_photo_and_a_title_are_drawn(catalog: Catalog) -> None:
    train_rows = catalog.rows("train")
    assert whitening_rows(catalog, train_rows, 100).tolist() == whole(catalog, range(32))
    some, same, others = (whitening_rows(catalog, train_rows, 10, seed) for seed in (0, 0, 1))
    assert some.tolist() == same.tolist() == sorted(some.tolist())
    assert len(some) == 10
    assert some.tolist() != others.tolist()
    assert set(some) | set(others) <= set(whole(catalog, range(32)))


def test_it_is_fitted_to_the_vectors_that_embedding_gives(catalog: Catalog, run: Path) -> None:
    """What is done in training is what `Embedder` would do, seen three ways."""
    (plain := run.parent / "plain").mkdir()
    for file in (run / "model").iterdir():
        if file.name != WHITENING_FILE:
            (plain / file.name).write_bytes(file.read_bytes())
    trained = TorchBackend.from_pretrained(plain, "cpu")
    embedder = Embedder(trained)
    rows = whitening_rows(catalog, catalog.rows("train"), 100)
    expected = fit_whitening(
        {sight: embed_catalog(embedder, catalog, sight, rows).vectors for sight in ("both", "image", "title")}, 0.75, 10
    )
    settings = WhiteningSettings(power=0.75, dimensions=10)
    again = whitening_of(trained.model, trained.processor, catalog, rows, settings)
    saved = Whitening.load(run / "model")
    assert saved is not None
    for found in (again, saved):
        torch.testing.assert_close(found.mean, expected.mean)
        frames = [torch.einsum("sdk,sek->sde", one.matrix, one.matrix) for one in (found, expected)]  # whatever signs
        torch.testing.assert_close(*frames, rtol=1e-3, atol=1e-2)


def test_the_embedder_whitens(catalog: Catalog, run: Path) -> None:
    trained = TorchBackend.from_pretrained(run / "model", "cpu")
    whitened = Embedder(trained)
    plain = Embedder(TorchBackend(trained.model, trained.processor, trained.path, "plain", "cpu"))
    assert (whitened.dimension, plain.dimension) == (10, 16)
    titles, photos = ["Red mug", "Blue shoe", None], [catalog.photo(0), None, catalog.photo(1)]
    found, before = whitened.embed(photos, titles), plain.embed(photos, titles)
    assert found.shape == (3, 10)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    whitening = Whitening.load(run / "model")
    assert whitening is not None
    seen = torch.tensor([True, False, True])
    np.testing.assert_allclose(found, whitening(torch.from_numpy(before), seen, titles).numpy(), atol=1e-5)
    alone = [whitened.embed([photo], [title])[0] for photo, title in zip(photos, titles, strict=True)]
    np.testing.assert_allclose(found, np.stack(alone), atol=1e-5)


def test_a_run_tells_by_what_it_is_whitened(catalog: Catalog, run: Path) -> None:
    known = json.loads((run / "model" / "provenance.json").read_text())["whitened"]
    rows = len(whole(catalog, range(32)))
    assert known == {
        "catalog": str(catalog.path),
        "catalog_fingerprint": catalog.fingerprint,
        "rows": rows,
        "excluded_rows": 0,
        "power": 0.75,
        "late_fusion": False,
        "dimensions": 10,
    }
    card = (run / "model" / "README.md").read_text()
    assert "# Product embedding: 10 numbers" in card
    assert f"Vectors are whitened by {rows} rows of the catalogue `catalog`" in card


def test_whitening_leaves_the_weights_and_a_resumed_run_is_whitened_alike(
    catalog: Catalog, run: Path, tmp_path: Path
) -> None:
    train(catalog, tmp_path / "plain")
    assert weights(tmp_path / "plain") == weights(run)
    assert not (tmp_path / "plain" / "model" / WHITENING_FILE).exists()
    with pytest.raises(StoppedError):
        train(catalog, tmp_path / "stopped", *WHITENED, stop_at=5)
    train(catalog, tmp_path / "stopped", *WHITENED, resume=True)
    files = [folder / "model" / WHITENING_FILE for folder in (run, tmp_path / "stopped")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_fused_without_whitening_the_mean_alone_is_taken_away(catalog: Catalog, tmp_path: Path) -> None:
    train(catalog, tmp_path / "run", "whitening.late_fusion=true")
    fused = TorchBackend.from_pretrained(tmp_path / "run" / "model", "cpu")
    assert fused.dimension == 76  # 48 of three vectors, 28 of words
    whitening = fused.whitening
    assert whitening is not None
    assert whitening.fuses
    torch.testing.assert_close(whitening.matrix[1].T @ whitening.matrix[1], torch.eye(16), rtol=0, atol=1e-5)


def test_search_is_switched_off_and_made_smaller_by_one_setting_each() -> None:
    for setting in ("whitening.power=0", "whitening.late_fusion=false", "model.hidden_size=48"):
        assert RunConfig.load("search", [setting]).objectives.weights.agreement == 1


def test_too_few_rows_are_told_and_cost_no_run(tmp_path: Path) -> None:
    rows = [replace(row, image=None) if i > 12 else row for i, row in enumerate(tiny_rows())]
    remarks: list[str] = []
    summary = pretrain(
        write_catalog(tmp_path / "catalog", rows), tmp_path / "run", tiny_config(*WHITENED), on_remark=remarks.append
    )
    there = len([row for row in rows[:13] if row.image and row.title])
    assert remarks == [f"vectors are not whitened: {there} rows trained on have a photo and a title, and it takes 16"]
    assert Whitening.load(summary.model) is None


def test_a_model_that_gives_all_one_vector_is_told_and_not_lost(tmp_path: Path) -> None:
    placeholder = tiny_rows()[0].image
    rows = [replace(row, image=placeholder) for row in tiny_rows()]
    remarks: list[str] = []
    summary = pretrain(
        write_catalog(tmp_path / "catalog", rows), tmp_path / "run", tiny_config(*WHITENED), on_remark=remarks.append
    )
    assert len(remarks) == 1
    assert "not whitened" in remarks[0]
    assert "all have one vector by their photos" in remarks[0]
    assert Whitening.load(summary.model) is None
    assert "whitened" not in json.loads((summary.model / "provenance.json").read_text())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            ["whitening.power=0.5", "whitening.dimensions=129"],
            "dimensions 129 is more than the 128 numbers that there are",
        ),
        (
            ["whitening.power=0.5", "whitening.late_fusion=true", "whitening.dimensions=615"],
            "dimensions 615 is more than the 614 numbers that there are",
        ),
        (["whitening.dimensions=64"], "dimensions does nothing while whitening.power is 0: give a power"),
        (["whitening.power=1.5"], "less than or equal to 1"),
        (["dimensions=64"], "do you mean whitening.dimensions"),
    ],
)
def test_contradictions_are_refused(settings: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        RunConfig.load("tiny", settings)
