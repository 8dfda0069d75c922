from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from item_embed.embedding.embedder import Embedder
from item_embed.embedding.export import export_model
from item_embed.embedding.torch_backend import TorchBackend
from item_embed.errors import ModelError
from item_embed.explain import Listing, explain
from item_embed.explain import occlusion as module
from item_embed.explain.occlusion import painted, shown_patches
from tests.embedding.export.made import photo, trained
from tests.tiny import shown_patches as drawn_patches

A, B = Listing("Red mug, model 1", photo(3)), Listing("Blue shoe", photo(4))


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    return Embedder(trained(tmp_path_factory.mktemp("model"), "fused", background="drop"))


@pytest.fixture(scope="module")
def exported(embedder: Embedder) -> Embedder:
    assert isinstance(embedder.backend, TorchBackend)
    export_model(embedder.backend, embedder.path / "out")
    return Embedder.from_pretrained(embedder.path / "out")


def score(embedder: Embedder, a: Listing, b: Listing) -> float:
    first, second = embedder.embed([a.photo, b.photo], [a.title, b.title])
    return float(first @ second)


def test_a_weight_is_what_the_score_loses(embedder: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TOGETHER", 3)
    found = explain(embedder, A, B, "occlusion")
    whole = score(embedder, A, B)
    assert found.score == pytest.approx(whole, abs=1e-6)
    titles = ["mug, model 1", "Red model 1", "Red mug, 1", "Red mug, model"]
    expected = [whole - score(embedder, Listing(title, A.photo), B) for title in titles]
    assert [word.text for word in found.a.words] == ["Red", "mug,", "model", "1"]
    assert [word.weight for word in found.a.words] == pytest.approx(expected, abs=1e-5)
    assert found.a.patches is not None
    assert set(np.flatnonzero(found.a.patches)) == drawn_patches(3)
    assert isinstance(A.photo, Image.Image)
    for patch in drawn_patches(3):
        blanked = A.photo.copy()
        blanked.paste("white", (patch % 2 * 8, patch // 2 * 8, patch % 2 * 8 + 8, patch // 2 * 8 + 8))
        lost = whole - score(embedder, Listing(A.title, blanked), B)
        assert found.a.patches.flat[patch] == pytest.approx(lost, abs=1e-5)
    assert found.a.baseline is None
    assert found.a.remainder is None


def test_the_last_word_of_a_title_alone_has_all_of_the_score(embedder: Embedder) -> None:
    found = explain(embedder, Listing("mug"), B, "occlusion")
    assert found.a.words[0].weight == pytest.approx(found.score, abs=1e-6)
    assert found.a.patches is None


def test_an_exported_model_is_explained_by_occlusion(embedder: Embedder, exported: Embedder) -> None:
    found, expected = explain(exported, A, B), explain(embedder, A, B, "occlusion")
    assert found.method == "occlusion"
    for side, other in ((found.a, expected.a), (found.b, expected.b)):
        assert [word.weight for word in side.words] == pytest.approx([word.weight for word in other.words], abs=1e-4)
        assert side.patches is not None
        assert other.patches is not None
        np.testing.assert_allclose(side.patches, other.patches, atol=1e-4)


def test_an_exported_model_has_no_gradients(exported: Embedder) -> None:
    with pytest.raises(ModelError, match="has no gradients; explain by occlusion"):
        explain(exported, A, B, "gradients")


def test_painted_patches_are_white_and_no_longer_shown(tmp_path: Path) -> None:
    processor = trained(tmp_path).processor
    pixels = processor.pixels(photo(3))
    assert set(shown_patches(pixels, 8)) == drawn_patches(3)
    (first, *others) = sorted(drawn_patches(3))
    image = painted(pixels, [first], 8)
    again = processor.pixels(image)
    assert set(shown_patches(again, 8)) == set(others)
    np.testing.assert_array_equal(np.asarray(image).transpose(2, 0, 1), again)
