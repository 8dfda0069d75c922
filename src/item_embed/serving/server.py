"""uvicorn around the application: a socket of our own, clients that never ask, and an end that finishes what it began.

On SIGTERM or SIGINT no new connection is taken, requests under way are answered, and the service ends.
"""

import asyncio
import ipaddress
import json
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from item_embed.errors import ConfigError
from item_embed.serving.limits import Limits

HEAD_SECONDS = 10.0  # for the head of a request: from the beginning of the connection, or of that request
_MARGIN = 5.0  # seconds beyond a request's limits, in which it is surely over
_CONNECTIONS = 1024  # uvicorn answers 503 to more, without a sentence
_KEEP_ALIVE = 15  # seconds


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine alone.

    Examples:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: a name or an address.
        port: 0 for any that is free.

    Raises:
        ConfigError: when the address is not this machine's, or in use.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(address[:2], family=family, backlog=_CONNECTIONS)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{host}:{port} cannot be listened at ({reason}); check --host and --port.") from None


def address_of(listening: socket.socket) -> str:
    """The URL at which a socket is reached."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(app: FastAPI, listening: socket.socket, limits: Limits, on_start: Callable[[], None] = lambda: None) -> None:
    """Serve until a signal says stop; return when all that was under way is answered.

    Args:
        app: what answers.
        listening: from `bind`.
        limits: of requests; the end waits no longer than one may take.
        on_start: called when requests are taken.
    """
    config = uvicorn.Config(
        app,
        http=PunctualProtocol,
        ws="none",
        loop="asyncio",
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        backlog=_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=round(limits.body_seconds + limits.seconds + _MARGIN),
    )
    server = _Server(config, on_start)
    # uvicorn catches these, and raises them again when it has ended: for whom a service that stopped when it was told
    # to has failed, that is one traceback too many.
    former = {number: signal.signal(number, _nothing) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.run(sockets=[listening])
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


class PunctualProtocol(H11Protocol):
    """uvicorn's, which would wait for ever for the head of a request that has begun, or for a connection's first."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Begin to wait, if this is the next request's beginning."""
        if self._waiting is None:
            self._wait()
        super().data_received(data)

    def on_response_complete(self) -> None:
        """Wait no more, until the next request begins."""
        self._wait_no_more()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(HEAD_SECONDS, self._hang_up)

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _hang_up(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle  # None until a first request has come
        if (cycle is not None and not cycle.response_complete) or self.transport.is_closing():
            return
        body = json.dumps({"detail": f"no request arrived within {HEAD_SECONDS:g} seconds; connect again."}).encode()
        head = (
            "HTTP/1.1 408 Request Timeout\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class _Server(uvicorn.Server):
    """uvicorn's, which tells when it has begun."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_start()


def _nothing(number: int, frame: FrameType | None) -> None:
    """The end has been seen to."""
