from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from item_embed.catalog.drawing.ceilings import Ceiling, by_chance, ceilings, hit_bounds, recall_bounds
from item_embed.catalog.drawing.facts import codes, photo_facts
from item_embed.catalog.drawing.listings import FEWEST, MOST
from item_embed.catalog.drawing.products import make_product, rng
from item_embed.catalog.drawing.sellers import make_seller
from item_embed.catalog.drawing.showing import PRESETS
from item_embed.catalog.drawing.titles import write_title

Ints = NDArray[np.int64]


def _plain(facts: Ints, owners: Ints, masks: Ints) -> Ceiling:
    """The ceilings in plain loops."""
    sizes = [int((owners == product).sum()) for product in range(len(facts))]
    recall = hit = reader_recall = reader_hit = 0.0
    for owner, mask in zip(owners.tolist(), masks.tolist(), strict=True):
        told = [place for place in range(facts.shape[1]) if mask >> place & 1]
        agree = [p for p in range(len(facts)) if all(facts[p, place] == facts[owner, place] for place in told)]
        parts = sorted((1 / sizes[p] for p in agree for _ in range(sizes[p])), reverse=True)
        weight = 1 / sizes[owner] / len(facts)
        recall += weight * min(1, sum(parts[:11]) / len(agree))
        hit += max(sizes[p] for p in agree) / sum(sizes[p] for p in agree) / len(owners)
        others = sum(sizes[p] for p in agree) - 1
        reader_recall += weight * min(1, 10 / others)
        reader_hit += (sizes[owner] - 1) / others / len(owners)
    return Ceiling(recall, hit, reader_recall, reader_hit)


@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_ceilings_are_those_of_plain_loops(seed: int, products: int, columns: int, values: int) -> None:
    random = np.random.default_rng(seed)
    facts = random.integers(0, values, (products, columns))
    owners = np.repeat(np.arange(products), random.integers(2, 5, products))
    titles, photos = (random.integers(0, 1 << columns, len(owners)) for _ in range(2))
    found = ceilings(facts, owners, titles, photos)
    for name, masks in {"title": titles, "photo": photos, "both": titles | photos}.items():
        expected = _plain(facts, owners, masks)
        assert found[name].hit_at_1 == pytest.approx(expected.hit_at_1)
        assert found[name].macro_recall_at_10 == pytest.approx(expected.macro_recall_at_10)
        assert found[name].reader_recall_at_10 == pytest.approx(expected.reader_recall_at_10)
        assert found[name].reader_hit_at_1 == pytest.approx(expected.reader_hit_at_1)
        assert found[name].reader_recall_at_10 <= found[name].macro_recall_at_10 + 1e-9
        assert found[name].reader_hit_at_1 <= found[name].hit_at_1 + 1e-9


@pytest.mark.parametrize("top", [1, 2, 3])
@pytest.mark.parametrize("sizes", [(2, 2), (2, 3), (3, 3), (2, 2, 2), (4,)])
def test_a_lot_drawn_among_what_agrees_finds_that_much_on_average(sizes: tuple[int, ...], top: int) -> None:
    """Every order is as likely; the first product's first listing asks."""
    owners = [product for product, size in enumerate(sizes) for _ in range(size)][1:]
    orders = [[owners[row] for row in order] for order in permutations(range(len(owners)))]
    found = [min(order[:top].count(0), sizes[0] - 1) / (sizes[0] - 1) for order in orders]
    recall, hit = by_chance(np.bincount(sizes)[None], np.array([sizes[0]]), top)
    assert recall[0] == pytest.approx(sum(found) / len(orders))
    assert hit[0] == pytest.approx(sum(order[0] == 0 for order in orders) / len(orders))


