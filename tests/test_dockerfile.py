"""The image's check of health, as Docker would run it, against a port that listens and one that does not."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

DOCKERFILE = (Path(__file__).parents[1] / "Dockerfile").read_text(encoding="utf8").replace("\\\n", " ")


class _Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("localhost", 0), _Healthy) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join(10)


def healthy(port: int) -> bool:
    found = re.search(r"^HEALTHCHECK .*? CMD (\[.+\])$", DOCKERFILE, re.MULTILINE)
    assert found
    program, *arguments = json.loads(found[1])
    assert program == "python"
    settings = {**os.environ, "ITEM_LISTEN_PORT": str(port)}
    ran = subprocess.run([sys.executable, *arguments], env=settings, capture_output=True, timeout=60, check=False)
    return ran.returncode == 0


def test_the_check_of_health_follows_the_port(port: int) -> None:
    assert healthy(port)
    assert not healthy(1)


def test_the_image_sets_the_port_by_what_is_checked() -> None:
    assert re.search(r"^ENV .*\bITEM_LISTEN_PORT=8000$", DOCKERFILE, re.MULTILINE)
    assert re.search(r"^EXPOSE 8000$", DOCKERFILE, re.MULTILINE)
    assert "--port" not in re.sub(r"^#.*", "", DOCKERFILE, flags=re.MULTILINE)
