"""Every address, asked rightly."""

import base64
import csv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from fastapi.testclient import TestClient

import item_embed
from item_embed.categories.abstaining import HeldOut
from item_embed.files import OutputError
from item_embed.search.duplicates.decision import Decision
from item_embed.search.duplicates.settings import Variants
from item_embed.search.index import ProductIndex
from item_embed.search.probability import ProbabilityTable
from item_embed.serving.review import AskedPair, Review
from item_embed.serving.shop import Shop
from tests.serving.made import (
    BLUE,
    RED,
    SeeingEmbedder,
    client,
    explain,
    make_classifier,
    make_index,
    make_shop,
    probabilities,
)

if TYPE_CHECKING:
    from item_embed.embedding.embedder import Embedder

DECISION = Decision("dummy", 0.9, ProbabilityTable(np.array([0.5, 1.0]), np.array([0.0, 1.0])))
QUERIES = probabilities()
PAIRS = (
    AskedPair("k1", ("a", "b"), 0.75, 3, 40),
    AskedPair("k2", ("a", "c/d %?#"), 0.4, 1, 7, variants=True),
    AskedPair("k3", ("b", "gone"), 0.95, 9, 2),
)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ProductIndex:
    return make_index(tmp_path_factory.mktemp("routes"))


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("answers") / "answers.csv"


@pytest.fixture(scope="module")
def whole(index: ProductIndex, answers: Path) -> Iterator[TestClient]:
    """A service that has everything."""
    review = Review(PAIRS, answers, Variants("brand", same=True))
    parts: dict[str, Any] = {
        "decision": DECISION,
        "review": review,
        "classifier": make_classifier(),
        "explain": explain,
        "queries": QUERIES,
    }
    with client(make_shop(index, **parts)) as opened:
        yield opened


@pytest.fixture(scope="module")
def bare(index: ProductIndex) -> Iterator[TestClient]:
    """A service of an index alone."""
    with client(make_shop(index)) as opened:
        yield opened


def encoded(photo: bytes) -> str:
    return base64.b64encode(photo).decode()


def searched(opened: TestClient, **asked: Any) -> list[dict[str, Any]]:
    """The hits of a search, which are the same asked by JSON and by a form."""
    image = asked.pop("image", None)
    by_json = opened.post("/v1/search", json={**asked, **({"image": encoded(image)} if image else {})})
    files = {"image": ("photo.jpg", image)} if image else {"image": ("", b"")}
    by_form = opened.post("/v1/search", data={name: str(value) for name, value in asked.items()}, files=files)
    assert by_json.status_code == by_form.status_code == 200, by_json.text + by_form.text
    assert by_json.json()["hits"] == by_form.json()["hits"]
    assert by_json.json()["milliseconds"] > 0
    hits: list[dict[str, Any]] = by_json.json()["hits"]
    return hits


def vector(title: str | None = None, image: bytes | None = None) -> list[float]:
    (made,) = SeeingEmbedder().embed([image], [title])
    return [float(number) for number in made]


def categorised(opened: TestClient, title: str) -> dict[str, Any]:
    told: dict[str, Any] = opened.post("/v1/category", json={"title": title}).json()
    return told


def test_a_listing_finds_itself(whole: TestClient) -> None:
    best, *others = searched(whole, title="red mug", image=RED)
    assert best == {
        "id": "a",
        "title": "red mug",
        "category": "Kitchen > Mugs",
        "metadata": {"price": 3, "brand": "Acme", "new": True},
        "photo": "/v1/photos/a",
        "score": pytest.approx(1, abs=1e-6),
        "probability": best["probability"],
    }
    assert best["probability"] > 0.8 > max(hit["probability"] for hit in others)
    assert len(others) == 3
    assert {hit["photo"] for hit in others if hit["id"] == "c/d %?#"} == {None}


