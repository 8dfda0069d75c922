from itertools import product
from pathlib import Path

import numpy as np
import pytest

from item_embed.catalog.store import Catalog
from item_embed.evaluation import simple_weights
from item_embed.evaluation.baselines import METHODS, simple_parts, weighted
from item_embed.evaluation.queries import catalog_queries
from item_embed.evaluation.same_product import evaluate_scorer
from item_embed.evaluation.simple_weights import fit_simple_weights
from item_embed.search.exact import tie_keys
from tests.catalogs import Row, write_catalog
from tests.evaluation.fakes import COLOURS, WORDS, jpeg, shop, thing


def mixed(path: Path, split: str) -> Catalog:
    """Titles that mislead in half of the products, and colours in a third."""
    rows = [
        Row(
            f"{word} {listing}",
            f"{WORDS[number if number % 2 else (number + listing) % 12]} {['new', 'used'][listing]} {number % 3}",
            jpeg(thing(COLOURS[(number + listing * (number % 3 == 0)) % 12])),
            product_id=word,
            group=number,
            split=split,
        )
        for number, word in enumerate(WORDS)
        for listing in range(2)
    ]
    return write_catalog(path, rows)


def test_the_weights_are_the_best_of_all_on_validation_listings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simple_weights, "_ENOUGH", 10)
    monkeypatch.setattr(simple_weights, "_WEIGHTS", (0.0, 0.5, 2.0))
    catalog = mixed(tmp_path / "catalog", "validation")
    found = fit_simple_weights(catalog)
    queries = catalog_queries(catalog, "validation")
    parts = simple_parts(catalog, queries, METHODS["simple"].weights)

    def recall(pixels: float, colours: float) -> float:
        scorer = weighted(parts, {"words": 1, "pixels": pixels, "colours": colours})
        result = evaluate_scorer(scorer, queries, tie_keys(catalog.ids), method="simple", modalities="both")
        return result.figures()["macro_recall_at_10"].value

    best = max(product((0.0, 0.5, 2.0), repeat=2), key=lambda pair: (recall(*pair), -sum(pair)))
    assert (found.weights["pixels"], found.weights["colours"]) == best
    assert found.weights["words"] == 1
    assert found.fitted_on == "24 listings of the validation split"


def test_few_labels_are_made_up_for_by_relistings(tmp_path: Path) -> None:
    found = fit_simple_weights(mixed(tmp_path / "catalog", "validation"))
    assert found.fitted_on == "12 simulated relistings of the validation split"


def test_without_a_validation_split_the_weights_are_the_shipped_ones(tmp_path: Path) -> None:
    found = fit_simple_weights(shop(tmp_path / "catalog"))
    assert found.weights == METHODS["simple"].weights
    assert "no validation split" in found.fitted_on


def test_photos_that_tell_nothing_get_no_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simple_weights, "_ENOUGH", 10)
    rows = [
        Row(f"{word} {i}", f"{word} {i}", jpeg(thing(COLOURS[0])), product_id=word, group=n, split="validation")
        for n, word in enumerate(WORDS)
        for i in range(2)
    ]
    found = fit_simple_weights(write_catalog(tmp_path / "catalog", rows))
    assert (found.weights["pixels"], found.weights["colours"]) == (0, 0)
    assert np.isfinite(list(found.weights.values())).all()
