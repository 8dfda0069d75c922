import json
from pathlib import Path

import pytest

from item_embed.errors import ModelError, VectorError
from item_embed.search.duplicates.decision import DECISION_FILE, Decision
from item_embed.search.duplicates.run import find_duplicates
from item_embed.search.duplicates.settings import Settings, Variants
from item_embed.search.index import ProductIndex
from item_embed.search.probability import ProbabilityTable
from item_embed.serving.shop import Shop
from tests.embedders import dummy
from tests.serving.made import make_classifier, make_index, probabilities


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ProductIndex:
    return make_index(tmp_path_factory.mktemp("shop"))


def test_the_parts_are_opened(index: ProductIndex, tmp_path: Path) -> None:
    find_duplicates(index, tmp_path / "duplicates", Settings(threshold=0.5, floor=0.3))
    (tmp_path / "categories").mkdir()
    make_classifier().save(tmp_path / "categories")
    probabilities().write(tmp_path / "queries.json")
    shop = Shop.open(
        index,
        dummy(),
        tmp_path / "duplicates",
        tmp_path / "categories",
        query_probabilities=tmp_path / "queries.json",
    )
    assert shop.queries == probabilities()
    assert shop.decision is not None
    assert shop.decision.threshold == 0.5
    assert shop.review is not None
    assert len(shop.review) > 0
    assert shop.classifier is not None
    assert shop.classifier.leaves == make_classifier().leaves
    assert len(shop.thresholds) == 2
    assert shop.filters["brand"].values == ("Acme",)


@pytest.mark.parametrize("same", [True, False])
def test_what_is_asked_and_what_is_told_of_variants_go_by_one_rule(
    index: ProductIndex, tmp_path: Path, same: bool
) -> None:
    apart = Variants("brand", same)
    find_duplicates(index, tmp_path / "out", Settings(threshold=0.5, floor=0.3, variants=apart))
    told = json.loads((tmp_path / "out" / DECISION_FILE).read_text())
    told.pop("variants", None)  # folders of before have it in duplicates.json alone
    (tmp_path / "out" / DECISION_FILE).write_text(json.dumps(told))
    shop = Shop.open(index, dummy(), tmp_path / "out")
    assert shop.decision is not None
    assert shop.review is not None
    assert shop.decision.variants == shop.review.variants == apart
    assert shop.variants_differ is not same


def test_an_index_and_a_model_are_enough(index: ProductIndex) -> None:
    shop = Shop.open(index, dummy())
    assert (shop.decision, shop.review, shop.classifier, shop.explain) == (None, None, None, None)
    assert shop.sees == {"image", "title"}


def test_only_what_both_the_index_and_the_model_know_can_be_looked_for(
    index: ProductIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = dummy()
    monkeypatch.setattr(embedder, "sees", frozenset({"title"}))
    assert Shop(index, embedder).sees == {"title"}
    monkeypatch.setattr(index, "manifest", index.manifest.model_copy(update={"modalities": "image"}))
    assert Shop(index, dummy()).sees == {"image"}


def test_parts_of_another_model_are_refused(index: ProductIndex) -> None:
    with pytest.raises(VectorError, match=r"the model \(other\) does not belong to the vectors of .* \(dummy\)"):
        Shop(index, dummy(fingerprint="other"))
    decision = Decision("other", 0.9, ProbabilityTable.empty())
    with pytest.raises(VectorError, match=r"--duplicates \(other\) does not belong"):
        Shop(index, dummy(), decision)
    with pytest.raises(VectorError, match=r"--query-probabilities \(other\) does not belong .* run `item evaluate"):
        Shop(index, dummy(), queries=probabilities("other"))


def test_probabilities_of_what_the_index_is_not_made_of_are_refused(
    index: ProductIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Shop(index, dummy(), queries=probabilities()).queries is not None
    monkeypatch.setattr(index, "manifest", index.manifest.model_copy(update={"modalities": "title"}))
    with pytest.raises(VectorError, match=r"learned with --modalities both, and the vectors .* made with title; run"):
        Shop(index, dummy(), queries=probabilities())


@pytest.mark.parametrize(
    ("reads", "made_of", "said"),
    [
        (
            "title",
            "image",
            "the model reads titles alone, .* of photos alone; give the whole --model, or .* that reads photos",
        ),
        ("image", "title", "reads photos alone, .* of titles alone; give the whole --model, or .* that reads titles"),
    ],
)
def test_a_model_that_reads_nothing_of_the_index_is_refused(
    index: ProductIndex, monkeypatch: pytest.MonkeyPatch, reads: str, made_of: str, said: str
) -> None:
    embedder = dummy()
    monkeypatch.setattr(embedder, "sees", frozenset({reads}))
    monkeypatch.setattr(index, "manifest", index.manifest.model_copy(update={"modalities": made_of}))
    with pytest.raises(VectorError, match=said):
        Shop(index, embedder)


def test_folders_that_hold_nothing_are_refused(index: ProductIndex, tmp_path: Path) -> None:
    with pytest.raises(VectorError, match="holds no duplicates"):
        Shop.open(index, dummy(), duplicates=tmp_path)
    with pytest.raises(ModelError, match="holds no classifier"):
        Shop.open(index, dummy(), categories=tmp_path)
    with pytest.raises(VectorError, match="cannot be read; give what `item evaluate --probabilities` wrote"):
        Shop.open(index, dummy(), query_probabilities=tmp_path)
