import base64
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from item_embed.search.query_product import HitProbability
from tests.catalogs import Row, photo
from tests.serving.made import client, make_index, make_shop, probabilities

ROWS = [Row(f"{n}", f"mug {n}", photo((20 * n, 200, 90)), metadata={"number": n}) for n in range(13)]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A service of thirteen products, three more than rivals are taken from."""
    gentle = HitProbability(intercept=0, cosine=1, lead=3, least=0, most=1, lowest=-1)
    index = make_index(tmp_path_factory.mktemp("answers"), ROWS)
    with client(make_shop(index, queries=replace(probabilities(), probability=gentle))) as service:
        yield service


def searched(opened: TestClient, **more: Any) -> list[dict[str, Any]]:
    asked = {"title": "mug 7", "image": base64.b64encode(ROWS[7].image or b"").decode(), **more}
    response = opened.post("/v1/search", json=asked)
    assert response.status_code == 200
    hits: list[dict[str, Any]] = response.json()["hits"]
    return hits


def test_a_filter_changes_no_hits_probability(opened: TestClient) -> None:
    """Not where only the product passes, nor where it does not, nor of hits beyond the ten that rivals are."""
    every = searched(opened, k=13)
    assert every[0]["id"] == "7"
    assert every[0]["probability"] > 0.8 > every[1]["probability"]
    assert len({hit["probability"] for hit in every}) == 13
    numbers = [hit["metadata"]["number"] for hit in every]
    for places in ([0], [1], [12], [11, 12], [5, 11], list(range(1, 13))):
        where = " or ".join(f"number = {numbers[place]}" for place in places)
        assert searched(opened, k=13, where=where) == [every[place] for place in places]
    assert searched(opened, where="number > 1000") == []
