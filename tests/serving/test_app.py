import json
import threading
from pathlib import Path

import pytest

from item_embed.search.index import ProductIndex
from item_embed.serving import app
from item_embed.serving.app import build_app
from item_embed.serving.routes import BODIES
from tests.serving.made import client, make_index, make_shop
from tests.test_imports import loaded

OPENAPI = Path(__file__).parents[2] / "docs" / "openapi.json"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ProductIndex:
    return make_index(tmp_path_factory.mktemp("app"))


def test_the_file_of_what_can_be_asked_is_up_to_date(index: ProductIndex) -> None:
    """After a meant change: python -m tests.serving.test_app, and a line in the changelog."""
    assert json.loads(OPENAPI.read_text(encoding="utf8")) == build_app(make_shop(index)).openapi()


def test_every_address_has_words_examples_and_sentences(index: ProductIndex) -> None:
    told = build_app(make_shop(index)).openapi()
    schemas = told["components"]["schemas"]
    assert "HTTPValidationError" not in json.dumps(told)
    for path, methods in told["paths"].items():
        for method, said in methods.items():
            assert said["description"], path
            assert all(
                status in {"200", "503"} or "$ref" in json.dumps(said["responses"][status])
                for status in said["responses"]
            )
            assert ("requestBody" in said) == (method in {"post", "put"})
    for kind in BODIES:
        assert schemas[kind.__name__]["examples"]
        for example in schemas[kind.__name__]["examples"]:
            kind.model_validate(example)
    assert schemas["SearchRequestForm"]["properties"]["image"]["format"] == "binary"
    references = {text.split('"')[0] for text in json.dumps(told).split('"#/components/schemas/')[1:]}
    assert references <= schemas.keys()


def test_an_exported_model_is_served_without_torch() -> None:
    for module in ("app", "encoder", "server", "shop"):
        assert not loaded(f"item_embed.serving.{module}") & {"torch", "transformers", "accelerate", "sklearn", "onnx"}


def test_the_page_is_served_where_there_is_one(
    index: ProductIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    monkeypatch.setattr(app, "PAGE", tmp_path / "page")
    with client(make_shop(index)) as opened:
        response = opened.get("/")
        assert response.status_code == 404
        assert "/openapi.json" in response.json()["detail"]
    (tmp_path / "page" / "index.html").write_text("<!doctype html><title>Search</title>")
    (tmp_path / "page" / "page.js").write_text("let here;")
    with client(make_shop(index)) as opened:
        assert "<title>Search</title>" in opened.get("/").text
        assert "default-src 'none'" in opened.get("/").headers["content-security-policy"]
        script = opened.get("/static/page.js").headers
        assert "javascript" in script["content-type"]
        assert (script["cache-control"], "etag" in script) == ("no-cache", True)
        for path in ("/static/none.js", "/static/../secret.txt", "/static/%2e%2e/secret.txt", "/static//secret.txt"):
            response = opened.get(path)
            assert response.status_code == 404
            assert "secret" not in response.text.replace("secret.txt", "")


def test_it_is_ready_when_the_model_has_answered(index: ProductIndex) -> None:
    let = threading.Event()
    with client(make_shop(index, let.wait)) as opened:
        response = opened.get("/ready")
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert opened.get("/health").status_code == 200
        let.set()
        while opened.get("/ready").status_code != 200:
            pass
    assert not opened.app.state.service.ready  # type: ignore[attr-defined]


def test_a_model_that_never_answers_leaves_it_unready_and_the_log_says_why(
    index: ProductIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        raise RuntimeError("no such operator")

    with client(make_shop(index, fails)) as opened:
        for _ in range(1000):
            response = opened.get("/ready")
            if error := capsys.readouterr().err:
                break
    assert error == "error: the service does not get ready: no such operator\n"
    assert response.status_code == 503


if __name__ == "__main__":
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        made = build_app(make_shop(make_index(Path(folder)))).openapi()
    OPENAPI.write_text(json.dumps(made, ensure_ascii=False, indent=1) + "\n", encoding="utf8")
