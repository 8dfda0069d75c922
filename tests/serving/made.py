"""A shop of a few drawn products, read by a dummy embedder."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image

from item_embed.categories.abstaining import HeldOut
from item_embed.categories.classifier import CategoryClassifier, Encoder
from item_embed.categories.linear import Linear
from item_embed.embedding.embedder import Embedder
from item_embed.embedding.vectors import Vectors
from item_embed.explain.explanation import Seen
from item_embed.progress import OnProgress, silent
from item_embed.search.index import ProductIndex
from item_embed.search.query_product import HitProbability, QueryProbabilities
from item_embed.serving.app import Settings, build_app
from item_embed.serving.shop import Shop
from tests.catalogs import Row, photo, write_catalog
from tests.embedders import DummyEmbedder

RED, BLUE = photo((200, 20, 20)), photo((20, 20, 200))
ADDRESS = "http://127.0.0.1"
ROWS = (
    Row("a", "red mug", RED, category="Kitchen > Mugs", metadata={"price": 3, "brand": "Acme", "new": True}),
    Row("b", "blue mug", BLUE, category="Kitchen > Mugs", metadata={"price": 9, "brand": "Acme", "new": False}),
    Row("c/d %?#", "grün & fine", category="<b>bold</b>", metadata={"price": 12}),
    Row("e", None, BLUE),
)


class SeeingEmbedder(DummyEmbedder):
    """A dummy that knows an opened photo by its pixels, as it knows an encoded one by its bytes.

    Args:
        before: called before each batch: to be slow, or to fail.
    """

    def __init__(self, before: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self._before = before

    def embed(
        self,
        images: Sequence[Any] | None = None,
        titles: Sequence[str | None] | None = None,
        batch_size: int = 256,
        on_progress: OnProgress = silent,
    ) -> NDArray[np.float32]:
        self._before()
        return super().embed(None if images is None else [_pixels(one) for one in images], titles)


def _pixels(image: bytes | Image.Image | None) -> bytes | None:
    opened = Image.open(io.BytesIO(image)) if isinstance(image, bytes) else image
    return None if opened is None else opened.convert("RGB").tobytes()


def make_index(folder: Path, rows: Sequence[Row] = ROWS) -> ProductIndex:
    """The index of some rows by the dummy."""
    catalog = write_catalog(folder / "catalog", rows)
    vectors = SeeingEmbedder().embed([row.image for row in rows], [row.title for row in rows])
    made = Vectors(catalog.ids, vectors, "dummy", "model")
    return ProductIndex.build(made, catalog, folder / "index")


def make_shop(index: ProductIndex, before: Callable[[], object] = lambda: None, **parts: Any) -> Shop:
    """A shop of an index, and what else is given."""
    return Shop(index, cast("Embedder", SeeingEmbedder(before)), **parts)


@contextmanager
def client(shop: Shop, settings: Settings | None = None, raises: bool = True) -> Iterator[TestClient]:
    """A client of a service in this process, whose own faults are raised here, or answered as a server would."""
    with TestClient(build_app(shop, settings or Settings()), ADDRESS, raises) as opened:
        yield opened


def probabilities(fingerprint: str = "dummy", *, simulated: bool = True, lowest: float = -1) -> QueryProbabilities:
    """What might have been learned of queries."""
    learned = HitProbability(intercept=-1, cosine=1, lead=6, least=0.01, most=0.99, lowest=lowest)
    return QueryProbabilities(fingerprint, "both", simulated, 1200, "queries.parquet", 0.01, 0.02, learned)


def make_classifier() -> CategoryClassifier:
    """Knows a mug, a plate and a shoe by their titles; a leaf is sure from .9 on, a shorter path from .6."""
    leaves = ("Kitchen > Mugs", "Kitchen > Plates", "Shoes > Flats")
    weights = 5 * SeeingEmbedder().embed(titles=["mug", "plate", "shoe"])
    zeros = np.zeros(len(weights), np.float32)
    likelihood = np.repeat(np.linspace(0, 1, 2000)[:, None], 2, axis=1)
    held = HeldOut(likelihood, likelihood >= [0.9, 0.6], np.arange(len(likelihood)))
    linear = Linear(np.zeros(SeeingEmbedder.dimension, np.float32), 1.0, weights, zeros)
    return CategoryClassifier(leaves, linear, 1.0, Encoder(Path("model"), "dummy"), held, 0.95)


def explain(a: Seen, b: Seen) -> dict[str, Any]:
    """Weighs every word alike."""
    sides = []
    for side in (a, b):
        grid = {"rows": 1, "columns": 2, "patches": [[0.25, 0.5]]} if side.photo else {"rows": None, "columns": None}
        words = [{"word": word, "weight": 0.1} for word in (side.title or "").split()]
        sides.append({"words": words, "patches": None, **grid})
    return {"score": 0.5, "method": "occlusion", "a": sides[0], "b": sides[1]}
