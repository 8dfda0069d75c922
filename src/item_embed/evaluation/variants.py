"""Variants: the same thing in another colour or size, which is another product.

Listings of different products that share a value of a column of the feed (`family_id`, say) are variants of each
other; a row without a product is a product of its own. They are measured twice. *As positives*: how many of a query's
variants are among the first ten? *As near-negatives*: how often is a variant found before the product itself?
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.catalog.titles import clean_key
from item_embed.errors import ConfigError
from item_embed.evaluation.intervals import Figure, figures, ratios
from item_embed.evaluation.metrics import QueryMetrics, query_metrics
from item_embed.evaluation.queries import codes, few_remark
from item_embed.evaluation.same_product import SameProductResult
from item_embed.wording import number_of


@dataclass(frozen=True)
class Variants:
    """What a method does with variants, for the n queries that have any.

    Attributes:
        method: its name.
        column: the column that variants share.
        protocol: of the queries.
        split: of the queries.
        variants: the metrics with variants as the right answers.
        product: the metrics of the same queries with their own product's listings as the right answers.
        among_ten: (n,) whether a variant is among the first ten.
        before_product: (n,) whether a variant is among the first ten before any listing of the product.
        products: (n,) the product of each query.
        remarks: what a reader should know of the figures.
    """

    method: str
    column: str
    protocol: str
    split: str
    variants: QueryMetrics
    product: QueryMetrics
    among_ten: NDArray[np.bool_]
    before_product: NDArray[np.bool_]
    products: NDArray[np.int64]
    remarks: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.products)

    def shares(self, seed: int = 0) -> dict[str, Figure]:
        """`variant_among_ten` and `variant_before_product`, shares of queries."""
        _, product = np.unique(self.products, return_inverse=True)
        sums = [np.bincount(product, values).astype(np.float64) for values in (self.among_ten, self.before_product)]
        queries = np.bincount(product).astype(np.float64)
        found = ratios(np.stack(sums, axis=1), np.stack([queries, queries], axis=1), seed=seed)
        return dict(zip(("variant_among_ten", "variant_before_product"), found, strict=True))

    def as_json(self, seed: int = 0) -> dict[str, Any]:
        """The figures as JSON."""
        return {
            "task": "variants",
            "protocol": self.protocol,
            "split": self.split,
            "method": self.method,
            "column": self.column,
            "queries": len(self),
            "remarks": list(self.remarks),
            **_plain(self.shares(seed)),
            "variants": _plain(figures(self.variants, self.products, seed=seed)),
            "product": _plain(figures(self.product, self.products, seed=seed)),
        }


def evaluate_variants(result: SameProductResult, catalog: Catalog, column: str) -> Variants:
    """Judge what was found for the same product once more, by the variants in it; nothing is embedded or searched.

    Args:
        result: same-product retrieval in this catalogue, of any method.
        catalog: whose feed has the column.
        column: of the feed; listings of different products with an equal value are variants.

    Raises:
        ConfigError: when the feed has no such column, or no query has a variant by it.

    Examples:
        >>> [result] = evaluate_model(embedder, catalog, queries)                  # doctest: +SKIP
        >>> found = evaluate_variants(result, catalog, "family_id")                # doctest: +SKIP
        >>> found.shares()["variant_before_product"].text()                        # doctest: +SKIP
        '0.214 [0.187, 0.243]'
    """
    queries = result.queries
    families = _families(catalog, column)
    listings = queries.listings
    own = listings[queries.rows]
    in_family = np.bincount(families)[families[queries.rows]]
    pairs = np.unique(np.stack([families, listings], axis=1), axis=0, return_counts=True)
    of_pair = {(int(family), int(product)): int(count) for (family, product), count in zip(*pairs, strict=True)}
    of_product = [of_pair[int(families[row]), int(listings[row])] for row in queries.rows]
    relevant = in_family - np.array(of_product, np.int64)
    has_any = relevant > 0
    if not has_any.any():
        raise ConfigError(f"no query of {catalog.path} has a variant: another product with an equal {column}.")
    found = result.ranking.rows
    same_family = families[found] == families[queries.rows][:, None]
    right = same_family & (listings[found] != own[:, None]) & (found >= 0)
    first_variant, first_product = _first(right), _first(result.right)
    chosen = int(has_any.sum())
    asked, have = number_of(len(queries), "query", "queries"), "has" if chosen == 1 else "have"
    remark = f"{chosen:,} of {asked} {have} a variant by {column}." if chosen < len(queries) else ""
    return Variants(
        method=result.method,
        column=column,
        protocol=queries.protocol,
        split=queries.split,
        variants=query_metrics(right[has_any], relevant[has_any]),
        product=result.metrics.subset(has_any),
        among_ten=right.any(axis=1)[has_any],
        before_product=(first_variant < first_product)[has_any],
        products=queries.products[has_any],
        remarks=(*([remark] if remark else []), *few_remark(chosen)),
    )


def _families(catalog: Catalog, column: str) -> NDArray[np.int64]:
    """(N,) equal for rows with an equal value of the column; each row without one has a code of its own."""
    columns: set[str] = set()
    values: list[str | None] = []
    for row in range(len(catalog)):
        metadata = catalog.metadata(row)
        columns.update(metadata)
        values.append(clean_key(metadata.get(column)))
    if column not in columns:
        known = f"its further columns are {', '.join(sorted(columns))}" if columns else "it has no further columns"
        raise ConfigError(f"the feed of {catalog.path} has no column {column!r} to tell variants by; {known}.")
    return codes(values)


def _first(right: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(Q,) the rank of the first right answer, from 0; as many as there are ranks where none is right."""
    return np.asarray(np.where(right.any(axis=1), right.argmax(axis=1), right.shape[1]))


def _plain(found: dict[str, Figure]) -> dict[str, Any]:
    return {name: figure.as_json() for name, figure in found.items()}