def test_a_querys_hits_have_what_was_learned_of_queries(
    whole: TestClient, bare: TestClient, index: ProductIndex
) -> None:
    asked = np.array(vector("blue mug", RED), np.float32)
    hits = searched(whole, title="blue mug", image=RED)
    stored = index.vectors([hit["id"] for hit in hits])
    assert len(stored) == len(hits) == 4
    cosine = np.array([asked @ stored[hit["id"]] for hit in hits])
    expected = QUERIES.probability.of_query(cosine, np.stack([stored[hit["id"]] for hit in hits]))
    assert [hit["score"] for hit in hits] == pytest.approx(cosine, abs=1e-6)
    assert [hit["probability"] for hit in hits] == pytest.approx(expected, abs=1e-4)
    assert len(set(expected)) > 2
    for fewer in ({"k": 1}, {"threshold": hits[0]["score"] - 1e-6}):  # which changes nothing of the hits left
        assert searched(whole, title="blue mug", image=RED, **fewer) == hits[:1]
    assert {hit["probability"] for hit in searched(bare, title="blue mug", image=RED)} == {None}


def test_no_probability_is_told_where_none_was_learned(whole: TestClient, index: ProductIndex) -> None:
    for asked in ({"title": "red mug"}, {"image": RED}, {"title": "red mug", "image": RED, "photo_weight": 0.5}):
        assert {hit["probability"] for hit in searched(whole, **asked)} == {None}
    with client(make_shop(index, decision=DECISION)) as opened:  # of listings alone
        assert {hit["probability"] for hit in searched(opened, title="red mug", image=RED)} == {None}
    with client(make_shop(index, queries=probabilities(lowest=0.9))) as opened:
        hits = searched(opened, title="red mug", image=RED)
        assert [hit["probability"] is None for hit in hits] == [False, True, True, True]
        assert searched(opened, title="red mug", image=RED, where="price > 1000") == []


def test_a_listing_finds_others_and_what_was_learned_of_listings(
    whole: TestClient, bare: TestClient, index: ProductIndex
) -> None:
    hits = searched(whole, id="a")
    stored = index.vectors(["a", *(hit["id"] for hit in hits)])
    assert {hit["id"] for hit in hits} == {"b", "c/d %?#", "e"}
    for hit in hits:
        assert hit["score"] == pytest.approx(stored["a"] @ stored[hit["id"]], abs=1e-6)
        expected = None if hit["score"] < 0.5 else pytest.approx(2 * hit["score"] - 1, abs=1e-6)
        assert hit["probability"] == expected
    assert searched(whole, id="a", k=2) == hits[:2]
    assert [hit["id"] for hit in searched(whole, id="a", where="price < 10")] == ["b"]
    assert {hit["probability"] for hit in searched(bare, id="a")} == {None}
    response = whole.post("/v1/search", json={"id": "none"})
    assert (response.status_code, response.json()["detail"]) == (404, "there is no product 'none'.")
    for more in ({"title": "mug"}, {"image": encoded(RED)}, {"photo_weight": 0.5}):
        assert whole.post("/v1/search", json={"id": "a", **more}).status_code == 422
    empty = {"title": "", "image": ""}  # as a client sends fields that nobody has filled
    assert whole.post("/v1/search", json={"id": "a", **empty}).json()["hits"] == hits


def test_the_weight_does_what_it_says(bare: TestClient, index: ProductIndex) -> None:
    both = {"title": "red mug", "image": BLUE}
    assert searched(bare, **both, photo_weight=1) == searched(bare, image=BLUE)
    assert searched(bare, **both, photo_weight=0) == searched(bare, title="red mug")
    photo, title = np.array(vector(image=BLUE)), np.array(vector("red mug"))
    mixed = 0.25 * photo + 0.75 * title
    mixed /= np.linalg.norm(mixed)
    for hit in searched(bare, **both, photo_weight=0.25):
        assert hit["score"] == pytest.approx(mixed @ index.vectors([hit["id"]])[hit["id"]], abs=1e-5)


def test_a_weight_has_no_meaning_for_one_side(bare: TestClient) -> None:
    assert searched(bare, title="red mug", photo_weight=1) == searched(bare, title="red mug")
    assert searched(bare, image=RED, photo_weight=0) == searched(bare, image=RED)


