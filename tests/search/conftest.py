"""What tests of both kinds of index share."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers import Server

#: Gives a place for a new index.
Place = Callable[[str], str | Path]


@pytest.fixture(params=["folder", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where an index of a name is made: in a folder, or in a schema of PostgreSQL."""
    if request.param == "folder":
        return lambda name: tmp_path / name
    server: Server = request.getfixturevalue("server")
    return lambda name: server.schema()
