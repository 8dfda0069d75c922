"""`Service`: answers requests by a shop's parts, each in the thread that it belongs to.

Photos are decoded in a small pool, products encoded by the batch in one thread, queries searched by the batch in
another; all else that reads the index or the classifier has a thread of its own. The event loop only waits.
"""

import asyncio
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from item_embed.errors import FilterError, ItemError
from item_embed.explain.explanation import Seen
from item_embed.search.items import Hit, Item
from item_embed.serving.batching import Batcher
from item_embed.serving.limits import Limits, RefusedError
from item_embed.serving.metrics import Metrics
from item_embed.serving.reading import Described, Reader
from item_embed.serving.shop import Shop

Vector = NDArray[np.float32]
Result = TypeVar("Result")

_WARM = "warming up"
_DECODED = min(4, max(2, os.cpu_count() or 1))  # photos at once: one of 64 megapixels takes 200 MB and more
_EXPLAINED = 8  # pairs that may wait to be explained: each takes as long as many searches


class Query(NamedTuple):
    """What is searched by: a unit vector (d,), how many hits, and a filter."""

    vector: Vector
    k: int
    where: str | None


class FoundItem(NamedTuple):
    """A hit, and whether it has a photo."""

    hit: Hit
    pictured: bool


class Service:
    """A shop that answers many at once.

    Args:
        shop: what is served.
        limits: what requests may cost.
        metrics: what is counted.

    Attributes:
        ready: whether the model has answered, and the service goes on.

    Examples:
        >>> async with Service(shop, Limits(), Metrics()) as service:      # doctest: +SKIP
        ...     vector = await service.vector(Described(None, "red mug"))
        ...     hits = await service.search(Query(vector, 10, None))
    """

    def __init__(self, shop: Shop, limits: Limits, metrics: Metrics) -> None:
        self.shop, self.limits, self.metrics = shop, limits, metrics
        self.ready = False
        self._read = Reader(shop.sees, shop.embedder.image_size, limits.pixels)
        self._encoder = Batcher(self._encode, name="the encoder", room=limits.queue)
        self._searcher = Batcher(self._search, name="the search", room=limits.queue)
        self._explainer = Batcher(self._explain, name="explaining", most=1, room=_EXPLAINED, wait=0)
        self._photos: Executor = ThreadPoolExecutor(_DECODED, "photos")
        self._decoding = 0
        self._index: Executor = ThreadPoolExecutor(1, "index")
        self._open = AsyncExitStack()
        metrics.queue(lambda: len(self._encoder))

    async def __aenter__(self) -> "Service":
        for batcher in (self._encoder, self._searcher, self._explainer):
            await self._open.enter_async_context(batcher)
        self._warming = asyncio.create_task(self._warm())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Finish what is under way."""
        self.ready = False
        self._warming.cancel()
        await asyncio.gather(self._warming, return_exceptions=True)
        await self._open.aclose()
        self._photos.shutdown()
        self._index.shutdown()

    async def _warm(self) -> None:
        """Read what is slow the first time, and let the model answer once; if it cannot, the log says why."""
        try:
            await self._first_answer()
            self.ready = True
        except Exception as error:
            print(f"error: the service does not get ready: {error}", file=sys.stderr, flush=True)

    async def _first_answer(self) -> None:
        await self.reading(self.shop.read_ahead)
        sight = Seen(None, _WARM) if "title" in self.shop.sees else Seen(_white(self.shop.embedder.image_size), None)
        vector = await self._encoder.one(sight)
        await self._searcher.one(Query(vector, 1, None))

    async def vector(self, described: Described) -> Vector:
        """The unit vector of a product, (d,)."""
        (vector,) = await self.vectors([described])
        return vector

    async def vectors(self, described: Sequence[Described]) -> list[Vector]:
        """The unit vectors of products, each (d,).

        Raises:
            RefusedError: when one cannot be read, or too many wait.
        """
        return await self._encoder.all(await self._seen(described))

    async def _seen(self, described: Sequence[Described]) -> list[Seen]:
        """What the model sees of products: titles are read at once, photos are decoded side by side.

        Photos that wait to be decoded count as products that wait for the model; of a request that is given up they
        wait no more.
        """
        loop = asyncio.get_running_loop()
        read = {place: self._read(one) for place, one in enumerate(described) if one.photo is None}
        photos = len(described) - len(read)
        if self._decoding + len(self._encoder) + photos > self.limits.queue:
            raise RefusedError.busy(f"the encoder has no room for {photos} more")
        pictured = [place for place in range(len(described)) if place not in read]
        decoded = [loop.run_in_executor(self._photos, self._read, described[place]) for place in pictured]
        self._decoding += photos
        try:
            read.update(zip(pictured, await asyncio.gather(*decoded), strict=True))
        finally:
            self._decoding -= photos
            for one in decoded:
                one.cancel()
        return [read[place] for place in range(len(described))]

    async def weighted(self, described: Described, weight: float) -> Vector:
        """The unit vector between those of a product's photo and of its title, (d,).

        Args:
            described: a product with both.
            weight: 1 for the photo alone, 0 for the title alone.
        """
        if weight in (0, 1):
            return await self.vector(Described(described.photo, None) if weight else Described(None, described.title))
        photo, title = await self.vectors([Described(described.photo, None), Described(None, described.title)])
        sum_ = weight * photo + (1 - weight) * title
        return np.asarray(sum_ / max(float(np.linalg.norm(sum_)), 1e-12), np.float32)

    async def indexed(self, ids: Sequence[str]) -> dict[str, Vector]:
        """The vectors of products of the index, by id.

        Raises:
            RefusedError: 404, naming the first that is not there.
        """
        found = await self.reading(self.shop.index.vectors, ids)
        for key in ids:
            if key not in found:
                raise RefusedError(404, f"there is no product {key!r}.")
        return found

    async def search(self, query: Query) -> list[FoundItem]:
        """The products nearest to a vector, best first.

        Raises:
            RefusedError: when the filter cannot be read, or too many wait.
        """
        return await self._searcher.one(query)

    async def explained(self, a: Described, b: Described) -> Mapping[str, Any]:
        """Why two products are alike."""
        first, second = await self._seen([a, b])
        return await self._explainer.one((first, second))

    async def reading(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Call what reads the index, in its thread.

        Raises:
            RefusedError: 503 where the index cannot be read; the log says why.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._index, function, *arguments)
        except RefusedError:
            raise
        except ItemError as error:
            raise unavailable(error) from None

    def _encode(self, seen: list[Seen]) -> list[Vector]:
        began = time.perf_counter()
        photos, titles = [one.photo for one in seen], [one.title for one in seen]
        vectors = self.shop.embedder.embed(images=photos, titles=titles, batch_size=len(seen))
        self.metrics.encoded(len(seen), time.perf_counter() - began)
        return list(vectors)

    def _search(self, queries: list[Query]) -> list[list[FoundItem] | Exception]:
        """Search all that have the same filter together, for as many hits as any of them wants."""
        index = self.shop.index
        alike: defaultdict[str | None, list[int]] = defaultdict(list)
        for place, query in enumerate(queries):
            alike[query.where].append(place)
        answers: list[list[FoundItem] | Exception] = [[] for _ in queries]
        for where, places in alike.items():
            most = max(queries[place].k for place in places)
            vectors = np.stack([queries[place].vector for place in places])
            try:
                found = index.search(vectors, most, self.shop.embedder.fingerprint, where)
                hits = [one[: queries[place].k] for one, place in zip(found, places, strict=True)]
                pictured = _pictured(index.items_without_photos(list({hit.id for one in hits for hit in one})))
            except ItemError as error:
                refused = RefusedError(422, f"where: {error}") if isinstance(error, FilterError) else unavailable(error)
                for place in places:
                    answers[place] = refused
                continue
            for one, place in zip(hits, places, strict=True):
                answers[place] = [FoundItem(hit, hit.id in pictured) for hit in one]
        return answers

    def _explain(self, pairs: list[tuple[Seen, Seen]]) -> list[Mapping[str, Any]]:
        assert self.shop.explain is not None
        return [self.shop.explain(a, b) for a, b in pairs]


def unavailable(error: ItemError, what: str = "the index cannot be read") -> RefusedError:
    """What cannot be done now: the error's sentence may name files of this machine, and is for the log."""
    print(f"error: {error}", file=sys.stderr, flush=True)
    return RefusedError(503, f"{what} now; the service's log says why.", {"Retry-After": "5"})


def _pictured(found: dict[str, tuple[Item, bool]]) -> set[str]:
    return {key for key, (_, pictured) in found.items() if pictured}


def _white(size: tuple[int, int]) -> Any:
    from PIL import Image

    return Image.new("RGB", size[::-1], "white")
