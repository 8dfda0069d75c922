"""Which listings are asked for, and which answers are right.

Three protocols. *Listings*: the queries are rows of the catalogue whose product has another listing, and the query
itself is left out of what it may find. *Given*: the queries come from a file, and each names the row that it is a
second listing of; that row and its product's others are right, and nothing is left out. *Relistings*: the same, but
the second listings are simulated; see `relisting`.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from item_embed.catalog.photos.images import PhotoError, prepare_photo
from item_embed.catalog.references import rows_of_items
from item_embed.catalog.store import Catalog
from item_embed.catalog.titles import clean_key, clean_title
from item_embed.errors import CatalogError, ConfigError
from item_embed.wording import number_of

QUERY_COLUMNS = ("query_id", "title", "image", "product_id", "item_id")
FEW = 10  # queries below which figures say little
SIMULATED = (
    "Simulated relistings: each query is a listing of the catalogue whose photo and title were changed by program, so "
    "the figures say how a method stands these changes, not how it finds the listings of real sellers."
)
#: Where a file of queries says in its schema's metadata that they are relistings.
PROTOCOL_KEY = b"item_embed.protocol"


@dataclass(frozen=True)
class QuerySet:
    """Q queries against the N rows of a catalogue.

    Attributes:
        protocol: `listings`, `given` or `relistings`.
        split: the split that the queries are from; `all` for given ones.
        ids: the id of each query.
        titles: its cleaned title, or None.
        photo: returns the encoded photo of a query by number, or None.
        has_photo: (Q,) whether there is one, without making it.
        rows: (Q,) the row that each query is, or was made from.
        leave_out: whether a query may not find its own row.
        listings: (N,) equal codes mark listings of one product; rows of no product have a code of their own.
        products: (Q,) the product over which a query's figures are averaged, any integers.
        columns: further columns of the query file, to tell queries apart by.
        remarks: what a reader of the figures should know.
    """

    protocol: str
    split: str
    ids: list[str]
    titles: list[str | None]
    photo: Callable[[int], bytes | None]
    has_photo: NDArray[np.bool_]
    rows: NDArray[np.int64]
    leave_out: bool
    listings: NDArray[np.int64]
    products: NDArray[np.int64]
    columns: dict[str, list[str]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def has_title(self) -> NDArray[np.bool_]:
        """(Q,) whether there is a title."""
        return np.array([title is not None for title in self.titles], np.bool_)

    @property
    def excluded(self) -> NDArray[np.int64] | None:
        """(Q,) the row that each query may not find; None where it may find all."""
        return self.rows if self.leave_out else None

    @property
    def relevant(self) -> NDArray[np.int64]:
        """(Q,) how many right answers each query has."""
        return np.bincount(self.listings)[self.listings[self.rows]] - int(self.leave_out)

    def is_right(self, ranked: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each of the rows found, (Q, k) with -1 for none, is a right answer."""
        same = self.listings[ranked] == self.listings[self.rows][:, None]
        itself = (ranked == self.rows[:, None]) & self.leave_out
        return np.asarray(same & (ranked >= 0) & ~itself)


def catalog_queries(catalog: Catalog, split: str = "all") -> QuerySet:
    """The rows of a split whose product has another listing anywhere in the catalogue.

    Raises:
        CatalogError: when no two listings share a `product_id`, or none of those is in the split.

    Examples:
        >>> queries = catalog_queries(Catalog("catalog"), "test")  # doctest: +SKIP
    """
    rows = rows_as_queries(catalog, split)
    several = np.bincount(rows.listings, minlength=1)[rows.listings] > 1
    if not several.any():
        raise CatalogError(
            f"{catalog.path} has no same-product labels: no two listings share a product_id; give queries of your own "
            "with --queries FILE.parquet, or prepare the catalogue with --product-column."
        )
    chosen = np.flatnonzero(several[rows.rows])
    if not len(chosen):
        raise CatalogError(
            f"no listing in the {split} split of {catalog.path} has another listing of its product; use --split all."
        )
    return replace(subset(rows, chosen), remarks=few_remark(len(chosen)))


def rows_as_queries(catalog: Catalog, split: str = "all") -> QuerySet:
    """The rows of a split as queries that have no right answer: to be embedded, not to be judged."""
    rows = catalog.rows(split)
    products = codes(catalog.product_ids)
    return QuerySet(
        protocol="listings",
        split=split,
        ids=[catalog.ids[row] for row in rows],
        titles=[catalog.titles[row] for row in rows],
        photo=lambda number: catalog.photo(int(rows[number])),
        has_photo=catalog.has_photo[rows],
        rows=rows,
        leave_out=True,
        listings=products,
        products=products[rows],
    )


