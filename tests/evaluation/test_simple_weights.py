from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from item_embed.catalog.store import Catalog
from item_embed.evaluation import simple_weights
from item_embed.evaluation.baselines import METHODS, describe_catalog, simple_parts, weighted
from item_embed.evaluation.queries import QuerySet, catalog_queries
from item_embed.evaluation.same_product import evaluate_scorer
from item_embed.evaluation.simple_weights import fit_simple_weights
from item_embed.search.exact import tie_keys
from tests.catalogs import Row, write_catalog
from tests.evaluation.fakes import COLOURS, WORDS, jpeg, shop, thing

NONE = np.array([], np.int64)  # no row is judged


def mixed(path: Path, split: str, *, labels: bool = True) -> Catalog:
    """Titles that mislead in half of the products, and colours in a third."""
    rows = [
        Row(
            f"{word} {listing}",
            f"{WORDS[number if number % 2 else (number + listing) % 12]} {['new', 'used'][listing]} {number % 3}",
            jpeg(thing(COLOURS[(number + listing * (number % 3 == 0)) % 12])),
            product_id=word if labels else None,
            group=number,
            split=split,
        )
        for number, word in enumerate(WORDS)
        for listing in range(2)
    ]
    return write_catalog(path, rows)


def unlabelled(path: Path) -> Catalog:
    return mixed(path, "validation", labels=False)


def test_the_weights_are_the_best_of_all_on_validation_listings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simple_weights, "_ENOUGH", 10)
    monkeypatch.setattr(simple_weights, "_WEIGHTS", (0.0, 0.5, 2.0))
    catalog = mixed(tmp_path / "catalog", "validation")
    found = fit_simple_weights(catalog, NONE)
    queries = catalog_queries(catalog, "validation")
    parts = simple_parts(catalog, queries, METHODS["simple"].weights)

    def figures(pixels: float, colours: float) -> tuple[float, ...]:
        scorer = weighted(parts, {"words": 1, "pixels": pixels, "colours": colours})
        result = evaluate_scorer(scorer, queries, tie_keys(catalog.ids), method="simple", modalities="both")
        return tuple(round(result.figures()[name].value, 9) for name in ("macro_recall_at_10", "map_at_10", "hit_at_1"))

    best = max(product((0.0, 0.5, 2.0), repeat=2), key=lambda pair: (*figures(*pair), -sum(pair)))
    assert (found.weights["pixels"], found.weights["colours"]) == best
    assert found.weights["words"] == 1
    assert found.told == "fitted on 24 listings of the validation split"


def test_of_equal_recall_the_order_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simple_weights, "_ENOUGH", 8)
    rows = [  # ten rows, so that recall@10 is 1 by any weights; titles lead to the next product, colours to the own one
        Row(
            f"{number} {listing}",
            f"{WORDS[(number + listing) % 5]} {listing}",
            jpeg(thing(COLOURS[number])),
            product_id=f"{number}",
            group=number,
            split="validation",
        )
        for number in range(5)
        for listing in range(2)
    ]
    found = fit_simple_weights(write_catalog(tmp_path / "catalog", rows), NONE)
    assert found.weights["pixels"] + found.weights["colours"] > 0


def test_few_labels_are_made_up_for_by_relistings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simple_weights, "_ENOUGH", 4)
    found = fit_simple_weights(unlabelled(tmp_path / "catalog"), NONE)
    assert found.told == "fitted on 12 simulated relistings of the validation split"


def test_what_is_judged_is_not_fitted_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simple_weights, "_ENOUGH", 4)
    monkeypatch.setattr(simple_weights, "MOST_QUERIES", 4)
    asked: list[QuerySet] = []

    def drawn(queries: QuerySet, most: int, seed: int) -> QuerySet:
        asked.append(queries)
        return queries

    monkeypatch.setattr(simple_weights, "drawn", drawn)
    judged = np.array([0, 2, 5, 7, 9, 11, 13, 22])  # one listing each of eight of the twelve products
    for catalog in (mixed(tmp_path / "labelled", "validation"), unlabelled(tmp_path / "unlabelled")):
        fit_simple_weights(catalog, judged)
        groups = set(catalog.groups[asked[-1].rows].tolist())
        assert groups == set(range(12)) - set(catalog.groups[judged].tolist())
    assert [one.protocol for one in asked] == ["listings", "relistings"]


@pytest.mark.parametrize(("judged", "left"), [([], 12), ([0], 11), (range(24), 0)])
def test_on_few_queries_nothing_is_fitted(tmp_path: Path, judged: Sequence[int], left: int) -> None:
    found = fit_simple_weights(mixed(tmp_path / "catalog", "validation"), np.array(judged, np.int64))
    assert found.weights == METHODS["simple"].weights
    assert found.told == f"as shipped: the validation split leaves {left} queries to fit them on, and 100 are needed"


def test_without_a_validation_split_the_weights_are_the_shipped_ones(tmp_path: Path) -> None:
    found = fit_simple_weights(shop(tmp_path / "catalog"), NONE)
    assert found.weights == METHODS["simple"].weights
    assert "the validation split leaves 0 queries" in found.told


def test_of_many_queries_some_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simple_weights, "_ENOUGH", 4)
    monkeypatch.setattr(simple_weights, "MOST_QUERIES", 5)
    found = fit_simple_weights(mixed(tmp_path / "catalog", "validation"), NONE)
    assert found.told == "fitted on 5 listings of the validation split"


def test_photos_that_are_described_are_not_described_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simple_weights, "_ENOUGH", 4)
    catalog = mixed(tmp_path / "catalog", "validation")
    wanted, described = fit_simple_weights(catalog, NONE), describe_catalog(catalog)
    monkeypatch.setattr(Catalog, "photo", lambda self, row: pytest.fail("a photo was read"))
    monkeypatch.setattr(Catalog, "iter_photos", lambda self: pytest.fail("photos were read"))
    assert fit_simple_weights(catalog, NONE, described=described) == wanted


def test_photos_that_tell_nothing_get_no_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simple_weights, "_ENOUGH", 10)
    rows = [
        Row(f"{word} {i}", f"{word} {i}", jpeg(thing(COLOURS[0])), product_id=word, group=n, split="validation")
        for n, word in enumerate(WORDS)
        for i in range(2)
    ]
    found = fit_simple_weights(write_catalog(tmp_path / "catalog", rows), NONE)
    assert (found.weights["pixels"], found.weights["colours"]) == (0, 0)
    assert np.isfinite(list(found.weights.values())).all()
