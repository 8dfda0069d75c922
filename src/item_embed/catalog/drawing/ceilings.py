"""The most that comparing listing with listing can find on a drawn marketplace: by photos, by titles, and by both.

A query tells some of its product's facts (`facts.FACTS`). Let `k` be how many products agree with all that it tells.
Its own is one of them, and nothing says which: sellers take their photos and write their titles in manners that do not
depend on the product. So whatever the ranking, each of the `k` is as likely to be the one that counts. Let n be the
number of a product's listings, and let a method rank all listings of the `k`, the query's own among them, which is then
left out:

    recall@10  The first eleven hold t listings of a product. The query is any of its n, each as likely. If it is among
               the t, t - 1 of the other n - 1 are found, else t at most: on average
               (t (t - 1) + (n - t) t) / (n (n - 1)) = t / n. So recall@10 is at most B / k, where B is the largest sum
               of t / n that eleven places allow: products with few listings first.
    hit@1      The first listing is of one product. Its n queries hit at most, of those of all k products:
               at most (the most listings of a product) / (the listings of all).

This holds for every method that scores a candidate by what the query and that candidate show, as all do that compare
vectors; even for one that reads without a mistake and knows every attribute of every candidate and how many listings
its product has: so it is a ceiling also where a candidate's own title leaves things out. Knowing sellers by their
backdrops, and that each lists a product once, does not lift it: the eleventh place, and the query counted among its
product's listings, are worth more.

It does not hold for a method that looks at all candidates together, gathers them into products, and gives each product
a place, or sees which product lacks a listing: all have two to four, so one that shows a single other listing is the
query's. With the true products in hand that can double recall and triple hit@1.

It is on the high side in that words which fit several values ("striped", 12 oz) count as telling the value, and so does
silence about a plain product by a seller who tells patterns; and in that a photo counts as telling what a cover, a crop
or few pixels may hide. A listing without a photo tells nothing by its photo, not even its kind.

What a reader without mistakes can be expected to find who picks by chance among the L listings of the k products, the
query's own left out, stands beside the ceiling: recall@10 min(1, 10 / (L - 1)), hit@1 (n - 1) / (L - 1). It reads every
candidate as if nothing were left out there. Where much is left out or many agree it lies well below the ceiling.

Averages are those of the evaluation: recall@10 over a product's listings as queries, then over products; hit@1 over all
listings as queries.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from item_embed.hashing import hash64

TOP = 10
_BUCKETS = 20  # bits


@dataclass(frozen=True)
class Ceiling:
    """The most that can be expected from one modality, or from both.

    Attributes:
        macro_recall_at_10: no ranking by scores of pairs does better.
        hit_at_1: the same for the first hit.
        reader_recall_at_10: what a reader without mistakes finds who picks by chance where several agree.
        reader_hit_at_1: the same for the first hit.
    """

    macro_recall_at_10: float
    hit_at_1: float
    reader_recall_at_10: float
    reader_hit_at_1: float


def ceilings(
    facts: NDArray[np.int64],
    owners: NDArray[np.int64],
    titles: NDArray[np.int64],
    photos: NDArray[np.int64],
) -> dict[str, Ceiling]:
    """The ceilings of a marketplace.

    Args:
        facts: of each product, `facts.codes`, (products, facts).
        owners: the product of each listing, a row of `facts`, (listings,).
        titles: what each listing's title tells, bits of `facts.bits`, (listings,).
        photos: what each listing's photo tells, 0 without a photo, (listings,).

    Returns:
        "photo", "title" and "both" -> the ceiling.

    Examples:
        >>> facts, owners = np.array([[0], [0], [1]]), np.array([0, 0, 1, 1, 2, 2])
        >>> ceilings(facts, owners, np.full(6, 1), np.zeros(6, int))["title"].hit_at_1  # a half, a half, 1
        0.666666666667
    """
    hashed = np.stack([hash64(column, facts[:, column]) for column in range(facts.shape[1])])
    listings = np.bincount(owners, minlength=len(facts))
    weights = 1 / listings[owners] / len(facts)
    told = {"photo": photos, "title": titles, "both": photos | titles}
    found: dict[str, Ceiling] = {}
    for name, masks in told.items():
        sums = np.zeros(4)
        for mask, rows in _by_value(masks):
            products, place = np.unique(owners[rows], return_inverse=True)
            weight = np.bincount(place, weights[rows])
            agreeing = _agreeing(_signatures(hashed, mask), products, listings)
            queries = np.bincount(place) / len(owners)
            reader_recall, reader_hit = by_chance(agreeing, listings[products], TOP)
            sums += (
                weight @ recall_bounds(agreeing, TOP),
                queries @ hit_bounds(agreeing),
                weight @ reader_recall,
                (queries @ reader_hit),
            )
        found[name] = Ceiling(*sums.round(12).tolist())
    return found


def by_chance(
    agreeing: NDArray[np.int64], listings: NDArray[np.int64], top: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Recall@top and hit@1 of a query whose ranking among the listings that agree with it is drawn by lot.

    Args:
        agreeing: as for `recall_bounds`.
        listings: of each query's product, (queries,).
        top: how many listings are looked at.
    """
    others = agreeing @ np.arange(agreeing.shape[1]) - 1
    return np.minimum(1, top / others), (listings - 1) / others


