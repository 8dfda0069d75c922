from pathlib import Path

import numpy as np
import pytest

from item_embed.embedding.embedder import Embedder
from item_embed.embedding.vectors import Vectors
from item_embed.explain import Listing, explain
from item_embed.explain.explanation import Seen
from item_embed.search.index import ProductIndex
from item_embed.serving.explaining import explainer
from item_embed.serving.shop import Shop
from tests.catalogs import Row, write_catalog
from tests.embedding.export.made import photo, trained
from tests.serving.made import RED, client


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    return Embedder(trained(tmp_path_factory.mktemp("model"), "fused", background="drop"))


def test_it_tells_what_explain_finds(embedder: Embedder) -> None:
    found = explain(embedder, Listing("Red mug", photo(3)), Listing("Blue shoe"), "occlusion")
    told = explainer(embedder)(Seen(photo(3), "Red mug"), Seen(None, "Blue shoe"))
    assert (told["score"], told["method"]) == (found.score, "occlusion")
    assert [(word["word"], word["weight"]) for word in told["a"]["words"]] == [
        (word.text, word.weight) for word in found.a.words
    ]
    assert found.a.patches is not None
    assert (told["a"]["rows"], told["a"]["columns"]) == found.a.patches.shape
    np.testing.assert_array_equal(np.array(told["a"]["patches"], np.float32), found.a.patches)
    assert (told["b"]["rows"], told["b"]["columns"], told["b"]["patches"]) == (None, None, None)


def test_the_service_gives_it(embedder: Embedder, tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "catalog", [Row("a", "red mug", RED)])
    vectors = Vectors(catalog.ids, embedder.embed([RED], ["red mug"]), embedder.fingerprint, "model")
    index = ProductIndex.build(vectors, catalog, tmp_path / "index")
    with client(Shop(index, embedder, explain=explainer(embedder))) as service:
        assert service.get("/v1/about").json()["explain"] is True
        answer = service.post("/v1/explain", json={"a": {"id": "a"}, "b": {"title": "Blue mug"}})
    assert answer.status_code == 200
    assert [word["word"] for word in answer.json()["a"]["words"]] == ["red", "mug"]
    assert answer.json()["a"]["patches"]
    assert answer.json()["method"] == "occlusion"
