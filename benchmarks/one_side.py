"""Queries that show one side of a product, the photo or the title, asked for among products seen whole.

    python benchmarks/one_side.py run/model catalog --queries relistings.parquet

`item evaluate --modalities image` hides the titles of the listings as well, and so compares photos with photos. The
index of a shop holds whole products: this asks by the photo alone, and by the title alone, among those.
"""

import argparse
from pathlib import Path

from item_embed import Catalog, Embedder
from item_embed.embedding.bulk import embed_catalog
from item_embed.embedding.seen import Modalities
from item_embed.evaluation.embedded import embed_queries
from item_embed.evaluation.queries import given_queries
from item_embed.evaluation.same_product import SameProductResult, evaluate_same_product
from item_embed.search.exact import tie_keys

SHOWN: tuple[Modalities, ...] = ("both", "image", "title")


def one_side(embedder: Embedder, catalog: Catalog, file: Path) -> dict[Modalities, SameProductResult]:
    """What is found by queries that show both sides, the photo alone and the title alone."""
    queries, ties = given_queries(file, catalog), tie_keys(catalog.ids)
    whole = embed_catalog(embedder, catalog).vectors
    return {
        shown: evaluate_same_product(whole, embed_queries(embedder, queries, shown), queries, ties) for shown in SHOWN
    }


def main() -> None:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("--queries", type=Path, required=True)
    arguments = parser.parse_args()
    found = one_side(Embedder.from_pretrained(arguments.model), Catalog(arguments.catalog), arguments.queries)
    for shown, result in found.items():
        figures = result.figures()
        print(shown, *(f"{name} {figures[name].text()}" for name in ("hit_at_1", "macro_recall_at_10")))


if __name__ == "__main__":
    main()
