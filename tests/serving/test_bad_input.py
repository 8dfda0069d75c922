"""What goes wrong in requests: the right status, a sentence, and the service goes on."""

import base64
import io
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from item_embed.errors import VectorError
from item_embed.search.index import ProductIndex
from item_embed.serving.app import Settings
from item_embed.serving.limits import MEGABYTE, Limits
from tests.serving.made import RED, client, make_index, make_shop


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ProductIndex:
    return make_index(tmp_path_factory.mktemp("bad"))


@pytest.fixture(scope="module")
def opened(index: ProductIndex) -> Iterator[TestClient]:
    with client(make_shop(index)) as opened:
        yield opened


def refused(response: Any, status: int) -> str:
    """The sentence of a refusal."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    told = response.json()
    assert told.keys() == {"detail"}
    sentence: str = told["detail"]
    assert sentence.endswith(".")
    return sentence


def by_photo(opened: TestClient, photo: bytes, status: int) -> str:
    """The sentence about a photo: the same for a form and for JSON."""
    form = refused(opened.post("/v1/search", files={"image": ("a.jpg", photo)}), status)
    encoded = {"image": base64.b64encode(photo).decode()}
    assert refused(opened.post("/v1/search", json=encoded), status) == form
    assert opened.post("/v1/search", files={"image": ("a.jpg", RED)}).status_code == 200
    return form


def png(width: int, height: int) -> bytes:
    """A small file that would be decoded to so many white pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    line = b"\0" + b"\xff" * (width // 8)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = zlib.compress(line * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_a_broken_photo(opened: TestClient) -> None:
    assert by_photo(opened, RED[:-4], 422).startswith("image: truncated file; send a JPEG")
    assert "not a readable image" in by_photo(opened, b"%PDF-1.7", 422)
    assert "not a readable image" in by_photo(opened, b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422)
    tiny = io.BytesIO()
    Image.new("RGB", (2, 2)).save(tiny, "PNG")
    assert "smaller than 8 pixels" in by_photo(opened, tiny.getvalue(), 422)


@pytest.mark.parametrize("size", [(10_000, 10_000), (8_008, 8_000)])  # pixels; Pillow itself warns of the first
def test_a_photo_of_100_megapixels(opened: TestClient, size: tuple[int, int]) -> None:
    bomb = png(*size)
    assert len(bomb) < 50_000
    assert by_photo(opened, bomb, 413) == "image: more than 64 megapixels; send a smaller one."


def test_a_photo_larger_than_the_service_allows(index: ProductIndex) -> None:
    with client(make_shop(index), Settings(Limits(pixels=500))) as small:
        response = small.post("/v1/search", files={"image": ("a.jpg", RED)})
        assert "more than 0.0005 megapixels" in refused(response, 413)


def test_a_body_of_50_megabytes(opened: TestClient) -> None:
    photo = bytes(50 * MEGABYTE)
    response = opened.post("/v1/search", files={"image": ("a.jpg", photo)})
    assert refused(response, 413) == "the body is longer than 10 MB; send a smaller photo, or fewer products."
    assert opened.post("/v1/search", files={"image": ("a.jpg", RED)}).status_code == 200


def test_a_title_of_100_kilobytes(opened: TestClient) -> None:
    expected = "title: string should have at most 1000 characters."
    assert refused(opened.post("/v1/search", json={"title": "mug " * 25_000}), 422) == expected
    assert refused(opened.post("/v1/search", data={"title": "mug " * 25_000}, files={"image": ("", b"")}), 422)
    assert opened.post("/v1/search", json={"title": "mug " * 250}).status_code == 200


@pytest.mark.parametrize(
    "title",
    ["☕ mug 🎉", "كوب سيراميك أحمر", "ספל קרמיקה אדום", "e\u0301tage\u0300re", "\u202ered\u202c mug", "\ufeffmug"],
)
def test_emoji_and_any_script_are_titles(opened: TestClient, title: str) -> None:
    by_json = opened.post("/v1/search", json={"title": title})
    by_form = opened.post("/v1/search", data={"title": title}, files={"image": ("", b"")})
    assert by_json.status_code == by_form.status_code == 200
    assert by_json.json()["hits"] == by_form.json()["hits"]


@pytest.mark.parametrize("title", ["☕🎉", "…", "   ", "\u200b"])
def test_a_title_without_a_word_says_nothing(opened: TestClient, title: str) -> None:
    assert "the title has no letter or digit" in refused(opened.post("/v1/search", json={"title": title}), 422)


def test_nothing_to_look_for(opened: TestClient) -> None:
    sentence = "there is neither an image nor a title; give an image, a title of words, or both."
    for asked in ({}, {"title": None, "image": None}, {"title": ""}, {"image": ""}):
        assert refused(opened.post("/v1/search", json=asked), 422) == sentence
    assert refused(opened.post("/v1/search", data={"title": ""}, files={"image": ("", b"")}), 422) == sentence
    assert refused(opened.post("/v1/category", json={}), 501)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"title": 5}, "title: input should be a valid string"),
        ({"title": ["mug"]}, "title: "),
        ({"title": "mug", "k": "5"}, "k: input should be a valid integer"),
        ({"title": "mug", "k": 0}, "k: input should be greater than or equal to 1"),
        ({"title": "mug", "k": 101}, "k: input should be less than or equal to 100"),
        ({"title": "mug", "k": 10**400}, "k: "),
        ({"title": "mug", "k": True}, "k: "),
        ({"title": "mug", "photo_weight": 1.5}, "photo_weight: "),
        ({"title": "mug", "photo_weight": "much"}, "photo_weight: "),
        ({"title": "mug", "threshold": -2}, "threshold: "),
        ({"image": "no base64!"}, "image: it is no base64"),
        ({"image": "data:image/png;base64,AAAA"}, "image: it is no base64"),
        ({"image": {"file": "/etc/passwd"}}, "image: "),
        ({"image": "https://example.org/mug.jpg"}, "image: it is no base64"),
        ({"title": "mug", "path": "/etc/passwd"}, "path: there is no such field"),
        ({"titel": "mug"}, "titel: there is no such field"),
        ({"title": "mug", "where": 'colour = "red"'}, "no product has colour"),
        ({"title": "mug", "where": "price <"}, "where: the filter 'price <' is wrong"),
        ({"title": "mug", "where": "price = 3\0"}, "where: it holds a NUL character"),
        ({"title": "mug", "where": "x" * 5000}, "where: string should have at most 4000 characters"),
        ({"title": "mug", "where": "(" * 500 + "price = 3" + ")" * 500}, "where: "),
        ([], "input should be "),
        ("mug", "input should be "),
        (None, "input should be "),
    ],
)
def test_what_does_not_fit(opened: TestClient, asked: Any, said: str) -> None:
    assert said in refused(opened.post("/v1/search", content=json.dumps(asked), headers=AS_JSON), 422)


