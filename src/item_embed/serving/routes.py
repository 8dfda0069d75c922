"""The addresses of the service."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

import item_embed
from item_embed.serving import answers
from item_embed.serving.bodies import FORM, JSON, read_body
from item_embed.serving.limits import MOST_HITS, MOST_TITLE_CHARACTERS, RefusedError
from item_embed.serving.schemas import (
    About,
    AnswerRequest,
    Body,
    Categorised,
    Decided,
    EmbedRequest,
    Explained,
    Fact,
    Filterable,
    Found,
    LimitsTold,
    Pair,
    PairRequest,
    Pairs,
    Problem,
    Product,
    QueryProbabilitiesTold,
    SearchRequest,
    State,
    Vectors,
)
from item_embed.serving.service import Service

#: What bodies hold that are read here and not by FastAPI, which reads JSON or a form, not either.
BODIES: tuple[type[Body], ...] = (SearchRequest, Product, EmbedRequest, PairRequest, AnswerRequest)

_SIGNATURES = {b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}
_WHY = {
    400: "Malformed.",
    401: "Without the API key.",
    404: "Not there.",
    408: "Too slow.",
    413: "Too large.",
    415: "Another type of content.",
    422: "Does not fit.",
    501: "Not served here.",
    503: "Busy, stopping, or not ready; see Retry-After.",
    504: "It took too long.",
}


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Served = Annotated[Service, Depends(_service)]
Key = Annotated[str, Path(description="As the index has it, percent-encoded.")]


def _problems(*more: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Problem, "description": _WHY[status]} for status in sorted({400, 401, 503, 504, *more})}


def _reads(kind: type[Body], *, form: bool = False) -> dict[str, Any]:
    """What OpenAPI says of a body."""
    content: dict[str, Any] = {JSON: {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}}
    if form:
        content[FORM] = {"schema": {"$ref": f"#/components/schemas/{kind.__name__}Form"}}
    return {"requestBody": {"required": True, "content": content}}


_BODY = (408, 413, 415, 422)
router = APIRouter()


@router.get("/v1/about", responses=_problems(), tags=["index"])
async def about(service: Served) -> About:
    """What is served here, what can be filtered by, and what a request may cost."""
    shop, limits = service.shop, service.limits
    products, filters = await service.reading(lambda: (len(shop.index), shop.filters))
    return About(
        name="item-embed",
        version=item_embed.__version__,
        products=products,
        dimension=shop.embedder.dimension,
        modalities=shop.modalities,
        made_of=shop.index.modalities,
        fingerprint=shop.index.fingerprint,
        category=shop.classifier is not None,
        same_product=shop.decision is not None,
        query_probabilities=shop.queries and QueryProbabilitiesTold.model_validate(shop.queries, from_attributes=True),
        explain=shop.explain is not None,
        duplicates=shop.review is not None,
        filters={name: Filterable(type=one.type, values=list(one.values)) for name, one in filters.items()},
        limits=LimitsTold(
            body_bytes=limits.body_bytes, pixels=limits.pixels, title_chars=MOST_TITLE_CHARACTERS, k=MOST_HITS
        ),
    )


@router.post(
    "/v1/search", responses=_problems(404, *_BODY), openapi_extra=_reads(SearchRequest, form=True), tags=["index"]
)
async def search(request: Request, service: Served) -> Found:
    """The products nearest to a photo, a title, or both, or to another product of the index."""
    began = time.perf_counter()
    hits = await answers.search(service, await read_body(request, SearchRequest))
    return Found(hits=hits, milliseconds=round(1000 * (time.perf_counter() - began), 3))


@router.get("/v1/items/{key:path}", responses=_problems(404, 422), tags=["index"])
async def item(key: Key, service: Served) -> Fact:
    """A product of the index."""
    found = {} if "\0" in key else await service.reading(service.shop.index.items_without_photos, [key])
    if key not in found:
        raise RefusedError(404, f"there is no product {key!r}.")
    return answers.fact(*found[key])


@router.get(
    "/v1/photos/{key:path}",
    response_class=Response,
    responses={**_problems(404, 422), 200: {"content": {"image/jpeg": {}, "image/webp": {}}}},
    tags=["index"],
)
async def photo(key: Key, service: Served) -> Response:
    """The photo of a product of the index, as the index has it: JPEG or WebP."""
    data = None if "\0" in key else await service.reading(service.shop.index.photo, key)
    kind = next((kind for start, kind in _SIGNATURES.items() if data and data.startswith(start)), None)
    if kind is None:
        raise RefusedError(404, f"there is no photo of {key!r}.")
    return Response(data, media_type=kind, headers={"Cache-Control": "private, max-age=300"})


@router.post("/v1/embed", responses=_problems(404, *_BODY), openapi_extra=_reads(EmbedRequest), tags=["products"])
async def embed(request: Request, service: Served) -> Vectors:
    """The vectors of up to 64 products."""
    asked = await read_body(request, EmbedRequest)
    made = await answers.vectors(service, asked.products)
    return Vectors(
        vectors=[vector.tolist() for vector in made],
        dimension=service.shop.embedder.dimension,
        fingerprint=service.shop.embedder.fingerprint,
    )


@router.post("/v1/same-product", responses=_problems(404, *_BODY), openapi_extra=_reads(PairRequest), tags=["products"])
async def same_product(request: Request, service: Served) -> Decided:
    """Whether two products are the same, and how probably: of listings of the index alone is that known."""
    asked = await read_body(request, PairRequest)
    return await answers.decided(service, asked.a, asked.b)


@router.post(
    "/v1/category", responses=_problems(404, 501, *_BODY), openapi_extra=_reads(Product, form=True), tags=["products"]
)
async def category(request: Request, service: Served) -> Categorised:
    """The category of a product, where it is sure enough, and the likeliest ones."""
    return await answers.categorised(service, await read_body(request, Product))


@router.post("/v1/explain", responses=_problems(404, 501, *_BODY), openapi_extra=_reads(PairRequest), tags=["products"])
async def explain(request: Request, service: Served) -> Explained:
    """Why two products are alike: what each word and each part of the photos adds to their score."""
    asked = await read_body(request, PairRequest)
    return Explained.model_validate(await answers.explained(service, asked.a, asked.b))


@router.get("/v1/duplicates", responses=_problems(422, 501), tags=["review"])
async def duplicates(
    service: Served,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Pairs:
    """Pairs of listings to be judged, in an order of chance that stays."""
    return await answers.pairs(service, offset, limit)


@router.put(
    "/v1/duplicates/{key}", responses=_problems(404, 501, *_BODY), openapi_extra=_reads(AnswerRequest), tags=["review"]
)
async def judge(key: str, request: Request, service: Served) -> Pair:
    """Keep what somebody says of a pair, for `item duplicates --answers`."""
    asked = await read_body(request, AnswerRequest)
    return await answers.answered(service, key, asked.answer)


@router.get("/health", tags=["service"])
async def health() -> State:
    """Whether the service lives."""
    return State(status="live")


@router.get("/ready", responses={503: {"model": Problem, "description": _WHY[503]}}, tags=["service"])
async def ready(service: Served) -> State:
    """Whether the model has answered, and the service goes on."""
    if not service.ready:
        raise RefusedError(503, "the model has not answered yet; ask again.", {"Retry-After": "1"})
    return State(status="ready")


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, 401: {"model": Problem, "description": _WHY[401]}},
    tags=["service"],
)
async def metrics(service: Served) -> Response:
    """Counts and times, as Prometheus reads them."""
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
