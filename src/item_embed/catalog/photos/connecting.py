"""Connections that end when they must, to addresses that were checked.

httpcore2 takes the network as an object. This one resolves the host itself, checks every address, and connects to the
checked address, so a name that answers differently the second time gains nothing. TLS is still told the name.

Timeouts are moments here, not durations: what httpcore2 hands down as `timeout` is the moment (of `time.monotonic`) at
which the attempt ends. So a server that sends a byte now and then has no longer than one that sends nothing.
"""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotResolved
from contextlib import suppress
from typing import Any
from weakref import WeakSet

import httpcore2
from httpcore2 import ConnectError, ConnectTimeout, NetworkStream, ReadTimeout, WriteTimeout

from item_embed.catalog.photos.addresses import is_public
from item_embed.catalog.photos.reasons import CERTIFICATE, NOT_PUBLIC, UNKNOWN_HOST, DownloadError

LONGEST_CONNECT = 10.0  # seconds; a host that takes longer to answer the phone is as good as dead
_MOST_ADDRESSES = 4  # tried in turn


def resolve(host: str, port: int) -> list[str]:
    """The IP addresses of a host, in the order in which the system would try them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class CheckedNetwork(httpcore2.NetworkBackend):
    """The network as downloads may see it.

    Args:
        lookups: how many host names are resolved at a time.
        allow_private: also connect to addresses that are not public.
    """

    def __init__(self, lookups: int, allow_private: bool = False) -> None:
        self._allow_private = allow_private
        self._plain = httpcore2.SyncBackend()
        self._resolvers = ThreadPoolExecutor(lookups, thread_name_prefix="resolve")  # a lookup has no timeout
        self._open: WeakSet[_Stream] = WeakSet()
        self._closed = False
        self._lock = threading.Lock()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> NetworkStream:
        """Connect to the first address of a host that answers.

        Raises:
            DownloadError: when the host does not exist, or one of its addresses is not public.
            ConnectError, ConnectTimeout: when none answers in time.
        """
        end = min(_moment(timeout), time.monotonic() + LONGEST_CONNECT)
        addresses = self._addresses(host, port, end)[:_MOST_ADDRESSES]
        for number, address in enumerate(addresses, 1):
            share = _left(end, ConnectTimeout) / (len(addresses) - number + 1)
            try:
                stream = self._plain.connect_tcp(address, port, share, local_address, socket_options)
            except (ConnectError, ConnectTimeout):
                if number == len(addresses):
                    raise
            else:
                return self._watched(stream)
        raise ConnectError

    def close(self) -> None:
        """End all connections, those in use too."""
        self._resolvers.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._closed = True
            streams = list(self._open)
        for stream in streams:
            stream.interrupt()

    def _addresses(self, host: str, port: int, end: float) -> list[str]:
        try:
            addresses = [ipaddress.ip_address(host).compressed]
        except ValueError:
            addresses = self._resolved(host, port, end)
        if not self._allow_private and not all(map(is_public, addresses)):
            raise DownloadError(NOT_PUBLIC, host_refused=True)
        return addresses

    def _resolved(self, host: str, port: int, end: float) -> list[str]:
        try:
            addresses = self._resolvers.submit(resolve, host, port).result(_left(end, ConnectTimeout))
        except NotResolved:
            raise ConnectTimeout from None
        except socket.gaierror as error:
            again = error.errno in {socket.EAI_AGAIN, socket.EAI_SYSTEM, socket.EAI_FAIL}
            raise DownloadError(UNKNOWN_HOST, again=again, host_failed=True) from None
        except (OSError, ValueError):  # ValueError: a name that the system's own rules refuse
            raise DownloadError(UNKNOWN_HOST, host_failed=True) from None
        if not addresses:
            raise DownloadError(UNKNOWN_HOST, host_failed=True)
        return addresses

    def _watched(self, stream: NetworkStream) -> "_Stream":
        watched = _Stream(stream, self)
        with self._lock:
            closed = self._closed
            if not closed:
                self._open.add(watched)
        if closed:  # while it was being made
            watched.close()
            raise ConnectError
        return watched


class _Stream(NetworkStream):
    """A connection whose timeouts are moments."""

    def __init__(self, plain: NetworkStream, network: CheckedNetwork) -> None:
        self._plain = plain
        self._network = network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._plain.read(max_bytes, _left(_moment(timeout), ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._plain.write(buffer, _left(_moment(timeout), WriteTimeout))

    def close(self) -> None:
        with suppress(OSError):
            self._plain.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> NetworkStream:
        try:
            left = min(_left(_moment(timeout), ConnectTimeout), LONGEST_CONNECT)
            plain = self._plain.start_tls(ssl_context, server_hostname, left)
        except BaseException as error:
            self._plain.close()
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise DownloadError(CERTIFICATE, host_failed=True) from None
            if isinstance(error, ValueError):  # a name that no certificate can have
                raise DownloadError(CERTIFICATE, host_failed=True) from None
            raise
        return self._network._watched(plain)

    def get_extra_info(self, info: str) -> Any:
        return self._plain.get_extra_info(info)

    def interrupt(self) -> None:
        """Wake whoever waits for this connection."""
        plain = self._plain.get_extra_info("socket")
        with suppress(OSError):
            plain.shutdown(socket.SHUT_RDWR)


def _moment(timeout: float | None) -> float:
    return time.monotonic() + LONGEST_CONNECT if timeout is None else timeout


def _left(end: float, error: type[httpcore2.TimeoutException]) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise error
    return left
