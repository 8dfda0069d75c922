"""A web server on loopback that says exactly what a test tells it to, also what no server should."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

Answer = bytes | Callable[[socket.socket], None]  # a function ends with the connection closed, and had better say so


def answer(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    """A well-formed answer; `content_type="image/png"` adds a header."""
    named = {"content_length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin1") + body


def redirect(location: str) -> bytes:
    return answer(b"", "302 Found", location=location)


@dataclass
class Shop:
    """Answers by path; a list of answers is given out one by one, the last again and again.

    Attributes:
        asked: every request's path, in order; robots.txt is kept apart, in `robots`.
        heads: every request's head as it came.
        connections: how many were made.
    """

    answers: dict[str, Answer | list[Answer]] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    asked: list[str] = field(default_factory=list)
    robots: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    connections: int = 0
    at_once: int = 0
    most_at_once: int = 0

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"
        self.over = threading.Event()  # for answers that wait
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._listen, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _listen(self) -> None:
        while not self.over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket) -> None:
        connection = plain
        with suppress(OSError):
            if self.tls:
                connection = self.tls.wrap_socket(plain, server_side=True)
            with self._kept(connection):
                while head := _head(connection):
                    if not self._answer(connection, head):
                        break
        for one in (connection, plain):
            one.close()

    @contextmanager
    def _kept(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)

    def _answer(self, connection: socket.socket, head: str) -> bool:
        path = head.split(" ")[1]
        is_robots = path == "/robots.txt"
        with self._lock:
            (self.robots if is_robots else self.asked).append(path)
            self.heads.append(head)
            said = self.answers.get(path, answer(b"no such page", "404 Not Found"))
            if isinstance(said, list):
                said = said.pop(0) if len(said) > 1 else said[0]
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if isinstance(said, bytes):
                connection.sendall(said)
                return True
            said(connection)
            return False
        finally:
            with self._lock:
                self.at_once -= 1


def _head(connection: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(4096)
        if not more:
            return ""
        data += more
    return data.decode("latin1")
