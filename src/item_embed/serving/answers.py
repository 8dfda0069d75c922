"""What requests are answered with: the service's results as responses hold them."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import numpy as np

from item_embed.embedding.seen import seen_title
from item_embed.files import OutputError
from item_embed.search.duplicates.listings import read_column
from item_embed.search.items import Item
from item_embed.search.query_product import SHOWN, HitProbability
from item_embed.serving.limits import RefusedError
from item_embed.serving.reading import Described
from item_embed.serving.review import AskedPair
from item_embed.serving.schemas import (
    Candidate,
    Categorised,
    Decided,
    Fact,
    Hit,
    Pair,
    Pairs,
    Product,
    SearchRequest,
    VariantsTold,
)
from item_embed.serving.service import FoundItem, Query, Service, Vector, unavailable


def photo_address(key: str) -> str:
    """Where the photo of a product is."""
    return f"/v1/photos/{quote(key, safe='')}"


async def search(service: Service, asked: SearchRequest) -> list[Hit]:
    """The hits of a search, by a product of the index or by a query from outside."""
    hits = await (_outside(service, asked) if asked.id is None else _similar(service, asked.id, asked))
    least = -1.0 if asked.threshold is None else asked.threshold
    return [one for one in hits[: asked.k] if one.score >= least]


async def _similar(service: Service, key: str, asked: SearchRequest) -> list[Hit]:
    """The hits of a listing, which is none of them."""
    vector, known = (await service.indexed([key]))[key], service.shop.of_listings
    found = [one for one in await service.search(Query(vector, asked.k + 1, asked.where)) if one.hit.id != key]
    variants = await service.reading(_are_variants, service, key, [one.hit.id for one in found])
    apart = service.shop.variants_differ  # then nothing was learned of variants
    return [
        _hit(one, None if variant and apart else known.at(one.hit.score))
        for one, variant in zip(found, variants, strict=True)
    ]


async def _outside(service: Service, asked: SearchRequest) -> list[Hit]:
    """The hits of a query: with probabilities where these were learned of such."""
    vector, joined = await _queried(service, asked)
    learned = service.shop.queries
    if learned is None or not joined:
        return [_hit(one, None) for one in await service.search(Query(vector, asked.k, asked.where))]
    found = await service.search(Query(vector, max(asked.k, SHOWN), asked.where))
    # Rivals are the first of the whole index, as it was learned: a filter changes no hit's probability.
    first = found if asked.where is None or not found else await service.search(Query(vector, SHOWN, None))
    known = await _probabilities(service, learned.probability, vector, [*first, *found])
    return [_hit(one, known[one.hit.id]) for one in found]


async def _probabilities(
    service: Service, learned: HitProbability, vector: Vector, found: list[FoundItem]
) -> dict[str, float | None]:
    """The probabilities of hits by id; the first ten of the index come first, and any may come again."""
    if not found:
        return {}
    score = {one.hit.id: one.hit.score for one in found}  # in the order of their first coming
    stored = await service.reading(service.shop.index.vectors, list(score))
    gone = np.zeros_like(vector)  # deleted since it was found: it is like no other
    vectors = np.stack([stored.get(key, gone) for key in score])
    known = learned.of_query(np.array([*score.values()], np.float32), vectors)
    return dict(zip(score, known, strict=True))


async def _queried(service: Service, asked: SearchRequest) -> tuple[Vector, bool]:
    """The vector of a query, and whether the model joined in it all that the listings' vectors were made of."""
    described = Described(asked.image or None, asked.title)
    if asked.photo_weight is not None and described.photo and described.title:
        return await service.weighted(described, asked.photo_weight), False
    sides = (("image", described.photo), ("title", seen_title(described.title)))
    joined = {sight for sight, side in sides if side} == service.shop.made_of
    return await service.vector(described), joined


async def vectors(service: Service, products: list[Product]) -> list[Vector]:
    """The vectors of products: those of the index by id, others by the model."""
    ids = list(dict.fromkeys(one.id for one in products if one.id is not None))
    indexed = await service.indexed(ids) if ids else {}
    described = [Described(one.image or None, one.title) for one in products if one.id is None]
    embedded = iter(await service.vectors(described) if described else [])
    return [next(embedded) if one.id is None else indexed[one.id] for one in products]


async def decided(service: Service, a: Product, b: Product) -> Decided:
    """Whether two products are the same: of listings of the index alone is it known."""
    first, second = await vectors(service, [a, b])
    score = _cosine(first, second)
    decision = service.shop.decision
    if decision is None:
        return Decided(score=score, probability=None, same=None, threshold=None, variants=None)
    if a.id is None or b.id is None:
        return Decided(score=score, probability=None, same=None, threshold=decision.threshold, variants=None)
    variants = (await service.reading(_are_variants, service, a.id, [b.id]))[0]
    if variants and service.shop.variants_differ:  # whatever the score: these are never joined
        return Decided(score=score, probability=None, same=False, threshold=decision.threshold, variants=True)
    return Decided(
        score=score,
        probability=decision.probability.at(score),
        same=decision.is_same(score),
        threshold=decision.threshold,
        variants=variants,
    )


