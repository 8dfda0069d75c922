import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from item_embed.search.index import ProductIndex
from item_embed.serving.app import Settings
from item_embed.serving.limits import Limits
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
