"""The service around a shop of drawn products, with all that it can have, read by a dummy; and a place to listen."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from starlette.types import ASGIApp

from item_embed.catalog.drawing.listings import make_listings
from item_embed.catalog.drawing.products import make_product
from item_embed.categories.abstaining import HeldOut
from item_embed.categories.classifier import CategoryClassifier, Encoder
from item_embed.categories.linear import Linear
from item_embed.explain.explanation import Seen
from item_embed.search.duplicates.decision import Decision
from item_embed.search.duplicates.settings import Variants
from item_embed.search.probability import ProbabilityTable
from item_embed.serving.app import Settings, build_app
from item_embed.serving.review import AskedPair, Review
from tests.catalogs import Row
from tests.embedders import DummyEmbedder
from tests.serving.made import make_index, make_shop, probabilities

PRODUCTS, PAIRS = 24, 60
_SIDE = 32  # pixels: as the dummy sees photos, so that none is scaled on the way
_PATCHES = 7  # of a side


@cache
def rows() -> tuple[Row, ...]:
    """Listings of drawn products, each with a title, with facts of every type."""
    listings = [listing for number in range(PRODUCTS) for listing in make_listings(make_product(0, number), 0, _SIDE)]
    return tuple(
        Row(
            listing.row["item_id"],
            listing.title.text,
            listing.photo,
            listing.row["category"],
            metadata={
                "price": float(listing.row["price"]),
                "seller": listing.row["seller"],
                "colour": listing.row["colour"],
                "condition": ("new", "used")[number % 2],
                "sold": number % 3 == 0,
                "stock": number,
            },
        )
        for number, listing in enumerate(listings)
    )


def make_app(
    folder: Path, key: str | None = None, *, reviewed: bool = True, variants: Variants | None = None
) -> ASGIApp:
    """A service of these rows.

    Args:
        folder: an empty one, where its index and answers are kept.
        key: that requests must carry.
        reviewed: whether it has duplicates to review.
        variants: what those are; the first pair and each third after it is of some.
    """
    ids = [row.id for row in rows()]
    unlike = [variants is not None and n % 3 == 0 for n in range(PAIRS)]
    pairs = [AskedPair(f"{n:04}", (ids[n], ids[n + 1]), 0.9, n % 10, 100, unlike[n]) for n in range(PAIRS)]
    decision = Decision("dummy", 0.9, ProbabilityTable(np.array([0.5, 1]), np.array([0, 1])))
    shop = make_shop(
        make_index(folder, rows()),
        decision=decision,
        review=Review(pairs, folder / "answers.csv", variants) if reviewed else None,
        classifier=_classifier(),
        explain=_explained,
        queries=probabilities(),
    )
    return build_app(shop, Settings(key=key))


def _classifier() -> CategoryClassifier:
    """Knows the rows' categories, and is as sure of them as chance makes it."""
    generator = np.random.default_rng(0)
    leaves = tuple(sorted({str(row.category) for row in rows()}))
    weights = generator.normal(size=(len(leaves), DummyEmbedder.dimension)).astype(np.float32)
    linear = Linear(weights.mean(axis=0), 0.5, weights * 3, weights[:, 1])
    likelihood = np.sort(generator.random((400, 3)), axis=1) ** 0.3
    held = HeldOut(likelihood, generator.random((400, 3)) < likelihood, np.arange(400) // 2)
    return CategoryClassifier(leaves, linear, 1.7, Encoder(Path("model"), "dummy"), held, 0.7, {"C": 1.0})


def _explained(a: Seen, b: Seen) -> dict[str, Any]:
    """Words that both have weigh something, and the patches of a photo from left to right from -.01 to .02."""
    return {"score": 0.75, "method": "occlusion", "a": _side(a, b), "b": _side(b, a)}


def _side(mine: Seen, other: Seen) -> dict[str, Any]:
    shared = set((other.title or "").split())
    words = [{"word": word, "weight": 0.1 if word in shared else -0.01} for word in (mine.title or "").split()]
    if mine.photo is None:
        return {"words": words, "rows": None, "columns": None, "patches": None}
    patches = np.tile(np.linspace(-0.01, 0.02, _PATCHES), (_PATCHES, 1)).tolist()
    return {"words": words, "rows": _PATCHES, "columns": _PATCHES, "patches": patches}


@contextmanager
def listening(app: ASGIApp) -> Iterator[str]:
    """Serve an app on loopback; gives its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    assert server.started
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(30)