@pytest.mark.parametrize("top", [1, 2, 3])
@pytest.mark.parametrize("sizes", [(2, 2), (2, 3), (2, 4), (3, 3), (2, 2, 2), (4,), (3, 2, 2)])
def test_no_ranking_of_products_that_nothing_tells_apart_beats_the_bound(sizes: tuple[int, ...], top: int) -> None:
    """Every order in which a reader may prefer the listings, where all queries tell the same."""
    owners = [product for product, size in enumerate(sizes) for _ in range(size)]
    best_recall = best_hit = 0.0
    for order in permutations(range(len(owners))):
        recall = hit = 0.0
        for query, owner in enumerate(owners):
            shown = [owners[row] for row in order if row != query][:top]
            recall += shown.count(owner) / (sizes[owner] - 1) / sizes[owner] / len(sizes)
            hit += (shown[0] == owner) / len(owners)
        best_recall, best_hit = max(best_recall, recall), max(best_hit, hit)
    bound = float(recall_bounds(np.bincount(sizes)[None], top)[0])
    assert best_recall <= bound + 1e-9
    assert best_hit == pytest.approx(float(hit_bounds(np.bincount(sizes)[None])[0]))
    assert bound - best_recall < 0.2


def test_more_that_is_told_raises_the_ceiling() -> None:
    random = np.random.default_rng(0)
    facts = random.integers(0, 5, (300, 3))
    owners = np.repeat(np.arange(300), 3)
    found = [ceilings(facts, owners, np.full(900, mask), np.zeros(900, int))["title"] for mask in (0, 1, 3, 7)]
    recalls, hits = [c.macro_recall_at_10 for c in found], [c.hit_at_1 for c in found]
    assert recalls == sorted(recalls)
    assert hits == sorted(hits)
    assert found[0].hit_at_1 == pytest.approx(1 / 300)
    assert found[0].macro_recall_at_10 == pytest.approx(11 / 3 / 300)


@pytest.mark.slow
@pytest.mark.parametrize("dominance", list(PRESETS))
def test_a_reader_who_makes_no_mistake_comes_near_the_ceiling_and_not_above(dominance: str) -> None:
    """Reads all that is told and knows every product.

    Where several agree it prefers those with few listings, for the sake of recall, or with many, for that of hit@1.
    """
    showing, number = PRESETS[dominance], 720
    products = [make_product(0, i, showing) for i in range(number)]
    sizes = np.random.default_rng(1).integers(FEWEST, MOST + 1, number)
    owners = np.repeat(np.arange(number), sizes)
    facts = np.array([codes(product) for product in products])
    titles = np.array(
        [
            write_title(products[owner], make_seller(0, i % 48).title, rng(0, 9, i), showing).facts
            for i, owner in enumerate(owners.tolist())
        ]
    )
    photos = np.full(len(owners), photo_facts(showing))
    found = ceilings(facts, owners, titles, photos)
    for name, masks in {"title": titles, "photo": photos, "both": titles | photos}.items():
        (recall, _), (_, hit) = (_read(facts, owners, masks, sizes * sign) for sign in (1, -1))
        assert found[name].macro_recall_at_10 - 0.03 < recall < found[name].macro_recall_at_10 + 0.005
        assert found[name].hit_at_1 - 0.04 < hit < found[name].hit_at_1 + 0.005


def _read(facts: Ints, owners: Ints, masks: Ints, dislike: Ints) -> tuple[float, float]:
    told = (masks[:, None] >> np.arange(facts.shape[1]) & 1).astype(bool)
    preferred = np.lexsort((np.random.default_rng(2).permutation(len(facts))[owners], dislike[owners]))
    listings = np.bincount(owners)
    recall = hit = 0.0
    for query, owner in enumerate(owners.tolist()):
        agree = (facts[:, told[query]] == facts[owner, told[query]]).all(1)
        shown = preferred[agree[owners[preferred]] & (preferred != query)][:10]
        right = owners[shown] == owner
        recall += right.sum() / (listings[owner] - 1) / listings[owner] / len(facts)
        hit += bool(right[0]) / len(owners)
    return recall, hit
