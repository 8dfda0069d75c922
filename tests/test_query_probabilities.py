"""`benchmarks/query_probabilities.py`: halves by product, products that are not there, and listings."""

import sys
from pathlib import Path

import numpy as np

from item_embed.search.exact import tie_keys
from tests.catalogs import Row, photo, write_catalog
from tests.evaluation.relistings import query, write_queries

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # scripts, not a package
from query_probabilities import absent, filtered, judged  # noqa: E402

from item_embed.evaluation.queries import given_queries  # noqa: E402

PRODUCTS = 40


def test_each_way_is_judged_on_each_kind_of_query(tmp_path: Path) -> None:
    rows = [Row(f"r{n}", f"thing {n}", photo((n, 9, 9)), product_id=f"p{n // 2}") for n in range(2 * PRODUCTS)]
    catalog = write_catalog(tmp_path / "catalog", rows)
    given = [query(f"r{2 * n}", title=f"thing {n}", image=photo((n, 0, 0))) for n in range(PRODUCTS)]
    queries = given_queries(write_queries(tmp_path / "queries.parquet", given), catalog)
    draw = np.random.default_rng(0).normal
    products = draw(size=(PRODUCTS, 8))
    made = np.concatenate([np.repeat(products, 2, axis=0), products]) + draw(scale=0.2, size=(3 * PRODUCTS, 8))
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    vectors, asked = np.split(made.astype(np.float32), [2 * PRODUCTS])
    found = judged(vectors, asked, queries, catalog)
    for kinds in found.values():
        assert list(kinds) == ["other half", "absent", "filtered", "filtered, over what passes", "listings"]
        assert kinds["other half"]["likely_first_hits"]["right"] > 0
        assert kinds["absent"]["likely_first_hits"]["right"] is None
    assert found["cosine and lead"]["other half"] != found["cosine"]["other half"]
    ties, every, ten = tie_keys(catalog.ids), np.arange(2 * PRODUCTS), np.arange(10)
    assert filtered(vectors, asked, every, ties).lead.tolist() == absent(vectors, asked, ties).lead.tolist()
    over_all, over_ten = filtered(vectors, asked, ten, ties).lead, absent(vectors[:10], asked, ties[:10]).lead
    assert (over_all <= over_ten).all()  # rivals are as good at least
    assert (over_all < over_ten - 0.1).mean() > 0.5
    away = absent(vectors[:20], asked, ties[:20])
    assert (away.queries, len(away.first)) == (PRODUCTS, 10 * PRODUCTS)
    assert not away.answers.same.any()
    assert away.first.tolist() == ([True] + [False] * 9) * PRODUCTS
