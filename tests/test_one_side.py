"""`benchmarks/one_side.py`: queries by one side among whole products, against `Embedder` shown that side."""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.embedder import Embedder
from item_embed.evaluation.queries import given_queries
from item_embed.evaluation.same_product import evaluate_same_product
from item_embed.search.exact import tie_keys
from tests.tiny import tiny_catalog
from tests.training.runs import train

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # scripts, not a package
from one_side import one_side  # noqa: E402


def test_products_are_seen_whole_and_queries_by_one_side(tmp_path: Path) -> None:
    catalog = tiny_catalog(tmp_path / "catalog")
    rows = [row for row in range(len(catalog)) if catalog.has_photo[row] and catalog.titles[row]][:8]
    asked = {
        "query_id": [f"q{row}" for row in rows],
        "item_id": [catalog.ids[row] for row in rows],
        "product_id": [f"p{row}" for row in rows],
        "title": [catalog.titles[row] for row in rows],
        "image": [catalog.photo(row) for row in rows],
    }
    pq.write_table(pa.table(asked), tmp_path / "queries.parquet")
    run = train(catalog, tmp_path / "run", "whitening.power=0.75", "whitening.late_fusion=true")
    embedder = Embedder.from_pretrained(run.model, "cpu")
    found = one_side(embedder, catalog, tmp_path / "queries.parquet")
    whole = embed_catalog(embedder, catalog).vectors
    queries = given_queries(tmp_path / "queries.parquet", catalog)
    photos, titles = [queries.photo(number) for number in range(8)], queries.titles
    recalls = []
    for shown, vectors in (
        ("both", embedder.embed(photos, titles)),
        ("image", embedder.embed(photos)),
        ("title", embedder.embed(titles=titles)),
    ):
        expected = evaluate_same_product(whole, vectors, queries, tie_keys(catalog.ids)).figures()
        assert found[shown].figures() == expected  # type: ignore[index]
        recalls.append(expected["map_at_10"].value)
    assert len(set(recalls)) > 1
