"""A hybrid search of an evaluation finds what one of the user's index finds."""

from pathlib import Path

import numpy as np
import pytest

from item_embed.catalog.store import Catalog
from item_embed.embedding.seen import seen_title
from item_embed.embedding.vectors import Vectors
from item_embed.evaluation import hybrid
from item_embed.evaluation.hybrid import evaluate_hybrid
from item_embed.evaluation.queries import QuerySet, catalog_queries, given_queries
from item_embed.evaluation.same_product import evaluate_same_product
from item_embed.search import index as index_
from item_embed.search.exact import tie_keys
from item_embed.search.fusion import DEPTH
from item_embed.search.index import ProductIndex
from item_embed.search.words import TitleWords
from tests.catalogs import Row, write_catalog
from tests.evaluation.relistings import query, write_queries
from tests.search.made import unit

COUNT = 3 * DEPTH
WORDS = ("red", "blue", "Würfel", "mug", "cup", "tree", "AX-100", "the", "of", "(new)")


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """More listings than a hybrid search looks at, many with equal titles, some with none; pairs are products."""
    rng = np.random.default_rng(0)
    titles = [" ".join(rng.choice(WORDS, rng.integers(1, 5))) for _ in range(COUNT)]
    titles[100:140] = ["the old tin"] * 40
    rows = [Row(f"id {n}", None if n % 11 == 3 else titles[n], product_id=f"p{n // 2}") for n in range(COUNT)]
    return write_catalog(tmp_path / "catalog", rows)


@pytest.fixture
def given(tmp_path: Path, catalog: Catalog) -> QuerySet:
    titles = ["the red mug", None, "nothing that is there", 'AX-100 "OR" würfel', "&amp;amp;amp;#98;lue mug", "of"]
    asked = [query(f"id {n}", title=title) for n, title in enumerate(titles)]
    return given_queries(write_queries(tmp_path / "queries.parquet", asked), catalog)


@pytest.mark.parametrize("depth", [12, DEPTH])  # with few places, what is at their end is seen among the first ten
@pytest.mark.parametrize("protocol", ["listings", "given"])
def test_it_finds_what_the_users_search_finds(
    tmp_path: Path, catalog: Catalog, given: QuerySet, protocol: str, depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (index_, hybrid):
        monkeypatch.setattr(module, "DEPTH", depth)
    rng = np.random.default_rng(1)
    vectors = unit(rng, COUNT)
    vectors[4:8] = vectors[4]  # some tie
    vectors[9] = 0
    queries = catalog_queries(catalog) if protocol == "listings" else given
    asked = vectors[queries.rows]
    if protocol == "given":
        asked = asked * np.float32(0.8) + unit(rng, len(queries)) * np.float32(0.2)
    with TitleWords(catalog.ids, catalog.titles) as words:
        result = evaluate_hybrid(vectors, asked, queries, tie_keys(catalog.ids), words, method="ours")
    assert (result.method, result.queries) == ("ours + BM25", queries)
    with ProductIndex.build(Vectors(catalog.ids, vectors, "m", "model"), catalog, tmp_path / "index") as index:
        # Asking takes longest; of three listings one, among them some that tie and some without a title, says as much.
        for number in range(0, len(queries), 3 if protocol == "listings" else 1):
            itself = f'id != "{catalog.ids[queries.rows[number]]}"' if queries.leave_out else None
            title = seen_title(queries.titles[number]) or ""  # as `item search` takes it
            [hits] = index.search_hybrid(asked[number : number + 1], [title], 10, "m", itself)
            assert [catalog.ids[row] for row in result.ranking.rows[number]] == [hit.id for hit in hits]
            np.testing.assert_allclose(result.ranking.scores[number], [hit.score for hit in hits], rtol=1e-6)
    assert result.right.any()
    assert (result.right == queries.is_right(result.ranking.rows)).all()


def test_without_words_it_finds_what_vectors_find(catalog: Catalog) -> None:
    vectors, queries, ties = unit(np.random.default_rng(2), COUNT), catalog_queries(catalog), tie_keys(catalog.ids)
    alone = evaluate_same_product(vectors, vectors[queries.rows], queries, ties)
    with TitleWords(catalog.ids, [None] * COUNT) as words:
        joined = evaluate_hybrid(vectors, vectors[queries.rows], queries, ties, words, modalities="title")
    assert (joined.ranking.rows == alone.ranking.rows).all()
    assert (joined.method, joined.modalities) == ("model + BM25", "title")


def test_fewer_rows_than_ranks(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "small", [Row(f"{n}", "a mug", product_id="p") for n in range(3)])
    vectors, queries = np.eye(3, dtype=np.float32), catalog_queries(catalog)
    with TitleWords(catalog.ids, catalog.titles) as words:
        result = evaluate_hybrid(vectors, vectors[queries.rows], queries, tie_keys(catalog.ids), words)
    assert (result.ranking.rows[:, 2:] == -1).all()
    assert result.metrics.recall_at_10.tolist() == [1, 1, 1]