def test_k_where_and_threshold(bare: TestClient) -> None:
    assert len(searched(bare, title="red mug", k=2)) == 2
    assert {hit["id"] for hit in searched(bare, title="red mug", where="price > 5")} == {"b", "c/d %?#"}
    scores = [hit["score"] for hit in searched(bare, title="red mug")]
    assert scores == sorted(scores, reverse=True)
    assert len(searched(bare, title="red mug", threshold=scores[1])) == 2


def test_searches_at_once_are_each_answered_for_themselves(bare: TestClient) -> None:
    alone = [searched(bare, title=title, k=k) for title, k in (("red mug", 1), ("blue mug", 3))]
    with ThreadPoolExecutor(8) as pool:
        asked = [("red mug", 1), ("blue mug", 3)] * 8
        found = list(pool.map(lambda one: searched(bare, title=one[0], k=one[1]), asked))
    assert found == alone * 8


def test_products_and_their_photos(bare: TestClient) -> None:
    assert bare.get("/v1/items/c%2Fd%20%25%3F%23").json() == {
        "id": "c/d %?#",
        "title": "grün & fine",
        "category": "<b>bold</b>",
        "metadata": {"price": 12},
        "photo": None,
    }
    item = bare.get("/v1/items/a").json()
    response = bare.get(item["photo"])
    assert response.content == RED
    assert response.headers["content-type"] == "image/jpeg"
    for path in ("/v1/items/none", "/v1/photos/none", "/v1/photos/c%2Fd%20%25%3F%23", "/v1/items/%00", "/v1/items/"):
        response = bare.get(path)
        assert response.status_code == 404, path
        assert response.json()["detail"].startswith("there is no")


def test_vectors_are_those_of_the_model_and_of_the_index(bare: TestClient, index: ProductIndex) -> None:
    products = [{"title": "red mug", "image": encoded(RED)}, {"id": "b"}, {"title": "plate"}, {"id": "b"}]
    told = bare.post("/v1/embed", json={"products": products}).json()
    assert (told["dimension"], told["fingerprint"]) == (16, "dummy")
    stored = index.vectors(["b"])["b"]
    expected: list[Any] = [vector("red mug", RED), stored, vector("plate"), stored]
    np.testing.assert_allclose(told["vectors"], expected, atol=1e-6)


def test_an_empty_title_or_photo_beside_an_id_is_none(whole: TestClient) -> None:
    for empty in ({"title": ""}, {"image": ""}):
        pair = [{"a": {"id": "a", **more}, "b": {"id": "b"}} for more in ({}, empty)]
        plain, answer = (whole.post("/v1/same-product", json=one) for one in pair)
        assert (answer.status_code, answer.json()) == (200, plain.json())


def test_whether_two_products_are_the_same(whole: TestClient, bare: TestClient) -> None:
    asked = {"a": {"id": "a"}, "b": {"id": "a"}}
    score = pytest.approx(1, abs=1e-6)
    same = {"score": score, "probability": score, "same": True, "threshold": 0.9, "variants": None}
    assert whole.post("/v1/same-product", json=asked).json() == same
    unknown = {"score": score, "probability": None, "same": None, "threshold": None, "variants": None}
    assert bare.post("/v1/same-product", json=asked).json() == unknown
    told = whole.post("/v1/same-product", json={"a": {"id": "a"}, "b": {"id": "b"}}).json()
    assert told["same"] is False
    for outside in ({"title": "red mug", "image": encoded(RED)}, {"title": "red mug"}, {"image": encoded(RED)}):
        told = whole.post("/v1/same-product", json={"a": outside, "b": {"id": "a"}}).json()
        assert (told["probability"], told["same"], told["threshold"]) == (None, None, 0.9)
    response = whole.post("/v1/same-product", json={"a": {"id": "a"}, "b": {"id": "none"}})
    assert (response.status_code, response.json()["detail"]) == (404, "there is no product 'none'.")


