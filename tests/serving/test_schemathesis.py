"""Whatever is asked, as OpenAPI says or against it: nothing fails in the service, and it answers as declared."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings

from item_embed.search.duplicates.decision import Decision
from item_embed.search.probability import ProbabilityTable
from item_embed.serving.app import build_app
from item_embed.serving.review import AskedPair, Review
from item_embed.serving.server import address_of, bind
from item_embed.serving.shop import Shop
from tests.serving.made import explain, make_classifier, make_index, make_shop, probabilities
from tests.serving.test_app import OPENAPI

EXAMPLES = 40  # of each address


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop that has everything."""
    folder = tmp_path_factory.mktemp("schemathesis")
    decision = Decision("dummy", 0.9, ProbabilityTable(np.array([0.5, 1.0]), np.array([0.0, 1.0])))
    review = Review([AskedPair("key", ("a", "b"), 0.75, 3, 40)], folder / "answers.csv")
    classifier = make_classifier()
    return make_shop(
        make_index(folder),
        decision=decision,
        queries=probabilities(),
        review=review,
        classifier=classifier,
        explain=explain,
    )


@pytest.fixture(scope="module")
def address(shop: Shop) -> Iterator[str]:
    """Where uvicorn serves it."""
    listening = bind("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(build_app(shop), log_level="error", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield address_of(listening)
    server.should_exit = True
    thread.join(20)


def asked() -> Iterator[tuple[str, str, str]]:
    """Every address and method, asked as declared, and against it where something is declared."""
    for path, methods in json.loads(OPENAPI.read_text(encoding="utf8"))["paths"].items():
        for method, told in methods.items():
            yield path, method, "positive"
            if "requestBody" in told or any(one["in"] == "query" for one in told.get("parameters", ())):
                yield path, method, "negative"


@pytest.mark.slow
@pytest.mark.parametrize(("path", "method", "mode"), list(asked()))
def test_nothing_fails_and_all_is_as_declared(path: str, method: str, mode: str, address: str) -> None:
    import schemathesis  # takes as long as all fast tests of this room to import
    from schemathesis.generation import GenerationMode
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    checks = [status_code_conformance, content_type_conformance, response_schema_conformance]
    operation = schemathesis.openapi.from_path(OPENAPI)[path][method]

    @given(operation.as_strategy(generation_mode=GenerationMode(mode)))
    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    def ask(case: "schemathesis.Case[Any]") -> None:
        response = case.call(base_url=address, timeout=20)
        assert response.status_code < 500, (case.as_curl_command(), response.text)
        case.validate_response(response, checks=checks)

    ask()
