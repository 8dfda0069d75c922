from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.errors import ConfigError
from item_embed.evaluation.queries import QuerySet, given_queries
from item_embed.evaluation.query_probability import learn_probabilities, shown_hits
from item_embed.evaluation.same_product import SameProductResult, evaluate_same_product
from item_embed.search.exact import tie_keys
from item_embed.search.query_product import leads
from tests.catalogs import Row, photo, write_catalog
from tests.evaluation.relistings import query, write_queries

PRODUCTS = 60


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Two listings of each product."""
    rows = [Row(f"r{n}", f"thing {n}", product_id=f"p{n // 2}") for n in range(2 * PRODUCTS)]
    return write_catalog(tmp_path_factory.mktemp("shop") / "catalog", rows)


def asked(catalog: Catalog, file: Path, lacking: int = 0) -> QuerySet:
    """A query of each product; the first ones lack their photo, the next their title."""
    given = []
    for n in range(PRODUCTS):
        title = None if lacking <= n < 2 * lacking else f"thing {n}"
        given.append(query(f"r{2 * n}", title=title, image=None if n < lacking else photo((n, 0, 0))))
    return given_queries(write_queries(file, given), catalog)


def searched(queries: QuerySet, noise: float = 0.5) -> tuple[SameProductResult, NDArray[np.float32]]:
    """What is found by vectors of which the two of a product are near each other, and a query somewhere there."""
    draw = np.random.default_rng(0).normal
    products = draw(size=(PRODUCTS, 8))
    near = np.repeat(products, 2, axis=0) + draw(scale=0.05, size=(2 * PRODUCTS, 8))
    made = products + draw(scale=noise, size=products.shape)
    vectors, given = ((all_ / np.linalg.norm(all_, axis=1, keepdims=True)).astype(np.float32) for all_ in (near, made))
    ties = tie_keys([f"r{n}" for n in range(2 * PRODUCTS)])
    return evaluate_same_product(vectors, given, queries, ties), vectors


def test_what_is_learned_from_are_the_first_ten_hits_of_whole_queries(catalog: Catalog, tmp_path: Path) -> None:
    queries = asked(catalog, tmp_path / "queries.parquet", lacking=5)
    result, vectors = searched(queries)
    hits = shown_hits(result, vectors)
    assert hits.queries == PRODUCTS - 10
    assert len(hits.first) == 10 * hits.queries
    assert hits.answers.cosine.tolist() == result.ranking.scores[10:].ravel().tolist()
    assert hits.answers.same.tolist() == result.right[10:].ravel().tolist()
    assert hits.first.tolist() == ([True] + [False] * 9) * hits.queries
    assert hits.answers.unit.tolist() == np.repeat(queries.products[10:], 10).tolist()
    for number in range(10, PRODUCTS):
        expected = leads(result.ranking.scores[number], vectors[result.ranking.rows[number]])
        assert hits.lead[10 * (number - 10) : 10 * (number - 9)] == pytest.approx(expected)


def test_right_hits_are_likelier_and_probabilities_hold_for_other_products(catalog: Catalog, tmp_path: Path) -> None:
    result, vectors = searched(asked(catalog, tmp_path / "queries.parquet"))
    learned = learn_probabilities(result, vectors, "model", "queries.parquet")
    kept, told = learned.kept, learned.as_json()
    assert (kept.fingerprint, kept.modalities, kept.simulated, kept.queries) == ("model", "both", False, PRODUCTS)
    assert kept.calibration_error == told["calibration_error"] < 0.05
    assert kept.first_hit_error == told["first_hit_error"]
    assert told["likely_first_hits"]["right"] > 0.8
    assert told["likely_first_hits"]["right"] > (told["likely_first_hits"]["wrong"] or 0)
    right = learned.hits.answers.same
    found = kept.probability(learned.hits.answers.cosine, learned.hits.lead)
    assert found[right].mean() > 0.7
    assert found[~right].mean() < 0.2
    assert kept.probability.lowest == learned.hits.answers.cosine.min()
    assert kept.probability.most == pytest.approx(61 / 62)  # a product says yes twice, and counts once


def test_nothing_is_promised_where_nothing_is_found(catalog: Catalog, tmp_path: Path) -> None:
    """Queries far from all: there may be hardly a right hit."""
    result, vectors = searched(asked(catalog, tmp_path / "queries.parquet"), noise=50)
    learned = learn_probabilities(result, vectors, "model", "queries.parquet")
    found = learned.kept.probability(learned.hits.answers.cosine, learned.hits.lead)
    assert found.max() < 0.5
    assert found.mean() == pytest.approx(learned.hits.answers.same.mean(), abs=0.02)


def test_queries_that_all_lack_a_side_teach_nothing(catalog: Catalog, tmp_path: Path) -> None:
    result, vectors = searched(asked(catalog, tmp_path / "queries.parquet", lacking=PRODUCTS))
    with pytest.raises(ConfigError, match="no query has all that the model looks at"):
        shown_hits(result, vectors)
