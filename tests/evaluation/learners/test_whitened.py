from pathlib import Path

import numpy as np
import pytest
import torch

from item_embed.catalog.store import Catalog
from item_embed.config import most_fused
from item_embed.embedding.bulk import embed_seen
from item_embed.embedding.embedder import Embedder
from item_embed.embedding.torch_backend import TorchBackend
from item_embed.errors import ConfigError
from item_embed.evaluation.learners.choosing import learner, models_of
from item_embed.evaluation.learners.whitened import POWER, WhitenedVectors
from item_embed.model.folder import WHITENING_FILE
from item_embed.model.whitening import Whitening, fit_whitening
from item_embed.training.whitening import whitening_rows
from tests.evaluation.learners.made import fit, material, never

SETTINGS = ("training.steps=3", "training.batch_size=4")
TITLES = ["Red mug, model 1", None, "Golden lamp, model 3", "Blue shoe, model 5"]


def test_what_is_done_beside_it_is_whitened(catalog: Catalog, tmp_path: Path) -> None:
    given = material(catalog, *SETTINGS)
    plain = fit(learner("clip"), given, tmp_path / "clip-7")
    found = learner("whitened:clip").fit(given, tmp_path / "whitened:clip-7", "cpu", never)
    assert [path.name for path in (tmp_path / "whitened:clip-7").iterdir()] == [WHITENING_FILE]
    for name in ("parameters", "samples", "minutes", "cpu_minutes"):
        assert getattr(found, name) == getattr(plain, name)
    rows = whitening_rows(catalog, given.rows, 4096)
    assert found.note == f"whitened by {len(rows)} rows"

    photos = catalog.photos(rows)
    titles = [catalog.titles[row] for row in rows]
    seen = {
        "both": embed_seen(plain.embeds, photos, titles),
        "image": embed_seen(plain.embeds, photos, [None] * len(rows)),
        "title": embed_seen(plain.embeds, [None] * len(rows), titles),
    }
    expected = WhitenedVectors(plain.embeds, fit_whitening(seen, POWER))
    for images, texts in ((photos[:4], TITLES), (None, TITLES[2:]), (photos[:2], None)):
        vectors = found.embeds.embed(images, texts)
        np.testing.assert_allclose(vectors, expected.embed(images, texts), atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    again = learner("whitened:clip").fit(given, tmp_path / "whitened:clip-7", "cpu", never)
    np.testing.assert_array_equal(again.embeds.embed(titles=TITLES[2:]), found.embeds.embed(titles=TITLES[2:]))


def test_fused_joins_a_methods_vectors_of_each_side(catalog: Catalog, tmp_path: Path) -> None:
    given = material(catalog, *SETTINGS)
    plain = fit(learner("clip"), given, tmp_path / "clip-7").embeds
    found = learner("fused:clip").fit(given, tmp_path / "fused:clip-7", "cpu", never)
    assert [path.name for path in (tmp_path / "fused:clip-7").iterdir()] == [WHITENING_FILE]
    rows = whitening_rows(catalog, given.rows, 4096)
    assert found.note == f"whitened and fused by {len(rows)} rows"
    whitening = Whitening.load(tmp_path / "fused:clip-7")
    assert whitening is not None
    assert whitening.fuses
    assert found.embeds.dimension == whitening.dimension == min(256, most_fused(plain.dimension))
    photos: list[bytes | None] = [catalog.photo(0), catalog.photo(1), None]
    titles = ["Red mug, model 1", None, "Golden lamp, model 3"]
    vectors = np.zeros((3, 3, plain.dimension), np.float32)
    for row, (photo, title) in enumerate(zip(photos, titles, strict=True)):
        for sight, seen in enumerate(((photo, title), (photo, None), (None, title))):
            if any(seen):
                vectors[row, sight] = plain.embed([seen[0]], [seen[1]])[0]
    expected = whitening(torch.from_numpy(vectors), torch.tensor([True, True, False]), titles).numpy()
    np.testing.assert_allclose(found.embeds.embed(photos, titles), expected, atol=1e-5)


def test_otherwise_the_method_is_trained_beside_it(catalog: Catalog, tmp_path: Path) -> None:
    given = material(catalog, *SETTINGS)
    found = fit(learner("whitened:roberta"), given, tmp_path / "whitened:roberta")
    assert [path.name for path in (tmp_path / "whitened:roberta").iterdir()] == [WHITENING_FILE]
    assert (tmp_path / "roberta" / "done.json").is_file()
    photo = next(photo for photo in catalog.iter_photos() if photo)
    vectors = found.embeds.embed([photo, photo], ["Red mug", None])
    assert not vectors[1].any()  # a title's method sees nothing of it
    np.testing.assert_allclose(np.linalg.norm(vectors[0]), 1, rtol=1e-5)


def test_whitening_that_a_model_has_is_left_out(catalog: Catalog, tmp_path: Path) -> None:
    given = material(catalog, *SETTINGS, "whitening.power=0.5")
    found = fit(learner("whitened:item"), given, tmp_path / "whitened:item")
    item = fit(learner("item"), given, tmp_path / "item").embeds
    assert isinstance(item, Embedder)
    assert isinstance(item.backend, TorchBackend)
    assert item.backend.whitening is not None
    rows = whitening_rows(catalog, given.rows, 4096)
    photos, titles = catalog.photos(rows), [catalog.titles[row] for row in rows]
    plain = Embedder(item.backend.unwhitened())
    assert plain.fingerprint != item.fingerprint
    seen = {
        "both": embed_seen(plain, photos, titles),
        "image": embed_seen(plain, photos, [None] * len(rows)),
        "title": embed_seen(plain, [None] * len(rows), titles),
    }
    expected = WhitenedVectors(plain, fit_whitening(seen, POWER)).embed(photos[:4], titles[:4])
    np.testing.assert_allclose(found.embeds.embed(photos[:4], titles[:4]), expected, atol=1e-4)


def test_it_is_what_the_method_is() -> None:
    for name in ("supervised", "phash", "resnet50", "item-five"):
        whitened, plain = learner(f"whitened:{name}"), learner(name)
        assert whitened.name == f"whitened:{name}"
        assert (whitened.sees, whitened.labels, whitened.trains) == (plain.sees, plain.labels, plain.trains)
    assert models_of("whitened:frozen:a,b") == ["whitened:frozen:a", "whitened:frozen:b"]
    assert models_of("fused:frozen:a,b") == ["fused:frozen:a", "fused:frozen:b"]
    assert learner("fused:clip").name == "fused:clip"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("whitened:tfidf", "tfidf has no vectors to whiten"),
        ("whitened:whitened:clip", "would be whitened twice; name whitened:clip"),
        ("fused:whitened:clip", "would be whitened twice; name whitened:clip"),
        ("fused:roberta", "roberta sees one side .* nothing to fuse; name whitened:roberta"),
        ("whitened:klip", "no method 'klip'; do you mean clip"),
    ],
)
def test_what_cannot_be_whitened_is_one_sentence(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        learner(name)
