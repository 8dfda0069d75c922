"""uvicorn itself, on loopback: clients that hang, and the end."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from item_embed.errors import ConfigError
from item_embed.serving.server import address_of, bind, is_loopback
from tests.serving.served import SECONDS

ROOT = Path(__file__).parents[2]


@contextmanager
def served(folder: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The process of a service, and its address."""
    command = [sys.executable, "-W", "error", "-m", "tests.serving.served", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address, process.communicate()[1]
            yield process, address
        finally:
            process.kill()


def connected(address: str) -> socket.socket:
    parts = urlsplit(address)
    assert parts.hostname
    assert parts.port
    return socket.create_connection((parts.hostname, parts.port), timeout=20)


def received(client: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    parts = []
    while part := client.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.slow
def test_clients_that_hang_are_told_so_and_the_service_goes_on(tmp_path: Path) -> None:
    head = (
        b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"
    )
    began = [b"", b"POST /v1/search HT", head, head + b'{"title":']
    with served(tmp_path) as (_, address):
        clients = [connected(address) for _ in began for _ in range(20)]
        for number, client in enumerate(clients):
            client.sendall(began[number % len(began)])
        since = time.monotonic()
        assert httpx2.post(f"{address}/v1/search", json={"title": "red mug"}, timeout=20).status_code == 200
        for client in clients:
            answer = received(client)
            assert answer.startswith(b"HTTP/1.1 408 "), answer
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["detail"].endswith(".")
            client.close()
        assert time.monotonic() - since < SECONDS + 15
        assert httpx2.get(f"{address}/ready", timeout=20).status_code == 200


@pytest.mark.slow
def test_a_second_request_that_drips_is_told_so(tmp_path: Path) -> None:
    with served(tmp_path) as (_, address), connected(address) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        first = b""
        while not first.endswith(b"}"):
            part = client.recv(1 << 16)
            assert part
            first += part
        client.sendall(b"GET /health HTTP/1.1\r\n")
        client.settimeout(SECONDS / 10)
        answer = b""
        for _ in range(50):
            client.sendall(b"X: y\r\n")
            try:
                answer = client.recv(1 << 16)
                break
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.slow
def test_a_body_of_50_megabytes_hears_why(tmp_path: Path) -> None:
    def drip() -> Iterator[bytes]:
        for _ in range(5):
            yield bytes(1 << 20)

    with served(tmp_path) as (_, address):
        for content in (bytes(50 << 20), bytes(5 << 20), drip()):
            try:
                response = httpx2.post(f"{address}/v1/search", content=content, timeout=20)
            except httpx2.WriteError:  # ten times the limit and more is not read: the connection is closed
                assert isinstance(content, bytes)
                assert len(content) == 50 << 20
            else:
                assert response.status_code == 413
                assert "longer than 1 MB" in response.json()["detail"]
        assert httpx2.post(f"{address}/v1/search", json={"title": "red mug"}, timeout=20).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_answers_what_has_begun_and_takes_nothing_new(tmp_path: Path, number: signal.Signals) -> None:
    with served(tmp_path) as (process, address):
        while httpx2.get(f"{address}/ready", timeout=20).status_code != 200:
            time.sleep(0.05)
        statuses: list[int | None] = []

        def ask() -> None:
            try:
                answer = httpx2.post(f"{address}/v1/search", json={"title": "red mug"}, timeout=20)
            except httpx2.TransportError:  # on a busy machine some come too late to have begun
                statuses.append(None)
            else:
                statuses.append(answer.status_code)

        idle = connected(address)
        asking = [threading.Thread(target=ask) for _ in range(40)]
        for one in asking:
            one.start()
        while "item_encoder_queue_products 0.0" in (told := httpx2.get(f"{address}/metrics", timeout=20).text):
            time.sleep(0.01)
        (begun,) = re.findall(r"^item_requests_under_way (\d+)", told, re.MULTILINE)
        process.send_signal(number)
        time.sleep(0.3)
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{address}/health", timeout=20)
        for one in asking:
            one.join(20)
        assert len(statuses) == 40
        assert set(statuses) <= {200, None}
        assert statuses.count(200) >= int(begun) - 1 > 0  # that of the metrics was one of them
        out, err = process.communicate(timeout=20)
        idle.close()
    assert (out, err, process.returncode) == ("ended\n", "", 0)


def test_which_addresses_are_this_machine_alone() -> None:
    for host in ("127.0.0.1", "127.8.9.10", "::1", "localhost"):
        assert is_loopback(host)
    for host in ("0.0.0.0", "::", "192.168.1.2", "localhost.example", "shop.example", ""):
        assert not is_loopback(host)


def test_a_socket_is_bound_once() -> None:
    with bind("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        assert address_of(listening) == f"http://127.0.0.1:{port}"
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port} cannot be listened at .*in use.*; check --host"):
            bind("127.0.0.1", port)


@pytest.mark.parametrize(("host", "port"), [("198.51.100.7", 0), ("not a name", 0)])
def test_an_address_that_is_not_this_machines(host: str, port: int) -> None:
    with pytest.raises(ConfigError, match="cannot be listened at"):
        bind(host, port)
