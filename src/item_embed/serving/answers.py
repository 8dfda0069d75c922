"""What requests are answered with: the service's results as responses hold them."""

from typing import Any
from urllib.parse import quote

import numpy as np

from item_embed.embedding.seen import seen_title
from item_embed.files import OutputError
from item_embed.search.duplicates.decision import Decision
from item_embed.search.duplicates.listings import read_column
from item_embed.search.items import Item
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
    """The hits of a search."""
    described = Described(asked.image or None, asked.title)
    if asked.photo_weight is not None and described.photo and described.title:
        vector = await service.weighted(described, asked.photo_weight)
        like_a_listing = False
    else:
        vector = await service.vector(described)
        like_a_listing = _is_like_a_listing(service, described)
    found = await service.search(Query(vector, asked.k, asked.where))
    decision = service.shop.decision if like_a_listing else None
    least = -1.0 if asked.threshold is None else asked.threshold
    return [_hit(one, decision) for one in found if one.hit.score >= least]


async def vectors(service: Service, products: list[Product]) -> list[Vector]:
    """The vectors of products: those of the index by id, others by the model."""
    ids = list(dict.fromkeys(one.id for one in products if one.id is not None))
    indexed = await service.indexed(ids) if ids else {}
    described = [Described(one.image or None, one.title) for one in products if one.id is None]
    embedded = iter(await service.vectors(described) if described else [])
    return [next(embedded) if one.id is None else indexed[one.id] for one in products]


async def decided(service: Service, a: Product, b: Product) -> Decided:
    """Whether two products are the same."""
    first, second = await vectors(service, [a, b])
    score = _cosine(first, second)
    decision = service.shop.decision
    if decision is None:
        return Decided(score=score, probability=None, same=None, threshold=None, variants=None)
    described = (Described(one.image or None, one.title) for one in (a, b) if one.id is None)
    if not all(_is_like_a_listing(service, one) for one in described):
        return Decided(score=score, probability=None, same=None, threshold=decision.threshold, variants=None)
    variants = await service.reading(_are_variants, service, a, b)
    if variants and decision.variants and not decision.variants.same:  # whatever the score: these are never joined
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


def _is_like_a_listing(service: Service, described: Described) -> bool:
    """Whether a product has what the listings' vectors were made of: of such the probabilities were learned."""
    sides = (("image", described.photo), ("title", seen_title(described.title)))
    return {sight for sight, side in sides if side} == service.shop.made_of


def _are_variants(service: Service, a: Product, b: Product) -> bool | None:
    """Whether two products of the index differ in the column of variants; None where nothing says so."""
    decision = service.shop.decision
    if decision is None or decision.variants is None or a.id is None or b.id is None:
        return None
    one, other = read_column(service.shop.index, [a.id, b.id], decision.variants.column)
    return one is not None and other is not None and one != other


async def _described(service: Service, product: Product) -> Described:
    """A product's photo and title, of the index where an id is given: of those, what the model looks at here."""
    if product.id is None:
        return Described(product.image or None, product.title)
    item = await service.reading(service.shop.index.item, product.id)
    if item is None:
        raise RefusedError(404, f"there is no product {product.id!r}.")
    sees = service.shop.sees
    return Described(item.photo if "image" in sees else None, item.title if "title" in sees else None)


def _hit(found: FoundItem, decision: Decision | None) -> Hit:
    hit = found.hit
    return Hit(
        id=hit.id,
        title=hit.title,
        score=min(1.0, hit.score),  # rounding makes a little more of it
        probability=None if decision is None else decision.probability.at(hit.score),
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
    review, decision = service.shop.review, service.shop.decision
    assert review is not None
    there = service.shop.index.items_without_photos(list({key for pair in shown for key in pair.ids}))
    made = []
    for pair in shown:
        probability = None if decision is None else decision.probability.at(pair.cosine)
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
