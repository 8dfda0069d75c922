import json
import sys
from collections.abc import Callable
from pathlib import Path
from socket import socket
from typing import Any

import pytest
import typer
from fastapi import FastAPI
from fastapi.testclient import TestClient
from typer.testing import CliRunner, Result

from item_embed.cli import serve
from item_embed.cli.main import guarded
from item_embed.search.duplicates.run import find_duplicates
from item_embed.search.duplicates.settings import Settings as DuplicatesSettings
from item_embed.search.index import ProductIndex
from item_embed.serving.limits import Limits
from tests.embedders import dummy
from tests.serving.made import make_classifier, make_index, probabilities

KEY = "0123456789abcdef"
Asked = Callable[[TestClient], Any]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serve")
    with make_index(folder):
        pass
    return folder / "index"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, FastAPI, Limits]]:
    """What would have been served: nothing listens for long, and the model is a dummy."""
    served: list[tuple[str, FastAPI, Limits]] = []

    def run(app: FastAPI, listening: socket, limits: Limits, on_start: Callable[[], None]) -> None:
        served.append((listening.getsockname()[0], app, limits))
        listening.close()
        on_start()

    monkeypatch.setattr("item_embed.serving.server.run", run)
    monkeypatch.setattr("item_embed.serving.encoder.open_encoder", lambda *_: dummy())
    monkeypatch.delenv("ITEM_API_KEY", raising=False)
    return served


def call(*arguments: object, port: tuple[str, ...] = ("--port", "0")) -> Result:
    app = typer.Typer()
    app.command()(guarded(serve.command))
    return CliRunner().invoke(app, [*map(str, arguments), *port])


def served(result: Result) -> None:
    assert result.exit_code == 0, result.output


def refused(*arguments: object) -> str:
    result = call(*arguments)
    assert result.exit_code == 1
    assert not result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert "unexpected" not in line
    return line


def test_an_index_is_served_to_this_machine(index: Path, ran: list[tuple[str, FastAPI, Limits]]) -> None:
    result = call(index)
    served(result)
    assert result.stdout.startswith("4 products served at http://127.0.0.1:")
    assert result.stderr == "stopped: all requests that had begun are answered.\n"
    ((host, app, limits),) = ran
    assert (host, limits) == ("127.0.0.1", Limits())
    with TestClient(app, "http://127.0.0.1") as client:
        hits = client.post("/v1/search", json={"title": "red mug"}).json()["hits"]
        assert len(hits) == 4
        assert client.get("/v1/about", headers={"Host": "shop.example"}).status_code == 400


def test_everything_that_can_be_given(index: Path, ran: list[tuple[str, FastAPI, Limits]], tmp_path: Path) -> None:
    find_duplicates(ProductIndex.open(index), tmp_path / "duplicates", DuplicatesSettings(threshold=0.5, floor=0.3))
    (tmp_path / "categories").mkdir()
    make_classifier().save(tmp_path / "categories")
    (tmp_path / "key").write_text(f"{KEY}\n")
    folders = ("--duplicates", tmp_path / "duplicates", "--categories", tmp_path / "categories")
    probabilities().write(tmp_path / "queries.json")
    learned = ("--query-probabilities", tmp_path / "queries.json")
    limits = ("--max-megabytes", 2, "--max-megapixels", 1.5, "--timeout", 3, "--queue", 100)
    result = call(index, *folders, *learned, "--api-key-file", tmp_path / "key", *limits, "--json")
    served(result)
    told = json.loads(result.stdout)
    assert (told["products"], told["fingerprint"]) == (4, "dummy")
    ((_, app, given),) = ran
    assert given == Limits(body_bytes=2 << 20, pixels=1_500_000, seconds=3, body_seconds=3, queue=100)
    with TestClient(app, "http://shop.example") as client:
        assert client.get("/v1/about").status_code == 401
        about = client.get("/v1/about", headers={"X-API-Key": KEY}).json()
    assert [about[part] for part in ("category", "duplicates", "same_product", "explain")] == [True] * 4
    assert about["query_probabilities"]["queries"] == 1200


def test_a_key_from_the_environment(
    index: Path, ran: list[tuple[str, FastAPI, Limits]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ITEM_API_KEY", KEY)
    served(call(index))
    with TestClient(ran[0][1], "http://127.0.0.1") as client:
        assert client.get("/v1/about").status_code == 401
        assert client.get("/v1/about", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200


def test_other_machines_without_a_key_are_warned_of(
    index: Path, ran: list[tuple[str, FastAPI, Limits]], tmp_path: Path
) -> None:
    result = call(index, "--host", "0.0.0.0")
    served(result)
    assert result.stderr.startswith("warning: 0.0.0.0 can be reached from other machines, and no key is asked for;")
    (tmp_path / "key").write_text(KEY)
    assert "warning" not in call(index, "--host", "0.0.0.0", "--api-key-file", tmp_path / "key").stderr


def test_an_address_of_this_machine_is_asked_for_by_itself(index: Path, ran: list[tuple[str, FastAPI, Limits]]) -> None:
    served(call(index, "--host", "127.0.0.2"))
    with TestClient(ran[0][1], "http://127.0.0.2") as client:
        assert client.get("/v1/about").status_code == 200
        assert client.get("/v1/about", headers={"Host": "shop.example"}).status_code == 400


def test_the_port_may_be_in_the_environment(
    index: Path, ran: list[tuple[str, FastAPI, Limits]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    monkeypatch.setenv("ITEM_LISTEN_PORT", str(number))
    assert f"http://127.0.0.1:{number};" in call(index, port=()).stdout
    assert f"http://127.0.0.1:{number};" not in call(index).stdout  # --port goes before it
    monkeypatch.setenv("ITEM_LISTEN_PORT", "tcp://10.0.0.1:80")
    assert "ITEM_LISTEN_PORT" in call(index, port=()).stderr


def test_what_cannot_be_served(index: Path, ran: list[tuple[str, FastAPI, Limits]], tmp_path: Path) -> None:
    assert "is not an index" in refused(tmp_path)
    assert "holds no duplicates" in refused(index, "--duplicates", tmp_path)
    assert "holds no classifier" in refused(index, "--categories", tmp_path)
    assert "cannot be listened at" in refused(index, "--host", "198.51.100.7")
    assert "--max-megapixels must be" in refused(index, "--max-megapixels", 65)
    assert "--timeout must be above 0" in refused(index, "--timeout", 0)
    for option in ("--max-megabytes", "--max-megapixels", "--timeout"):
        for number in ("inf", "nan", "-1", "1e300"):
            assert f"{option} must be above 0" in refused(index, option, number)
    assert "--queue must be at least 64" in refused(index, "--queue", 1)
    assert not ran


def test_keys_that_are_none(
    index: Path, ran: list[tuple[str, FastAPI, Limits]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    assert "cannot be read (No such file" in refused(index, "--api-key-file", file)
    for content in (b"", b"short", b"with spaces in it 123", "ключключключключ".encode(), b"\xff" * 20):
        file.write_bytes(content)
        assert "openssl rand" in (line := refused(index, "--api-key-file", file)) or "it is no text" in line
    monkeypatch.setenv("ITEM_API_KEY", "short")
    assert "ITEM_API_KEY holds no key" in refused(index)


def test_without_its_packages_it_says_what_to_install(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "pip install '.[serve,onnx]'" in refused(index)