def test_a_category_is_answered_where_it_is_sure(whole: TestClient) -> None:
    told = categorised(whole, "mug")
    assert (told["category"], told["answered"]) == ("Kitchen > Mugs", "leaf")
    assert told["probability"] == pytest.approx(told["candidates"][0]["probability"])
    assert sum(one["probability"] for one in told["candidates"]) == pytest.approx(1)
    assert whole.post("/v1/category", data={"title": "mug"}, files={"image": ("", b"")}).json() == told
    answered = {one["answered"]: one for one in (categorised(whole, title) for title in "abcdefghijklmnop")}
    assert answered.keys() >= {"shorter", "none"}
    assert answered["shorter"]["category"] in {"Kitchen", "Shoes"}
    assert answered["shorter"]["probability"] > answered["shorter"]["candidates"][0]["probability"]
    assert [answered["none"][name] for name in ("category", "probability", "reason")] == [None] * 3


@pytest.mark.parametrize("same", [True, False])
def test_variants_are_the_same_product_only_where_the_rule_says_so(index: ProductIndex, same: bool) -> None:
    """`a` costs 3, `b` 9, `e` has no price; `new` differs too, `brand` does not."""
    for column, other, differ in (
        ("price", "b", True),
        ("new", "b", True),
        ("brand", "b", False),
        ("price", "e", False),
    ):
        known = ProbabilityTable(np.array([-1.0, 1.0]), np.array([0.0, 1.0]))
        decision = replace(DECISION, threshold=-1.0, probability=known, variants=Variants(column, same))
        with client(make_shop(index, decision=decision)) as opened:
            told = opened.post("/v1/same-product", json={"a": {"id": "a"}, "b": {"id": other}}).json()
            described = {"title": "blue mug", "image": encoded(BLUE)}
            alone = opened.post("/v1/same-product", json={"a": {"id": "a"}, "b": described}).json()
            (hit,) = (hit for hit in searched(opened, id="a") if hit["id"] == other)
        assert told["variants"] is differ
        assert told["same"] is (same or not differ)
        assert (told["probability"] is None) is (differ and not same)
        assert hit["probability"] == pytest.approx(told["probability"], abs=1e-6)
        assert (alone["same"], alone["variants"]) == (None, None)


def test_few_labelled_rows_are_the_reason_why_nothing_is_answered(index: ProductIndex) -> None:
    sure = make_classifier()
    few = replace(sure, held=HeldOut(np.ones((60, 2)), np.ones((60, 2), np.bool_), np.arange(60)))
    with client(make_shop(index, classifier=few)) as opened:
        told = categorised(opened, "mug")
    assert (told["answered"], told["candidates"][0]["category"]) == ("none", "Kitchen > Mugs")
    assert told["reason"].startswith("No threshold could be promised for a precision of 0.95: of 60 held-out rows")


def test_what_explains_is_given_what_the_model_sees(whole: TestClient) -> None:
    told = whole.post("/v1/explain", json={"a": {"id": "a"}, "b": {"title": "mug &amp; plate"}}).json()
    assert told["a"]["words"] == [{"word": "red", "weight": 0.1}, {"word": "mug", "weight": 0.1}]
    assert told["a"]["patches"] == [[0.25, 0.5]]
    assert [word["word"] for word in told["b"]["words"]] == ["mug", "&", "plate"]
    assert told["b"]["patches"] is None
    assert whole.post("/v1/explain", json={"a": {"id": "none"}, "b": {"id": "a"}}).status_code == 404


def test_pairs_are_shown_and_answers_kept(whole: TestClient, answers: Path) -> None:
    told = whole.get("/v1/duplicates").json()
    assert (told["total"], told["answered"]) == (3, 0)
    first, second, third = told["pairs"]
    assert [first[name] for name in ("key", "probability", "answer")] == ["k1", 0.5, None]
    assert (first["a"]["title"], first["b"]["photo"], first["a"]["score"]) == ("red mug", "/v1/photos/b", 0.75)
    assert second["probability"] is None
    assert told["variants"] == {"column": "brand", "are": "same"}
    assert [pair["variants"] for pair in told["pairs"]] == [False, True, False]
    assert third["b"] == {**third["b"], "id": "gone", "title": None, "photo": None}  # deleted since
    assert [pair["key"] for pair in whole.get("/v1/duplicates?offset=1&limit=1").json()["pairs"]] == ["k2"]
    assert whole.get("/v1/duplicates?offset=9").json()["pairs"] == []

    said = whole.put("/v1/duplicates/k1", json={"answer": "yes"}).json()
    assert said == {**first, "answer": "yes"}
    whole.put("/v1/duplicates/k2", json={"answer": "no"})
    assert whole.get("/v1/duplicates").json()["answered"] == 2
    with answers.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["other_id"], row["same"]) for row in rows] == [("a", "b", "yes"), ("a", "c/d %?#", "no")]
    assert whole.put("/v1/duplicates/k1", json={"answer": None}).json()["answer"] is None
    assert whole.get("/v1/duplicates").json()["answered"] == 1
    assert whole.put("/v1/duplicates/none", json={"answer": "yes"}).status_code == 404


