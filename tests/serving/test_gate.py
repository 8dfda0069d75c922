import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from item_embed.search.index import ProductIndex
from item_embed.serving import gate
from item_embed.serving.app import Settings, build_app
from item_embed.serving.gate import Gate
from item_embed.serving.limits import Limits
from item_embed.serving.metrics import Metrics
from tests.serving.made import client, make_index, make_shop

KEY = "0123456789abcdef"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ProductIndex:
    return make_index(tmp_path_factory.mktemp("gate"))


@pytest.fixture(scope="module")
def guarded(index: ProductIndex) -> Iterator[TestClient]:
    with client(make_shop(index), Settings(key=KEY)) as opened:
        yield opened


@pytest.mark.parametrize(
    "headers", [{"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}, {"authorization": f"bearer  {KEY}"}]
)
def test_the_key_opens(guarded: TestClient, headers: dict[str, str]) -> None:
    assert guarded.get("/v1/about", headers=headers).status_code == 200
    assert guarded.get("/metrics", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-API-Key": KEY + "0"}, {"X-API-Key": "ключ".encode()}, {"Authorization": KEY}, {"Authorization": "Bearer"}],
)
@pytest.mark.parametrize("path", ["/v1/about", "/v1/search", "/v1/nothing", "/metrics"])
def test_nothing_else_does(guarded: TestClient, path: str, headers: dict[str, str]) -> None:
    response = guarded.get(path, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert "X-API-Key" in response.json()["detail"]


def test_what_must_be_asked_before_one_has_a_key_is_open(guarded: TestClient) -> None:
    for path in ("/health", "/openapi.json"):
        assert guarded.get(path).status_code == 200


def test_a_key_lets_any_host_be_asked_for(guarded: TestClient) -> None:
    assert guarded.get("/health", headers={"Host": "shop.example"}).status_code == 200


def test_without_a_key_only_this_machine_is_asked_for(index: ProductIndex) -> None:
    with client(make_shop(index)) as opened:
        for host in ("127.0.0.1", "127.0.0.1:8000", "LOCALHOST:80", "localhost", "[::1]", "[::1]:8000"):
            assert opened.get("/v1/about", headers={"Host": host}).status_code == 200, host
        for host in ("shop.example", "localhost.shop.example:8000", "127.0.0.1.shop.example", "", "[::2]:80"):
            assert opened.get("/v1/about", headers={"Host": host}).status_code == 400, host
    with client(make_shop(index), Settings(loopback=False)) as opened:
        assert opened.get("/v1/about", headers={"Host": "shop.example"}).status_code == 200


@pytest.mark.parametrize("path", ["/v1/about", "/nothing", "/v1/items/none"])
def test_every_response_has_the_headers_of_safety(guarded: TestClient, path: str) -> None:
    headers = guarded.get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
    assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers


def test_what_takes_too_long_is_given_up(index: ProductIndex) -> None:
    let = threading.Event()
    with client(make_shop(index, let.wait), Settings(Limits(seconds=0.1))) as opened:
        response = opened.post("/v1/search", json={"title": "mug"})
        let.set()
        assert response.status_code == 504
        assert response.json()["detail"] == "no answer within 0.1 seconds; try again later."
        statuses = (opened.post("/v1/search", json={"title": "mug"}).status_code for _ in range(100))
        assert any(status == 200 for status in statuses)  # a tenth of a second may be short on a busy machine


def test_more_than_may_be_under_way_are_refused(index: ProductIndex) -> None:
    begun, let = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        let.wait(10)

    with client(make_shop(index, wait), Settings(Limits(requests=1))) as opened:
        answers: list[int] = []
        other = threading.Thread(
            target=lambda: answers.append(opened.post("/v1/search", json={"title": "mug"}).status_code)
        )
        other.start()
        assert begun.wait(10)
        _wait_until_under_way(opened)
        response = opened.get("/v1/about")
        assert opened.get("/health").status_code == 200
        let.set()
        other.join(10)
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert answers == [200]


async def ask(app: ASGIApp, method: str, path: str, receive: Receive, key: str = "") -> tuple[int, dict[str, str]]:
    """Status and headers of the answer to a request that says it has a body; status 0 where none came."""
    headers = [(b"content-length", b"9"), (b"x-api-key", key.encode())]
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b""}
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await app({**scope, "headers": headers}, receive, send)
    if not sent:
        return 0, {}
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


@pytest.mark.parametrize("path", ["/health", "/", "/none", "/metrics", "/v1/embed"])
def test_a_body_is_read_only_of_who_has_the_key(index: ProductIndex, path: str) -> None:
    read: list[str] = []

    async def receive() -> Message:
        read.append(path)
        return {"type": "http.disconnect"}

    app = build_app(make_shop(index), Settings(key=KEY))
    status, headers = asyncio.run(ask(app, "POST", path, receive))
    assert status in {401, 404, 405}
    assert headers["connection"] == "close"
    assert not read
    asyncio.run(ask(app, "POST", "/v1/embed", receive, KEY))
    assert read


def test_who_has_no_key_keeps_nobody_out() -> None:
    """One request may be under way; what is open is slow, and whoever has no key comes back again and again."""

    async def answers(scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].startswith("/v1/"):
            await asyncio.sleep(0.2)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def asked() -> list[int]:
        made = Gate(answers, limits=Limits(requests=1), metrics=Metrics(), key=KEY, hosts=None)
        hanging = [asyncio.create_task(ask(made, "GET", "/health", receive)) for _ in range(3)]
        refused = [asyncio.create_task(ask(made, "GET", "/v1/about", receive)) for _ in range(3)]
        await asyncio.sleep(0.05)
        status, _ = await ask(made, "GET", "/v1/about", receive, KEY)
        return [status, *[(await one)[0] for one in (*hanging, *refused)]]

    assert asyncio.run(asked()) == [200, 200, 200, 200, 401, 401, 401]


def test_bodies_of_all_requests_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "_BODIES", 1)

    async def answers(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.05)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Message:
        return {"type": "http.request", "body": b"123456789"}

    async def asked() -> list[tuple[int, dict[str, str]]]:
        made = Gate(answers, limits=Limits(body_bytes=10), metrics=Metrics(), key=None, hosts=None)
        return list(await asyncio.gather(*(ask(made, "POST", "/v1/search", receive) for _ in range(2))))

    (first, _), (second, headers) = asyncio.run(asked())
    assert (first, second) == (200, 503)
    assert (headers["retry-after"], headers["connection"]) == ("1", "close")


def _wait_until_under_way(opened: TestClient) -> None:
    for _ in range(1000):
        if opened.get("/v1/about").status_code == 503:
            return
    raise AssertionError("the request never began")


def test_requests_are_counted_by_route_and_status(index: ProductIndex, tmp_path: Path) -> None:
    with client(make_shop(index)) as opened:
        opened.get("/v1/items/a")
        opened.get("/v1/items/b")
        opened.get("/v1/items/nowhere")
        opened.get("/favicon.ico")
        opened.request("BREW", "/coffee")
        text = opened.get("/metrics").text
    route = 'route="/v1/items/{key:path}"'
    assert f'item_requests_total{{method="GET",{route},status="200"}} 2.0' in text
    assert f'item_requests_total{{method="GET",{route},status="404"}} 1.0' in text
    assert 'item_requests_total{method="GET",route="other",status="404"} 1.0' in text
    assert 'item_requests_total{method="other",route="other",status="404"} 1.0' in text
    assert "item_requests_under_way 1.0" in text
    assert "item_encoder_queue_products 0.0" in text
