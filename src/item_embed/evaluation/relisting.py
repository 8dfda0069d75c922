"""Simulated relistings: second listings of held-out rows, for catalogues without same-product labels.

A row's photo and title are changed as a second seller's listing of the product might differ, and the row is to be
found by them. What is measured is how a method stands these changes, no more: every result says so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from item_embed.catalog.photos.images import PhotoError, decode
from item_embed.catalog.store import Catalog
from item_embed.errors import CatalogError, ConfigError
from item_embed.evaluation.queries import PROTOCOL_KEY, QUERY_COLUMNS, SIMULATED, QuerySet, codes, few_remark
from item_embed.evaluation.relisted_photos import as_jpeg, reshot_photo, restaged_photo
from item_embed.evaluation.relisted_titles import reshot_title, restaged_title
from item_embed.files import whole_file
from item_embed.hashing import hash64, text_hash

_ROW, _KIND, _KEY = range(501, 504)  # streams that nothing else uses
_BLOCK = 1000  # queries whose photos are in memory at once while they are written


@dataclass(frozen=True)
class Kind:
    """One way of making a second listing: of its photo and of its title, pure functions of the old one and a key."""

    photo: Callable[[Image.Image, int], Image.Image]
    title: Callable[[str, int], str]


#: By name; each relisting is of one, drawn by hash.
KINDS = {"reshot": Kind(reshot_photo, reshot_title), "restaged": Kind(restaged_photo, restaged_title)}


def relisted_queries(catalog: Catalog, count: int, *, split: str = "test", seed: int = 0) -> QuerySet:
    """Second listings of rows of a split, one row of a group at most, so that queries do not resemble each other.

    Right are the row itself and the other listings of its product, as for given queries; nothing is left out of the
    index. Which rows, and what becomes of them, are functions of the seed and their ids: a smaller number makes a part
    of what a larger one makes. Rows with a photo and a title come first, then rows with one of them.

    Args:
        catalog: the N rows to be found.
        count: how many relistings to make; fewer where the split has fewer groups.
        split: where the rows are from: `train`, `validation`, `test` or `all`.
        seed: of what is drawn.

    Returns:
        Queries of the protocol `relistings` in the order of their rows, with the ids of these and the column `kind`:
        *reshot* (crop, rotation, light, blur; words left out, in another order, added) or *restaged* (perspective,
        another background, colour cast, noise, something in front; the brand left out, words written short, misspelt).
        Photos are made when they are asked for.

    Raises:
        ConfigError: when `count` is below 1.
        CatalogError: when no row of the split has a photo or a title; from `photo`, when a photo cannot be decoded.

    Examples:
        >>> queries = relisted_queries(Catalog("catalog"), 500)  # doctest: +SKIP
        >>> queries.titles[0], queries.columns["kind"][0]        # doctest: +SKIP
        ('new Acme mug red', 'reshot')
    """
    if count < 1:
        raise ConfigError(f"{count} relistings cannot be made; ask for one or more.")
    rows = _drawn_rows(catalog, count, split, seed)
    ids = [catalog.ids[row] for row in rows]
    hashes = np.array([text_hash(key) for key in ids], np.int64)
    keys = hash64(seed, _KEY, hashes).tolist()
    kinds = [list(KINDS)[number] for number in hash64(seed, _KIND, hashes) % len(KINDS)]
    titles = catalog.titles.at(rows)
    listings = codes(catalog.product_ids)

    def photo(number: int) -> bytes | None:
        return _relisted_photo(catalog, int(rows[number]), KINDS[kinds[number]], keys[number])

    return QuerySet(
        protocol="relistings",
        split=split,
        ids=ids,
        titles=[title and KINDS[kind].title(title, key) for title, kind, key in zip(titles, kinds, keys, strict=True)],
        photo=photo,
        has_photo=catalog.has_photo[rows],
        rows=rows,
        leave_out=False,
        listings=listings,
        products=listings[rows],
        columns={"kind": kinds},
        remarks=(SIMULATED, *_fewer_remark(len(rows), count, split), *few_remark(len(rows))),
    )


def write_queries(path: str | Path, queries: QuerySet, catalog: Catalog) -> None:
    """Write queries as a Parquet file, so that they stay as they are: `given_queries` reads equal ones.

    Training leaves their groups out when it is given the file (`item pretrain --exclude-groups`). That relistings are
    simulated stands in the schema's metadata, so that every result on them will say it.

    Args:
        path: the file; one of that name is replaced.
        queries: Q queries.
        catalog: whose rows they are of, or were made from.

    Raises:
        OutputError: when the file cannot be written.

    Examples:
        >>> write_queries("relistings.parquet", relisted_queries(catalog, 500), catalog)  # doctest: +SKIP
    """
    types = {name: pa.string() for name in (*QUERY_COLUMNS, *queries.columns)} | {"image": pa.binary()}
    metadata = {PROTOCOL_KEY: queries.protocol.encode()} if queries.protocol == "relistings" else None
    schema = pa.schema(list(types.items()), metadata)
    with whole_file(path) as aside, pq.ParquetWriter(aside, schema, compression="zstd") as writer:
        for start in range(0, len(queries), _BLOCK):
            part = slice(start, min(start + _BLOCK, len(queries)))
            rows = queries.rows[part]
            columns = {
                "query_id": queries.ids[part],
                "title": queries.titles[part],
                "image": [queries.photo(number) for number in range(part.start, part.stop)],
                "product_id": [catalog.product_ids[row] for row in rows],
                "item_id": [catalog.ids[row] for row in rows],
                **{name: values[part] for name, values in queries.columns.items()},
            }
            writer.write_table(pa.table(columns, schema))


def _drawn_rows(catalog: Catalog, count: int, split: str, seed: int) -> NDArray[np.int64]:
    """(n,) at most `count` rows of different groups, in their order; rows with a photo and a title are drawn first."""
    rows = catalog.rows(split)
    pictured, titled = catalog.has_photo[rows], catalog.titles.present[rows]
    draws = hash64(seed, _ROW, np.array([text_hash(catalog.ids[row]) for row in rows], np.int64))
    order = np.lexsort((draws, ~(pictured & titled)))
    drawn = rows[order[(pictured | titled)[order]]]
    if not len(rows):
        raise CatalogError(
            f"the {split} split of {catalog.path} is empty, as of few groups it may be; use --split all."
        )
    if not len(drawn):
        raise CatalogError(
            f"no listing in the {split} split of {catalog.path} has a photo or a title to make a second listing of; "
            + ("prepare the catalogue from a feed that has them." if split == "all" else "use --split all.")
        )
    _, first = np.unique(catalog.groups[drawn], return_index=True)
    return np.sort(drawn[np.sort(first)[:count]])


def _relisted_photo(catalog: Catalog, row: int, kind: Kind, key: int) -> bytes | None:
    photo = catalog.photo(row)
    if photo is None:
        return None
    try:
        image = decode(photo)
    except PhotoError as error:
        raise CatalogError(
            f"the photo of {catalog.ids[row]!r} in {catalog.path} cannot be relisted: {error}; prepare the catalogue "
            "again."
        ) from None
    return as_jpeg(kind.photo(image, key), key)


def _fewer_remark(made: int, asked: int, split: str) -> tuple[str, ...]:
    where = "the catalogue" if split == "all" else f"the {split} split"
    return (f"{made:,} of {asked:,} relistings could be made: {where} has no more groups.",) if made < asked else ()
