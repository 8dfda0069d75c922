"""The preset `search` as a shop uses it: at the size of small photos and of large ones."""

from pathlib import Path

import numpy as np
import pytest

from item_embed.config import RunConfig
from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.embedder import Embedder
from item_embed.training.run import pretrain
from tests.tiny import tiny_catalog
from tests.training.runs import records


@pytest.mark.slow
@pytest.mark.parametrize(("size", "patches"), [((80, 64), 20), ((224, 224), 196)])
def test_it_trains_and_embeds_at_the_size_of_the_photos(size: tuple[int, int], patches: int, tmp_path: Path) -> None:
    catalog = tiny_catalog(tmp_path / "catalog")
    settings = [f"model.image_size={list(size)}", "training.steps=3", "training.batch_size=8", "training.log_every=1"]
    pretrain(catalog, tmp_path / "run", RunConfig.load("search", [*settings, "training.warmup_steps=0"]))
    losses = [record["losses"]["agreement"] for record in records(tmp_path / "run", "train")]
    assert len(set(losses)) == 3
    assert np.isfinite(losses).all()
    embedder = Embedder.from_pretrained(tmp_path / "run" / "model", "cpu")
    assert embedder.image_size == size
    assert embedder.backend.patch_size**2 * patches == size[0] * size[1]
    vectors = embed_catalog(embedder, catalog).vectors
    assert vectors.shape == (len(catalog), 256)
    lengths = np.linalg.norm(vectors[vectors.any(axis=1)], axis=1)  # one row shows nothing
    assert lengths == pytest.approx(np.ones(len(catalog) - 1), abs=1e-5)
