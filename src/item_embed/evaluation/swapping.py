"""Listings whose photo, or title, is that of another product."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.catalog.titles import normalise_title
from item_embed.evaluation.queries import QuerySet, codes
from item_embed.hashing import hash64

_SWAP = 401  # a stream that nothing else uses


def swap_partners(catalog: Catalog, queries: QuerySet, seed: int = 0) -> NDArray[np.int64]:
    """The row whose photo, or title, each query is given instead of its own.

    It is drawn by a hash of the seed and the query's row among the rows that have both a photo and a title, and are
    of another product and another group, with another title and another photo.

    Args:
        catalog: N rows.
        queries: Q queries.
        seed: of the draw.

    Returns:
        (Q,) rows; -1 for a query for which there is none.

    Examples:
        >>> partners = swap_partners(catalog, queries)  # doctest: +SKIP
    """
    titles = [None if title is None else normalise_title(title) for title in catalog.titles]
    kinds = [codes(catalog.product_ids), catalog.groups, codes(titles), catalog.photo_pixels]
    usable = catalog.has_photo & np.array([title is not None for title in titles], np.bool_)
    partners = np.full(len(queries), -1, np.int64)
    drawn_numbers = hash64(seed, _SWAP, queries.rows)
    for number, row in enumerate(queries.rows):
        differs = usable.copy()
        for kind in kinds:
            differs &= kind != kind[row]
        candidates = np.flatnonzero(differs)
        own = normalise_title(queries.titles[number] or "")  # a given query's title need not be its row's
        for attempt in range(len(candidates)):
            partner = candidates[(int(drawn_numbers[number]) + attempt) % len(candidates)]
            if titles[partner] != own:
                partners[number] = partner
                break
    return partners


def swapped(catalog: Catalog, queries: QuerySet, partners: NDArray[np.int64]) -> dict[str, QuerySet]:
    """The queries as they are (`both`), with their partners' photos (`photo_swapped`) and titles (`title_swapped`).

    Args:
        catalog: N rows.
        queries: Q queries.
        partners: (Q,) rows to take photo or title from, all of them there.
    """
    return {
        "both": queries,
        "photo_swapped": replace(
            queries,
            photo=lambda number: catalog.photo(int(partners[number])),
            has_photo=catalog.has_photo[partners],
        ),
        "title_swapped": replace(queries, titles=[catalog.titles[row] for row in partners]),
    }


def have_both(queries: QuerySet) -> NDArray[np.bool_]:
    """(Q,) which queries have a photo and a title; no photo is made or read."""
    return queries.has_photo & queries.has_title
