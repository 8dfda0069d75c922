"""The application: routes, page and gate around a shop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

import item_embed
from item_embed.serving.gate import LOOPBACK, Gate
from item_embed.serving.limits import Limits, RefusedError
from item_embed.serving.metrics import Metrics
from item_embed.serving.routes import BODIES, router
from item_embed.serving.service import Service
from item_embed.serving.shop import Shop

PAGE = Path(__file__).parent / "page"
_REF = "#/components/schemas/{model}"
_KEYS: dict[str, dict[str, Any]] = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "Bearer": {"type": "http", "scheme": "bearer"},
}


@dataclass(frozen=True)
class Settings:
    """How a shop is served.

    Attributes:
        limits: what requests may cost.
        key: that requests must carry; None for none.
        loopback: whether the service is bound to this machine alone: then, without a key, it answers to that name only.
        host: the address it is bound to, which is such a name too.
    """

    limits: Limits = field(default_factory=Limits)
    key: str | None = None
    loopback: bool = True
    host: str = "127.0.0.1"

    @property
    def hosts(self) -> frozenset[str] | None:
        """What may be asked for, as a request's Host has it; None for any."""
        if not self.loopback or self.key is not None:
            return None
        return LOOPBACK | {f"[{self.host}]" if ":" in self.host else self.host}


def build_app(shop: Shop, settings: Settings = Settings()) -> FastAPI:
    """The application that serves a shop.

    Args:
        shop: what is served.
        settings: how.

    Examples:
        >>> app = build_app(Shop(index, embedder))  # doctest: +SKIP
        >>> uvicorn.run(app)                        # doctest: +SKIP
    """
    metrics = Metrics()
    service = Service(shop, settings.limits, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service:
            yield

    app = FastAPI(
        title="item-embed",
        version=item_embed.__version__,
        description="Products found by photo and title: search, vectors, same product, category, review.",
        lifespan=lifespan,
        docs_url=None,  # its page fetches scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.include_router(router)
    _add_page(app)
    app.add_middleware(Gate, limits=settings.limits, metrics=metrics, key=settings.key, hosts=settings.hosts)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _add_page(app: FastAPI) -> None:
    if (PAGE / "index.html").is_file():
        app.mount("/static", StaticFiles(directory=PAGE))

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        if not (PAGE / "index.html").is_file():
            raise RefusedError(404, "this installation has no page; /openapi.json says what can be asked.")
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})


def _openapi(app: FastAPI) -> dict[str, Any]:
    """What the service says of itself: FastAPI's, with the bodies that it does not read itself, and the key."""
    if app.openapi_schema is None:
        told = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        _, bodies = models_json_schema([(kind, "validation") for kind in BODIES], ref_template=_REF)
        schemas = told["components"]["schemas"]
        schemas.update(bodies["$defs"])
        for name in ("SearchRequest", "Product"):
            schemas[f"{name}Form"] = _form(schemas[name])
        for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's; what does not fit is a `Problem` here
            schemas.pop(unused, None)
        told["components"]["securitySchemes"] = _KEYS
        told["security"] = [{}, *({name: []} for name in _KEYS)]
        app.openapi_schema = told
    return app.openapi_schema


def _form(schema: dict[str, Any]) -> dict[str, Any]:
    """The same fields as a form has them: the photo is a file."""
    file = {"type": "string", "format": "binary", "description": schema["properties"]["image"]["description"]}
    kept = {name: value for name, value in schema.items() if name != "examples"}
    return {**kept, "title": f"{schema['title']}Form", "properties": {**schema["properties"], "image": file}}


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RefusedError)
    return JSONResponse({"detail": str(error)}, error.status, error.headers)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    known = {
        404: f"there is nothing at {request.url.path}; /openapi.json says what there is.",
        405: f"{request.url.path} cannot be asked by {request.method}; /openapi.json says how.",
    }
    detail = known.get(error.status_code, error.detail)
    return JSONResponse({"detail": detail}, error.status_code, dict(error.headers or {}))


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    told = [f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg'][:1].lower()}{one['msg'][1:]}" for one in error.errors()]
    return JSONResponse({"detail": f"{'; '.join(told)}."}, 422)