def recall_bounds(agreeing: NDArray[np.int64], top: int) -> NDArray[np.float64]:
    """The most recall@top that can be expected of a query.

    Args:
        agreeing: how many products of 0, 1, 2, … listings agree with what the query tells, (queries, most + 1).
        top: how many listings are looked at.
    """
    left = np.full(len(agreeing), top + 1.0)
    whole = np.zeros(len(agreeing))  # products that they hold, in parts
    for size in range(1, agreeing.shape[1]):
        places = np.minimum(left, agreeing[:, size] * size)
        whole += places / size
        left -= places
    return np.asarray(np.minimum(1, whole / agreeing.sum(1)))


def hit_bounds(agreeing: NDArray[np.int64]) -> NDArray[np.float64]:
    """The highest hit@1 that can be expected of a query; `agreeing` as for `recall_bounds`."""
    sizes = np.arange(agreeing.shape[1])
    return np.asarray(np.where(agreeing > 0, sizes, 0).max(1) / (agreeing @ sizes))


def _by_value(masks: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each value with the rows that have it."""
    order = np.argsort(masks, kind="stable")
    values, starts = np.unique(masks[order], return_index=True)
    return zip(values.tolist(), np.split(order, starts[1:]), strict=True)


def _signatures(hashed: NDArray[np.uint64], mask: int) -> NDArray[np.uint64]:
    """One number for what each product's facts in the mask are; equal by chance for one pair in 2**64."""
    chosen = [column for column in range(len(hashed)) if mask >> column & 1]
    return hashed[chosen].sum(0, dtype=np.uint64) if chosen else np.zeros(hashed.shape[1], np.uint64)


def _agreeing(
    signatures: NDArray[np.uint64], products: NDArray[np.int64], listings: NDArray[np.int64]
) -> NDArray[np.int64]:
    """For each of some products, how many of 0, 1, 2, … listings have its signature."""
    asked, place = np.unique(signatures[products], return_inverse=True)
    buckets = np.zeros(1 << _BUCKETS, bool)  # most products agree with none that is asked for: they need no search
    low = (signatures & np.uint64((1 << _BUCKETS) - 1)).astype(np.int64)
    buckets[low[products]] = True
    near = np.flatnonzero(buckets[low])
    at = np.minimum(np.searchsorted(asked, signatures[near]), len(asked) - 1)
    same = asked[at] == signatures[near]
    most = int(listings.max()) + 1
    counts = np.bincount(at[same] * most + listings[near[same]], minlength=len(asked) * most)
    return counts.reshape(len(asked), most)[place]