def given_queries(path: str | Path, catalog: Catalog) -> QuerySet:
    """The queries of a Parquet file: `query_id`, `title`, `image` (bytes), `product_id`, `item_id`, and any others.

    Right are the row `item_id` and the other rows of its product, as the catalogue says; averages over products go
    by the file's `product_id`, or `item_id` where that is empty. Ids, titles and photos are cleaned as `item prepare`
    does. A file of simulated relistings, from `relisting.write_queries`, says so, and its figures will.

    Raises:
        ConfigError: when the file is missing, unreadable or empty, lacks a column, or names items that the
            catalogue lacks.

    Examples:
        >>> queries = given_queries("relistings.parquet", Catalog("catalog"))  # doctest: +SKIP
    """
    path = Path(path)
    rows = rows_of_items(path, catalog, "--queries")
    table = _read(path)
    photos, unusable = _photos(table)
    given = table["product_id"].to_pylist()
    products = [clean_key(product) or catalog.ids[row] for product, row in zip(given, rows, strict=True)]
    remarks = few_remark(len(rows))
    if unusable:
        remarks = (f"{unusable:,} of the queries' photos cannot be used; those queries are asked by title.", *remarks)
    protocol = (table.schema.metadata or {}).get(PROTOCOL_KEY, b"given").decode()
    if protocol == "relistings":
        remarks = (SIMULATED, *remarks)
    return QuerySet(
        protocol=protocol,
        split="all",
        ids=_texts(table, "query_id"),
        titles=[clean_title(title)[0] for title in table["title"].to_pylist()],
        photo=photos.__getitem__,
        has_photo=np.array([photo is not None for photo in photos], np.bool_),
        rows=rows,
        leave_out=False,
        listings=codes(catalog.product_ids),
        products=np.unique(products, return_inverse=True)[1].astype(np.int64),
        columns={name: _texts(table, name) for name in table.column_names if name not in QUERY_COLUMNS},
        remarks=remarks,
    )


def subset(queries: QuerySet, numbers: NDArray[np.int64]) -> QuerySet:
    """The queries of some numbers, (n,), in the order of the numbers."""
    chosen = [int(number) for number in numbers]
    return replace(
        queries,
        ids=[queries.ids[i] for i in chosen],
        titles=[queries.titles[i] for i in chosen],
        photo=lambda number: queries.photo(chosen[number]),
        has_photo=queries.has_photo[chosen],
        rows=queries.rows[chosen],
        products=queries.products[chosen],
        columns={name: [values[i] for i in chosen] for name, values in queries.columns.items()},
    )


def codes(values: Iterable[Hashable | None]) -> NDArray[np.int64]:
    """(N,) equal for equal values; each None gets a code that no other has."""
    known: dict[Hashable, int] = {}
    keys = (("none", row) if value is None else ("some", value) for row, value in enumerate(values))
    return np.array([known.setdefault(key, len(known)) for key in keys], np.int64)


def few_remark(queries: int) -> tuple[str, ...]:
    """What to say of fewer than ten queries."""
    return (f"Only {number_of(queries, 'query', 'queries')}: the figures say little.",) if queries < FEW else ()


def _read(path: Path) -> pa.Table:
    table = pq.ParquetFile(path).read()
    missing = [name for name in QUERY_COLUMNS if name not in table.column_names]
    if missing:
        raise ConfigError(
            f"--queries {path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; "
            f"a file of queries has {', '.join(QUERY_COLUMNS)}."
        )
    kind = table.schema.field("image").type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_null(kind)):
        raise ConfigError(f"the column image of {path} holds {kind}; it must hold the bytes of encoded photos.")
    if not table.num_rows:
        raise ConfigError(f"{path} holds no queries; give --queries a file with at least one row.")
    return table


def _photos(table: pa.Table) -> tuple[list[bytes | None], int]:
    """The photos in the form in which a catalogue keeps them, and how many could not be used."""
    photos: list[bytes | None] = []
    unusable = 0
    for data in table["image"].to_pylist():
        try:
            photos.append(prepare_photo(data).data if data is not None else None)
        except PhotoError:
            photos.append(None)
            unusable += 1
    return photos, unusable


def _texts(table: pa.Table, name: str) -> list[str]:
    return ["" if value is None else str(value) for value in table[name].to_pylist()]