async def categorised(service: Service, product: Product) -> Categorised:
    """The category of a product.

    Raises:
        RefusedError: 501 where no classifier is served.
    """
    if service.shop.classifier is None:
        raise absent("categories", "--categories DIR, made by `item classify fit`")
    (vector,) = await vectors(service, [product])
    return await service.reading(_categorised, service, vector)


async def explained(service: Service, a: Product, b: Product) -> dict[str, Any]:
    """Why two products are alike.

    Raises:
        RefusedError: 501 where nothing explains.
    """
    if service.shop.explain is None:
        raise absent("explanations", "a model that can be explained")
    first, second = [await _described(service, product) for product in (a, b)]
    return dict(await service.explained(first, second))


async def pairs(service: Service, offset: int, limit: int) -> Pairs:
    """Some of the pairs to be judged.

    Raises:
        RefusedError: 501 where no duplicates are served.
    """
    review = service.shop.review
    if review is None:
        raise absent("duplicates", "--duplicates DIR, made by `item duplicates`")
    shown = review.pairs[offset : offset + limit]
    variants = review.variants and VariantsTold.model_validate(review.variants.as_json())
    return await service.reading(
        lambda: Pairs(total=len(review), answered=review.answered, variants=variants, pairs=_pairs(service, shown))
    )


async def answered(service: Service, key: str, answer: Any) -> Pair:
    """A pair, with the answer that is kept from now on.

    Raises:
        RefusedError: 501 where no duplicates are served, 404 for a pair that is not asked, 503 where the answer cannot
            be saved.
    """
    review = service.shop.review
    if review is None:
        raise absent("duplicates", "--duplicates DIR, made by `item duplicates`")
    pair = review.pair(key)
    if pair is None:
        raise RefusedError(404, f"there is no pair {key!r}.")

    def say() -> Pair:
        try:
            review.say(pair, answer)
        except OutputError as error:
            raise unavailable(error, "answers cannot be saved") from None
        return _pairs(service, (pair,))[0]

    return await service.reading(say)


def fact(item: Item, pictured: bool) -> Fact:
    """A product of the index."""
    return Fact(
        id=item.id,
        title=item.title,
        category=item.category,
        metadata=dict(item.metadata),
        photo=photo_address(item.id) if pictured else None,
    )


def absent(what: str, mend: str) -> RefusedError:
    """Something that this service was not started with."""
    return RefusedError(501, f"this service has no {what}; start it with {mend}.")


def _are_variants(service: Service, key: str, others: Sequence[str]) -> list[bool | None]:
    """Whether a product of the index and each of some others differ in the column of variants; None without one."""
    decision = service.shop.decision
    if decision is None or decision.variants is None:
        return [None] * len(others)
    own, *theirs = read_column(service.shop.index, [key, *others], decision.variants.column)
    return [own is not None and other is not None and own != other for other in theirs]


async def _described(service: Service, product: Product) -> Described:
    """A product's photo and title, of the index where an id is given: of those, what the model looks at here."""
    if product.id is None:
        return Described(product.image or None, product.title)
    item = await service.reading(service.shop.index.item, product.id)
    if item is None:
        raise RefusedError(404, f"there is no product {product.id!r}.")
    sees = service.shop.sees
    return Described(item.photo if "image" in sees else None, item.title if "title" in sees else None)


def _hit(found: FoundItem, probability: float | None) -> Hit:
    hit = found.hit
    return Hit(
        id=hit.id,
        title=hit.title,
        score=min(1.0, hit.score),  # rounding makes a little more of it
        probability=probability,
        category=hit.category,
        metadata=hit.metadata,
        photo=photo_address(hit.id) if found.pictured else None,
    )


def _cosine(first: Vector, second: Vector) -> float:
    """Summed as the index does, so that a pair has the score of its hit."""
    return float(np.clip(np.float32((first.astype(np.float64) * second).sum()), -1, 1))


def _categorised(service: Service, vector: Vector) -> Categorised:
    classifier = service.shop.classifier
    assert classifier is not None
    said = classifier.predict(vector[None], service.shop.index.fingerprint, service.shop.thresholds)
    level = int(said.level[0])
    return Categorised(
        category=None if level < 0 else classifier.tree.names(level)[said.node[0]],
        answered="none" if level < 0 else "leaf" if level == 0 else "shorter",
        probability=None if level < 0 else float(said.likelihood[0]),
        reason=service.shop.silent,
        candidates=[
            Candidate(category=classifier.leaves[leaf], probability=likelihood)
            for leaf, likelihood in zip(said.top[0].tolist(), said.top_likelihood[0].tolist(), strict=True)
        ],
    )


def _pairs(service: Service, shown: tuple[AskedPair, ...]) -> list[Pair]:
    review, known = service.shop.review, service.shop.of_listings
    assert review is not None
    there = service.shop.index.items_without_photos(list({key for pair in shown for key in pair.ids}))
    made = []
    for pair in shown:
        probability = known.at(pair.cosine)
        a, b = (
            Hit(
                **fact(*there.get(key, (Item(key), False))).model_dump(),
                score=pair.cosine,
                probability=probability,
            )
            for key in pair.ids
        )
        answer = review.answer(pair)
        made.append(Pair(key=pair.key, a=a, b=b, probability=probability, variants=pair.variants, answer=answer))
    return made