def test_an_answer_that_cannot_be_saved_says_so(
    whole: TestClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OutputError("/srv/duplicates/answers.csv cannot be written.")

    monkeypatch.setattr("item_embed.serving.review.whole_file", full)
    response = whole.put("/v1/duplicates/k2", json={"answer": "yes"})
    assert response.status_code == 503
    assert response.json()["detail"] == "answers cannot be saved now; the service's log says why."
    assert capsys.readouterr().err == "error: /srv/duplicates/answers.csv cannot be written.\n"


class TitleEmbedder(SeeingEmbedder):
    """An export of titles alone."""

    sees = frozenset({"title"})


def test_an_export_of_titles_alone_serves_an_index_of_whole_products(index: ProductIndex) -> None:
    shop = Shop(index, cast("Embedder", TitleEmbedder()), decision=DECISION, explain=explain, queries=QUERIES)
    with client(shop) as opened:
        told = opened.get("/v1/about").json()
        assert (told["modalities"], told["made_of"]) == ("title", "both")
        assert {hit["probability"] for hit in searched(opened, title="red mug")} == {None}
        told = opened.post("/v1/explain", json={"a": {"id": "a"}, "b": {"id": "b"}}).json()
    assert [word["word"] for word in told["a"]["words"]] == ["red", "mug"]
    assert told["a"]["patches"] is None


@pytest.mark.parametrize(
    ("method", "path", "asked", "mend"),
    [
        ("POST", "/v1/category", {"title": "mug"}, "--categories DIR"),
        ("POST", "/v1/explain", {"a": {"id": "a"}, "b": {"id": "b"}}, "explained"),
        ("GET", "/v1/duplicates", None, "--duplicates DIR"),
        ("PUT", "/v1/duplicates/k1", {"answer": "yes"}, "--duplicates DIR"),
    ],
)
def test_what_is_not_served_says_so(bare: TestClient, method: str, path: str, asked: Any, mend: str) -> None:
    response = bare.request(method, path, json=asked)
    assert response.status_code == 501
    assert mend in response.json()["detail"]


def test_what_is_served_is_told(whole: TestClient, bare: TestClient) -> None:
    told = whole.get("/v1/about").json()
    parts = ("category", "same_product", "explain", "duplicates")
    assert [told[name] for name in parts] == [True] * 4
    assert [bare.get("/v1/about").json()[name] for name in parts] == [False] * 4
    errors = {"calibration_error": 0.01, "first_hit_error": 0.02}
    assert told["query_probabilities"] == {"simulated": True, "queries": 1200, "source": "queries.parquet", **errors}
    assert bare.get("/v1/about").json()["query_probabilities"] is None
    assert (told["name"], told["version"], told["products"]) == ("item-embed", item_embed.__version__, 4)
    assert (told["dimension"], told["fingerprint"]) == (16, "dummy")
    assert (told["modalities"], told["made_of"]) == ("both", "both")
    assert told["filters"]["brand"] == {"type": "text", "values": ["Acme"]}
    limits = {"body_bytes": 10 << 20, "pixels": 64_000_000, "title_chars": 1000, "k": 100}
    assert told["limits"] == limits


def test_health_and_metrics(bare: TestClient) -> None:
    assert bare.get("/health").json() == {"status": "live"}
    assert bare.get("/metrics").headers["content-type"].startswith("text/plain")
