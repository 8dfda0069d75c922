from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.errors import ConfigError
from item_embed.evaluation import same_product
from item_embed.evaluation.queries import QuerySet, catalog_queries, given_queries
from item_embed.evaluation.same_product import as_json, evaluate_same_product, evaluate_scorer
from item_embed.search.exact import tie_keys
from tests.catalogs import Row, write_catalog
from tests.evaluation.relistings import query, write_queries

ROWS = 60


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    rows = [Row(f"r{i}", f"thing {i}", product_id=f"p{i % 17}" if i < 50 else None) for i in range(ROWS)]
    return write_catalog(tmp_path / "catalog", rows)


@pytest.fixture
def given(tmp_path: Path, catalog: Catalog) -> QuerySet:
    asked = [query(f"r{i}", product_id=f"p{i % 17}", kind="near" if i % 3 else "far") for i in range(40)]
    return given_queries(write_queries(tmp_path / "queries.parquet", asked), catalog)


def vectors(rows: int, seed: int = 0) -> NDArray[np.float32]:
    values = np.random.default_rng(seed).standard_normal((rows, 6)).astype(np.float32)
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)


def test_the_figures_are_those_of_plain_loops(catalog: Catalog) -> None:
    queries, found = catalog_queries(catalog), vectors(ROWS)
    result = evaluate_same_product(found, found[queries.rows], queries, tie_keys(catalog.ids))
    hits: list[bool] = []
    recalls: dict[str | None, list[float]] = {}
    precisions: list[float] = []
    products = catalog.product_ids
    for row in queries.rows.tolist():
        others = [r for r in range(ROWS) if r != row]
        others.sort(key=lambda r: -float(found[row] @ found[r]))
        relevant = [r for r in others if products[r] == products[row]]
        ten = [r in relevant for r in others[:10]]
        hits.append(ten[0])
        recalls.setdefault(products[row], []).append(sum(ten) / len(relevant))
        at_hits = [sum(ten[: i + 1]) / (i + 1) for i in range(10) if ten[i]]
        precisions.append(sum(at_hits) / min(10, len(relevant)))
    figures = result.figures()
    assert figures["hit_at_1"].value == pytest.approx(np.mean(hits))
    assert figures["macro_recall_at_10"].value == pytest.approx(np.mean([np.mean(r) for r in recalls.values()]))
    assert figures["map_at_10"].value == pytest.approx(np.mean(precisions))


def test_a_query_is_left_out_of_its_own_hits(catalog: Catalog) -> None:
    queries, found = catalog_queries(catalog), vectors(ROWS)
    result = evaluate_same_product(found, found[queries.rows], queries, tie_keys(catalog.ids))
    assert not (result.ranking.rows == queries.rows[:, None]).any()


def test_a_given_query_finds_the_row_it_was_made_from(catalog: Catalog, given: QuerySet) -> None:
    found = vectors(ROWS)
    result = evaluate_same_product(found, found[given.rows], given, tie_keys(catalog.ids))
    assert (result.ranking.rows[:, 0] == given.rows).all()
    assert result.figures()["hit_at_1"].value == 1.0


def test_equal_scores_are_ordered_by_tie_key_for_every_method(catalog: Catalog) -> None:
    queries, ties = catalog_queries(catalog), tie_keys(catalog.ids)
    alike = np.tile(vectors(1), (ROWS, 1))
    by_vectors = evaluate_same_product(alike, alike[queries.rows], queries, ties)
    by_scores = evaluate_scorer(
        lambda part: np.zeros((len(queries.ids[part]), ROWS), np.float32),
        queries,
        ties,
        method="zero",
        modalities="title",
    )
    assert (by_vectors.ranking.rows == by_scores.ranking.rows).all()
    expected = [row for row in np.argsort(ties) if row != queries.rows[0]][:10]
    assert by_scores.ranking.rows[0].tolist() == expected


def test_blocks_change_nothing(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    queries, found, ties = catalog_queries(catalog), vectors(ROWS), tie_keys(catalog.ids)
    scores = found[queries.rows] @ found.T
    told: list[tuple[int, int | None]] = []

    def ranked() -> NDArray[np.int64]:
        told.clear()
        return evaluate_scorer(
            scores.__getitem__, queries, ties, method="m", modalities="both",
            on_progress=lambda done, total: told.append((done, total)),
        ).ranking.rows  # fmt: skip

    at_once = ranked()
    monkeypatch.setattr(same_product, "_BLOCK_BYTES", 4 * ROWS * 7)
    assert (ranked() == at_once).all()
    assert told[0] == (7, len(queries))
    assert told[-1] == (len(queries), len(queries))


def test_json_is_the_documented_object(catalog: Catalog) -> None:
    queries, found = catalog_queries(catalog), vectors(ROWS)
    result = evaluate_same_product(found, found[queries.rows], queries, tie_keys(catalog.ids))
    shown = as_json(result, [])
    facts = ["task", "protocol", "split", "queries", "index_size", "modalities", "remarks"]
    assert list(shown) == [*facts, "hit_at_1", "macro_recall_at_10", "map_at_10"]
    assert [shown[name] for name in facts] == ["same-product", "listings", "all", 50, ROWS, "both", []]
    assert all(set(shown[name]) == {"value", "low", "high"} for name in list(shown)[7:])
    few = replace(queries, remarks=("few",))
    remarked = as_json(replace(result, queries=few), [], remarks=["seen in training"])["remarks"]
    assert remarked == ["few", "seen in training"]


def test_json_compares_methods_in_pairs(catalog: Catalog, given: QuerySet) -> None:
    found, ties = vectors(ROWS), tie_keys(catalog.ids)
    good = evaluate_same_product(found, found[given.rows], given, ties)
    poor = evaluate_same_product(found, vectors(40, seed=9), given, ties, method="poor", modalities="image")
    shown = as_json(good, [poor], by="kind")
    other = shown["baselines"]["poor"]
    assert other["modalities"] == "image"
    for name in ("hit_at_1", "macro_recall_at_10", "map_at_10"):
        difference = other["model_minus_baseline"][name]
        assert difference["value"] == pytest.approx(shown[name]["value"] - other[name]["value"])
        assert difference["low"] > 0
    assert {kind: part["queries"] for kind, part in other["by"]["kind"].items()} == {"near": 26, "far": 14}


def test_figures_by_a_column_are_those_of_its_queries(catalog: Catalog, given: QuerySet) -> None:
    found = vectors(ROWS)
    result = evaluate_same_product(found, vectors(40, seed=1), given, tie_keys(catalog.ids))
    near = np.array(given.columns["kind"]) == "near"
    count, figures = result.figures_by("kind")["near"]
    assert count == near.sum()
    assert figures["map_at_10"].value == pytest.approx(result.metrics.ap_at_10[near].mean())


def test_an_unknown_column_is_refused_with_the_known_ones(catalog: Catalog, given: QuerySet) -> None:
    ties, found = tie_keys(catalog.ids), vectors(ROWS)
    with pytest.raises(ConfigError, match=r"no column 'sort' to be told apart by; they have kind\."):
        evaluate_same_product(found, vectors(40, seed=1), given, ties).figures_by("sort")
    listings = catalog_queries(catalog)
    with pytest.raises(ConfigError, match=r"no column 'kind' .*; they have none\."):
        evaluate_same_product(found, found[listings.rows], listings, ties).figures_by("kind")
