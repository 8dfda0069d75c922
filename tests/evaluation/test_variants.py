import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.errors import ConfigError
from item_embed.evaluation.queries import QuerySet, catalog_queries, given_queries
from item_embed.evaluation.same_product import SameProductResult, evaluate_same_product
from item_embed.evaluation.variants import evaluate_variants
from item_embed.search.exact import tie_keys
from tests.catalogs import Row, write_catalog
from tests.evaluation.fakes import shop
from tests.evaluation.relistings import query, write_queries

ROWS = 80


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Products of two or three listings, families of several products, rows without either, odd values."""
    rows = [
        Row(
            f"r{i}",
            f"thing {i}",
            product_id=f"p{i // 3}" if i < 66 else None,
            metadata={"family_id": None if i % 17 == 0 else i // 8, "sku": "nan"},
        )
        for i in range(ROWS)
    ]
    return write_catalog(tmp_path / "catalog", rows)


def vectors(catalog: Catalog, seed: int = 0) -> NDArray[np.float32]:
    """Neighbours in the catalogue are near each other, so that variants are found."""
    places = np.linspace(0, 2, len(catalog))[:, None] + np.random.default_rng(seed).normal(0, 0.03, (len(catalog), 1))
    return np.concatenate([np.cos(places), np.sin(places)], axis=1).astype(np.float32)


def searched(catalog: Catalog, queries: QuerySet) -> SameProductResult:
    found = vectors(catalog)
    return evaluate_same_product(found, found[queries.rows], queries, tie_keys(catalog.ids))


def test_the_figures_are_those_of_plain_loops(catalog: Catalog) -> None:
    queries = catalog_queries(catalog)
    result = searched(catalog, queries)
    families = [catalog.metadata(row)["family_id"] for row in range(ROWS)]
    products = catalog.product_ids
    among, before, recalls, asked = [], [], [], []
    for number, row in enumerate(queries.rows.tolist()):
        variants = {
            other
            for other in range(ROWS)
            if families[other] is not None and families[other] == families[row] and products[other] != products[row]
        }
        if not variants:
            continue
        ten = result.ranking.rows[number].tolist()
        kinds = ["variant" if r in variants else "own" if products[r] == products[row] else "" for r in ten]
        asked.append(row)
        among.append("variant" in kinds)
        before.append(next((kind for kind in kinds if kind), "") == "variant")
        recalls.append(sum(r in variants for r in ten) / len(variants))
    found = evaluate_variants(result, catalog, "family_id")
    assert 0 < len(found) == len(asked) < len(queries)
    assert found.among_ten.tolist() == among
    assert found.before_product.tolist() == before
    assert found.variants.recall_at_10 == pytest.approx(recalls)
    assert 0 < np.mean(before) < 1
    shares = found.shares()
    assert shares["variant_among_ten"].value == pytest.approx(np.mean(among))
    assert shares["variant_before_product"].value == pytest.approx(np.mean(before))
    assert found.remarks == (f"{len(asked)} of {len(queries)} queries have a variant by family_id.",)


def test_json_is_the_documented_object(catalog: Catalog) -> None:
    shown = evaluate_variants(searched(catalog, catalog_queries(catalog)), catalog, "family_id").as_json()
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    facts = ["task", "protocol", "split", "method", "column"]
    assert [shown[fact] for fact in facts] == ["variants", "listings", "all", "model", "family_id"]
    for part in ("variants", "product"):
        assert set(shown[part]) == {"hit_at_1", "macro_recall_at_10", "map_at_10"}
    assert set(shown["variant_before_product"]) == {"value", "low", "high"}


def test_a_given_query_has_the_variants_of_its_row(tmp_path: Path) -> None:
    catalog = shop(tmp_path / "shop")
    queries = given_queries(write_queries(tmp_path / "q.parquet", [query("mug 0", title="mug")]), catalog)
    found = np.eye(24, dtype=np.float32)
    asked = np.zeros((1, 24), np.float32)
    asked[0, :4] = [0.7, 0.1, 0.5, 0.5]  # mug 0, mug 1, lamp 0, lamp 1: lamps are its variants
    result = evaluate_same_product(found, asked, queries, tie_keys(catalog.ids))
    variants = evaluate_variants(result, catalog, "family_id")
    assert (variants.among_ten.tolist(), variants.before_product.tolist()) == ([True], [False])
    assert variants.variants.recall_at_10.tolist() == [1.0]
    assert variants.remarks == ("Only 1 query: the figures say little.",)
    asked[0, :4] = [0.3, 0.1, 0.2, 0.5]
    result = evaluate_same_product(found, asked, queries, tie_keys(catalog.ids))
    assert evaluate_variants(result, catalog, "family_id").before_product.tolist() == [True]
    asked[0, 4:] = 0.9
    result = evaluate_same_product(found, asked, queries, tie_keys(catalog.ids))
    neither = evaluate_variants(result, catalog, "family_id")
    assert (neither.among_ten.tolist(), neither.before_product.tolist()) == ([False], [False])


def test_a_missing_column_is_a_sentence_with_the_known_ones(tmp_path: Path, catalog: Catalog) -> None:
    result = searched(catalog, catalog_queries(catalog))
    with pytest.raises(ConfigError, match=r"no column 'family' .*; its further columns are family_id, sku\."):
        evaluate_variants(result, catalog, "family")
    with pytest.raises(ConfigError, match=r"no query .* has a variant: another product with an equal sku"):
        evaluate_variants(result, catalog, "sku")  # "nan" is no value
    plain = write_catalog(tmp_path / "plain", [Row(n, "mug", product_id="p") for n in "ab"])
    with pytest.raises(ConfigError, match="it has no further columns"):
        evaluate_variants(searched(plain, catalog_queries(plain)), plain, "family_id")