AS_JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("body", [b"", b"{", b"mug", b'{"title": "\\ud800"}', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json(opened: TestClient, body: bytes) -> None:
    assert refused(opened.post("/v1/search", content=body, headers=AS_JSON), 400).startswith("the body is no JSON")


def test_numbers_that_are_none(opened: TestClient) -> None:
    for number in ("NaN", "Infinity", "1e999"):
        body = b'{"title": "mug", "threshold": ' + number.encode() + b"}"
        assert refused(opened.post("/v1/search", content=body, headers=AS_JSON), 422).startswith("threshold: ")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "image/jpeg", ""])
def test_another_type_of_content(opened: TestClient, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    assert "send application/json or multipart/form-data" in refused(
        opened.post("/v1/search", content=b"title=mug", headers=headers), 415
    )


@pytest.mark.parametrize(
    "body", [b"", b"--x", b"--x\r\n\r\n", b"--y\r\n", b'--x\r\nContent-Disposition: form-data; name="title"\r\n\r\nmug']
)
@pytest.mark.parametrize("boundary", ["; boundary=x", ""])
def test_a_form_that_is_none(opened: TestClient, body: bytes, boundary: str) -> None:
    headers = {"Content-Type": f"multipart/form-data{boundary}"}
    response = opened.post("/v1/search", content=body, headers=headers)
    assert response.status_code in {400, 422}
    refused(response, response.status_code)


def test_a_form_of_too_much(opened: TestClient) -> None:
    two = [("image", ("a.jpg", RED)), ("image", ("b.jpg", RED))]
    assert "Too many files" in refused(opened.post("/v1/search", files=two), 400)
    many = {f"field{number}": "x" for number in range(50)}
    assert "Too many fields" in refused(opened.post("/v1/search", data=many, files={"image": ("a.jpg", RED)}), 400)


def test_a_form_whose_values_do_not_fit(opened: TestClient) -> None:
    form = {"title": "mug", "k": "many"}
    assert refused(opened.post("/v1/search", data=form, files={"image": ("", b"")}), 422).startswith("k: ")


def test_products_that_are_none(opened: TestClient) -> None:
    for products, said in (
        ([], "products: "),
        ([{"title": "mug"}] * 65, "products: "),
        ([{"id": "a", "title": "mug"}], "products.0: give either an id, or a title and an image"),
        ([{"id": ""}], "products.0.id: "),
        ([{"id": "a\0"}], "products.0.id: it holds a NUL character"),
        ([{}], "there is neither an image nor a title"),
        ([{"title": "mug"}, {"image": base64.b64encode(b"none").decode()}], "image: not a readable image"),
    ):
        assert said in refused(opened.post("/v1/embed", json={"products": products}), 422)
    assert refused(opened.post("/v1/embed", json={"products": [{"id": "none"}]}), 404)


def test_what_is_not_there(opened: TestClient) -> None:
    assert refused(opened.get("/wp-login.php"), 404).startswith("there is nothing at /wp-login.php")
    assert refused(opened.get("/v1/search"), 405).startswith("/v1/search cannot be asked by GET")
    assert refused(opened.get("/docs"), 404)
    assert refused(opened.get("/v1/duplicates?limit=1000&offset=x"), 422).startswith("offset: ")
    assert refused(opened.get("/static/../app.py"), 404)


def test_a_query_of_a_side_that_the_index_has_not(index: ProductIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = make_shop(index)
    monkeypatch.setitem(vars(shop), "sees", frozenset({"title"}))
    with client(shop) as titles:
        sentence = refused(titles.post("/v1/search", files={"image": ("a.jpg", RED)}), 422)
        assert sentence == "what is served here was made from titles alone; give a title and no photo."
        assert titles.post("/v1/search", json={"title": "mug"}).status_code == 200


def test_an_index_that_cannot_be_read_is_no_fault_of_the_client(
    index: ProductIndex, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise VectorError("/srv/secret/index is damaged; build it again.")

    with client(make_shop(index)) as opened:
        monkeypatch.setattr(index, "search", fails)
        monkeypatch.setattr(index, "photo", fails)
        for response in (opened.post("/v1/search", json={"title": "mug"}), opened.get("/v1/photos/a")):
            assert refused(response, 503) == "the index cannot be read now; the service's log says why."
            assert "secret" not in response.text
    assert "error: /srv/secret/index is damaged; build it again." in capsys.readouterr().err


def test_a_model_that_fails_once(index: ProductIndex) -> None:
    fails: list[str] = []

    def before() -> None:
        if fails:
            raise RuntimeError(fails.pop())

    with client(make_shop(index, before), raises=False) as opened:
        while opened.get("/ready").status_code != 200:
            pass
        fails.append("no more memory")
        sentence = refused(opened.post("/v1/search", json={"title": "mug"}), 500)
        assert sentence == "unexpected RuntimeError: a fault of the service, and its log has more."
        assert opened.post("/v1/search", json={"title": "mug"}).status_code == 200
