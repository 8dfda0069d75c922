"""`Gate`: what every request passes before it is answered, and what every response carries.

In this order: the host it asks for, the key, how many are under way, the body's length and pace, the time. A body is
read under `/v1/` alone, of whoever has the key: nobody else can fill the memory, or be counted among those under way.
Where a body is not read, the connection ends with the answer.
"""

import asyncio
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from item_embed.serving.bodies import ClientGoneError, Room, read_whole, replayed
from item_embed.serving.limits import Limits, RefusedError
from item_embed.serving.metrics import Metrics

#: Hosts that mean this machine: without a key only they are answered, or a page of another site, whose name its owner
#: lets point to 127.0.0.1, could read what is served (DNS rebinding).
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_GUARDED = ("/v1/", "/metrics")
_LIMITED = "/v1/"  # whoever asks whether a busy service lives must hear that it does
_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_METHODS = _WITH_BODY | {"GET", "HEAD", "OPTIONS"}
_BODIES = 32  # of the longest that may be held at once
_GONE = 499  # nginx's number for a client that went before it was answered


class Gate:
    """ASGI middleware around the whole application.

    Args:
        app: what answers.
        limits: what a request may cost.
        metrics: what is counted.
        key: that requests must carry; None for no key.
        hosts: that may be asked for; None for any.
    """

    def __init__(
        self, app: ASGIApp, *, limits: Limits, metrics: Metrics, key: str | None, hosts: frozenset[str] | None
    ) -> None:
        self._app, self._limits, self._metrics, self._hosts = app, limits, metrics, hosts
        self._key = None if key is None else key.encode()
        self._under_way = 0
        self._room = Room(_BODIES * limits.body_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse, or pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        response = _Response(send, scope["path"])
        self._metrics.under_way.inc()
        try:
            await self._answer(scope, receive, response)
        except RefusedError as refusal:
            await response.refuse(refusal)
        except ClientGoneError:
            response.status = _GONE
        except Exception as error:
            if not response.status:
                told = f"unexpected {type(error).__name__}: a fault of the service, and its log has more."
                await response.refuse(RefusedError(500, told))
            raise  # uvicorn writes it to the log
        finally:
            self._metrics.under_way.dec()
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = getattr(scope.get("route"), "path", "") or "other"
            self._metrics.answered(route, method, response.status, time.perf_counter() - began)

    async def _answer(self, scope: Scope, receive: Receive, response: "_Response") -> None:
        headers = Headers(scope=scope)
        response.closes = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        self._check_host(headers)
        if scope["path"].startswith(_GUARDED):
            self._check_key(headers)
        if not scope["path"].startswith(_LIMITED):
            await self._pass_on(scope, receive, response)
            return
        with self._counted(), self._room.held() as take:
            if scope["method"] in _WITH_BODY:
                receive = replayed(await read_whole(headers, receive, self._limits, take), receive)
                response.closes = False
            await self._pass_on(scope, receive, response)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self._under_way >= self._limits.requests:
            raise RefusedError.busy(f"{self._limits.requests} requests are under way already")
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def _pass_on(self, scope: Scope, receive: Receive, response: "_Response") -> None:
        try:
            async with asyncio.timeout(self._limits.seconds):
                await self._app(scope, receive, response.send)
        except TimeoutError:
            if not response.status:  # else it has begun: nothing else can be said any more
                told = f"no answer within {self._limits.seconds:g} seconds; try again later."
                raise RefusedError(504, told) from None

    def _check_host(self, headers: Headers) -> None:
        if self._hosts is None:
            return
        host = headers.get("host", "")
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if name.casefold() not in self._hosts:
            raise RefusedError(
                400,
                "without an API key only localhost is answered; ask for localhost, or start the service with a key.",
            )

    def _check_key(self, headers: Headers) -> None:
        if self._key is None:
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = headers.get("x-api-key") or (token.strip() if scheme.casefold() == "bearer" else "")
        if not hmac.compare_digest(given.encode(), self._key):
            said = "this API key is not the service's" if given else "an API key is needed"
            raise RefusedError(
                401, f"{said}; send it as X-API-Key, or as a bearer token.", {"WWW-Authenticate": "Bearer"}
            )


class _Response:
    """What goes to the client: every response gets the headers of safety.

    Attributes:
        status: 0 until one begins.
        closes: whether the connection ends with it, as a body has been left unread.
    """

    def __init__(self, send: Send, path: str) -> None:
        self._send = send
        # The page's files may be kept, if they are asked for again: then a new version shows.
        self._kept = "no-cache" if path.startswith("/static/") else "no-store"
        self.status = 0
        self.closes = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", self._kept)
            if self.closes:
                headers["Connection"] = "close"
        await self._send(message)

    async def refuse(self, refusal: RefusedError) -> None:
        body = json.dumps({"detail": str(refusal)}, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **refusal.headers}
        encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": refusal.status, "headers": encoded})
        await self.send({"type": "http.response.body", "body": body})
